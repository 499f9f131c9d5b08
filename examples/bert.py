"""A BERT classifier of the `transformers` library → what the service takes: a manifest, and weights in safetensors.

model = BertForSequenceClassification.from_pretrained(folder)
manifest, weights = converted(model, length=64, mask_id=tokenizer.mask_token_id, padding_id=tokenizer.pad_token_id)
Path("bert.safetensors").write_bytes(save(weights))
job = client.explain(client.upload(Path("bert.safetensors"), manifest)["id"], method="and-or", input=tokens(...))
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

Weights = dict[str, Tensor]

# Names of a block's layers there and here; the queries, keys and values come on top.
_BLOCK = {
    "attention.output.dense": "self_attn.out_proj",
    "attention.output.LayerNorm": "norm1",
    "intermediate.dense": "linear1",
    "output.dense": "linear2",
    "output.LayerNorm": "norm2",
}


def converted(model: nn.Module, *, length: int, mask_id: int, padding_id: int) -> tuple[dict[str, Any], Weights]:
    """Convert a `BertForSequenceClassification`.

    Args:
        length: Tokens of the longest text; at most as many as the model has positions.
        mask_id, padding_id: The tokenizer's.
    """
    config: Any = model.config
    epsilon = config.layer_norm_eps
    block = {
        "type": "transformer", "heads": config.num_attention_heads, "feedforward": config.intermediate_size,
        "activation": config.hidden_act, "epsilon": epsilon,
    }  # fmt: skip
    layers = [
        {"type": "embedding", "outputs": config.hidden_size},
        {"type": "positions"},
        {"type": "layer-norm", "epsilon": epsilon},
        *[block] * config.num_hidden_layers,
        {"type": "token-first"},
        {"type": "linear", "outputs": config.hidden_size},
        {"type": "tanh"},
        {"type": "linear", "outputs": config.num_labels},
    ]
    manifest = {
        "name": config.name_or_path or "BERT",
        "architecture": {"family": "sequential", "layers": layers},
        "input": {
            "kind": "tokens", "shape": [length], "vocabulary": config.vocab_size, "mask_id": mask_id,
            "padding_id": padding_id,
        },
        "classes": [config.id2label[index] for index in range(config.num_labels)],
    }  # fmt: skip
    return manifest, _weights(model.state_dict(), blocks=config.num_hidden_layers, length=length)


def tokens(tokenizer: Any, text: str) -> dict[str, Any]:
    """Return a text as a request's `input`, for a fast tokenizer; [CLS] and [SEP] never play."""
    encoded = tokenizer(text)
    ids = encoded["input_ids"]
    return {"tokens": {"ids": ids, "texts": tokenizer.convert_ids_to_tokens(ids), "words": encoded.word_ids()}}


def _weights(state: Mapping[str, Tensor], *, blocks: int, length: int) -> Weights:
    embeddings = "bert.embeddings."
    # A single text is the first of a pair: its type adds the same vector everywhere.
    first = state[f"{embeddings}token_type_embeddings.weight"][0]
    found = {
        "0.weight": state[f"{embeddings}word_embeddings.weight"],
        "1.weight": state[f"{embeddings}position_embeddings.weight"][:length] + first,
        **_layer(state, f"{embeddings}LayerNorm", "2"),
    }
    for index in range(blocks):
        found |= _block(state, f"bert.encoder.layer.{index}", str(3 + index))
    pooled = 3 + blocks + 1
    return found | _layer(state, "bert.pooler.dense", str(pooled)) | _layer(state, "classifier", str(pooled + 2))


def _block(state: Mapping[str, Tensor], old: str, new: str) -> Weights:
    found = {}
    for old_name, new_name in _BLOCK.items():
        found |= _layer(state, f"{old}.{old_name}", f"{new}.{new_name}")
    for kind in ("weight", "bias"):
        parts = [state[f"{old}.attention.self.{part}.{kind}"] for part in ("query", "key", "value")]
        found[f"{new}.self_attn.in_proj_{kind}"] = torch.cat(parts)
    return found


def _layer(state: Mapping[str, Tensor], old: str, new: str) -> Weights:
    return {f"{new}.{kind}": state[f"{old}.{kind}"] for kind in ("weight", "bias")}
