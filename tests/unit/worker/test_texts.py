"""Texts, from uploaded bytes to files: planted interactions of words come back exactly, through all of the worker."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save
from torch import Tensor

from benchmarks import _twitter
from jobs.artifacts import ArtifactStore
from jobs.errors import InvalidInput, InvalidParameters
from jobs.schemas import Capability, InputReference, Job, JobKind, Manifest, Model, Tokens
from jobs.settings import Settings
from jobs.tokens import completed
from tests.networks import PLANTED, PLANTED_MANIFEST, PLANTED_TEXT, planted_tokens, planted_weights
from tests.unit.worker import scripts
from worker.execution import Execution
from worker.messages import Compute, Finished, Inspected
from worker.methods import _transforms as transforms

SHARP = {"noise": 0.001}
# The noise band is 0.001 of the change of 4 from all words masked to all present; within it the model may shrink
# strengths, which the solver finds to a gap of 1e-4 of their sum.
SOLVED = 0.004 + 1e-3
# Of float64 sums of 2^n numbers of size 10.
MATCHING = 1e-10


class Service:
    """An execution over an artifact store, and one inspected model in it."""

    def __init__(self, folder: Path, manifest: Mapping[str, Any], weights: Mapping[str, Tensor]) -> None:
        settings = Settings(data_dir=folder, device="cpu")
        self.artifacts = ArtifactStore(settings.bytes_url)
        self.execution = Execution(settings, slot=0)
        data = save(dict(weights))
        described = {"manifest": Manifest.model_validate(manifest), "size_bytes": len(data)}
        uploaded = scripts.MODEL.model_copy(update={**described, "sha256": self.artifacts.put(data)})
        inspected = self._compute(scripts.job("", kind=JobKind.INSPECTION), uploaded)
        assert isinstance(inspected, Inspected)
        found = {"weights_sha256": inspected.weights_sha256, "inspection": inspected.inspection}
        self.model: Model = uploaded.model_copy(update=found)

    def explain(self, tokens: Mapping[str, Any], *, method: str = "and-or", **job: Any) -> dict[str, bytes]:
        """Return the files of the explained text."""
        text = completed(Tokens.model_validate(tokens), self.model.manifest.input).model_dump_json().encode()
        return self.explain_bytes(text, method=method, **job)

    def explain_bytes(self, data: bytes, *, method: str = "and-or", **job: Any) -> dict[str, bytes]:
        reference = InputReference(kind="tokens", sha256=self.artifacts.put(data), size_bytes=len(data))
        finished = self._compute(scripts.job(method, input=reference, **job), self.model)
        assert isinstance(finished, Finished)
        return {artifact.name: self.artifacts.get(artifact.sha256) for artifact in finished.artifacts}

    def _compute(self, job: Job, model: Model) -> object:
        return self.execution(Compute(job=job, model=model), lambda *_: None)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Service:
    return Service(tmp_path_factory.mktemp("planted"), PLANTED_MANIFEST, planted_weights())


def result_of(files: Mapping[str, bytes]) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(files["result.json"])
    return result


def array(files: Mapping[str, bytes], name: str) -> Tensor:
    return torch.from_numpy(np.load(io.BytesIO(files[f"{name}.npy"])))


def by_words(result: Mapping[str, Any]) -> dict[tuple[str, tuple[str, ...]], float]:
    """The interactions by kind and the names of their members."""
    names = result["players"]["names"]
    return {
        (one["kind"], tuple(names[member] for member in one["members"])): one["strength"]
        for one in result["interactions"]
    }


def mismatch(files: Mapping[str, bytes]) -> float:
    """How far the sum of all triggered interactions is from the table, over all states, beyond the noise band."""
    atoms, table = array(files, "atoms"), array(files, "table")
    details = result_of(files)["details"]
    conjunctions, disjunctions = atoms
    model = transforms.zeta(conjunctions) + (disjunctions.sum() - transforms.zeta(disjunctions).flip(0))
    residual = (table - table[0] - (model - model[0])).abs().max()
    return max(0.0, float(residual) - details["noise_band"])


def test_inspection_offers_what_ids_allow(planted: Service) -> None:
    assert planted.model.inspection is not None
    assert planted.model.inspection.capabilities == (Capability.FORWARD,)


def test_planted_interactions_of_words_are_found(planted: Service) -> None:
    result = result_of(planted.explain(planted_tokens(), params=SHARP))

    assert result["players"]["names"] == ["film", "not", "##good", "bad", "awful", "slow"]
    assert by_words(result) == pytest.approx(PLANTED, abs=SOLVED)
    assert result["explained"]["label"] == "blame"


def test_the_logical_model_matches_every_masked_state(planted: Service) -> None:
    files = planted.explain(planted_tokens())

    assert array(files, "table").shape == (2**6,)
    assert mismatch(files) <= MATCHING


def test_several_tokens_of_a_word_are_one_player(planted: Service) -> None:
    tokens = planted_tokens()
    tokens["words"] = [None, 0, 1, 1, 2, 3, 4]

    result = result_of(planted.explain(tokens, params=SHARP))

    assert result["players"]["names"] == ["film", "notgood", "bad", "awful", "slow"]
    expected = {("main", ("notgood",)): 2.0, ("or", ("bad", "awful")): 3.0, ("main", ("slow",)): -1.0}
    assert by_words(result) == pytest.approx(expected, abs=SOLVED)


def test_padding_does_not_change_the_answer(planted: Service) -> None:
    filled = planted_tokens()
    filled = {"ids": [*filled["ids"], 0, 0, 0], "words": [*filled["words"], None, None, None]}

    short, padded = (planted.explain(tokens) for tokens in (planted_tokens(), filled))

    torch.testing.assert_close(array(padded, "table"), array(short, "table"), rtol=0, atol=0)


def test_the_whole_text_is_in_the_result_and_on_the_page(planted: Service) -> None:
    files = planted.explain(planted_tokens())

    result = result_of(files)
    assert result["players"]["kind"] == "token"
    assert result["players"]["passage"] == {"texts": list(PLANTED_TEXT), "players": [-1, 0, 1, 2, 3, 4, 5]}
    page = files["report.html"].decode()
    assert "<span>[cls]</span> <b>film<sub>0</sub></b> <b>not<sub>1</sub></b>" in page
    assert "-F tokens=@INPUT" in page
    assert result["provenance"]["dtype"] == "float32"
    assert files["interactions.png"].startswith(b"\x89PNG")


def test_a_mask_id_that_is_the_padding_id_leaves_absent_words_out(tmp_path: Path) -> None:
    manifest = {**PLANTED_MANIFEST, "input": {**PLANTED_MANIFEST["input"], "mask_id": 0}}

    result = result_of(Service(tmp_path, manifest, planted_weights()).explain(planted_tokens(), params=SHARP))

    assert by_words(result) == pytest.approx(PLANTED, abs=SOLVED)


@pytest.mark.parametrize(
    "data",
    [b"", b"[1, 2]", b"{}", b'{"ids": []}', b'{"ids": [99]}', b'{"ids": [0]}', b'{"ids": [1], "words": [0, 1]}'],
)
def test_other_bytes_than_tokens_are_refused_by_the_worker_too(planted: Service, data: bytes) -> None:
    with pytest.raises(InvalidInput):
        planted.explain_bytes(data)


def test_a_text_of_one_word_has_no_interaction(planted: Service) -> None:
    with pytest.raises(InvalidParameters, match="at least 2 players"):
        planted.explain({"ids": [3]})


@pytest.fixture(scope="module")
def tweets(assets: Path) -> tuple[_twitter.Tweets, _twitter.Tweets]:
    folder = assets / "data" / "twitter_graph"
    if not folder.is_dir():
        pytest.skip(f"no tweets at {folder}")
    return _twitter.read(folder, rows=6000)


def test_a_classifier_of_real_tweets_is_explained(tweets: tuple[_twitter.Tweets, _twitter.Tweets], tmp_path) -> None:
    """A transformer with padding: eight words, 256 masked texts, matched exactly."""
    training, test = tweets
    model = _twitter.trained(training, epochs=1)
    service = Service(tmp_path, _twitter.MANIFEST, model.state_dict())
    row = next(row for row in range(len(test)) if len(test.words(row)) == 8)

    files = service.explain({"ids": test.words(row)})

    result = result_of(files)
    assert result["players"]["names"] == [str(id) for id in test.words(row)]
    table = array(files, "table")
    masked = test.ids[row].masked_fill(torch.arange(_twitter.LONGEST) < 8, _twitter.MASK)
    ends = torch.stack([masked, test.ids[row]])
    logits = model(ends).double() @ torch.tensor([-1.0, 1.0], dtype=torch.float64)
    sign = 1.0 if result["explained"]["index"] else -1.0
    # Logits are float32, of size 1 and in other batches.
    torch.testing.assert_close(table[[0, -1]], sign * logits, rtol=1e-5, atol=1e-5)
    assert mismatch(files) <= MATCHING
    assert result["orders"]["salient_count"] > 0
