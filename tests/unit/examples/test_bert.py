"""A converted BERT answers what the original answers."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save

from examples.bert import converted, tokens
from jobs.schemas import Manifest, Tokens
from worker.models import load

transformers = pytest.importorskip("transformers")

MASK, PADDING, VOCABULARY, LENGTH = 4, 0, 40, 12
# float32 sums of 16 numbers of size 1 in another order, through two blocks.
ROUNDING = {"rtol": 1e-4, "atol": 1e-5}


@pytest.fixture(scope="module")
def bert():
    config = transformers.BertConfig(
        vocab_size=VOCABULARY, hidden_size=16, num_hidden_layers=2, num_attention_heads=4, intermediate_size=32,
        max_position_embeddings=20, num_labels=3,
    )  # fmt: skip
    torch.manual_seed(0)
    model = transformers.BertForSequenceClassification(config).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


def test_a_converted_bert_answers_what_the_original_does_with_padding_too(bert):
    manifest, weights = converted(bert, length=LENGTH, mask_id=MASK, padding_id=PADDING)
    ours = load(Manifest.model_validate(manifest), save(weights), device=torch.device("cpu"))
    ids = torch.randint(1, VOCABULARY, (5, LENGTH), generator=torch.Generator().manual_seed(1))
    for row, there in enumerate((12, 10, 7, 3, 1)):
        ids[row, there:] = PADDING

    with torch.no_grad():
        expected = bert(ids, attention_mask=ids != PADDING).logits

    torch.testing.assert_close(ours(ids), expected, **ROUNDING)
    assert manifest["classes"] == ["LABEL_0", "LABEL_1", "LABEL_2"]


def test_a_tokenizers_words_become_players(tmp_path):
    (tmp_path / "vocab.txt").write_text(
        "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "not", "un", "##fair"])
    )
    tokenizer = transformers.BertTokenizerFast(str(tmp_path / "vocab.txt"))

    found = Tokens.model_validate(tokens(tokenizer, "not unfair")["tokens"])

    assert found.texts == ("[CLS]", "not", "un", "##fair", "[SEP]")
    assert found.ids == (2, 5, 6, 7, 3)
    assert found.words == (None, 0, 1, 1, None)
