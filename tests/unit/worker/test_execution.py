"""What a runner executes, in this process: from a job to its files."""

from __future__ import annotations

import gc
import io
import json
import weakref
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load, save
from torch import nn

from jobs.artifacts import ArtifactStore
from jobs.errors import (
    ArtifactsUnavailable,
    InternalError,
    InvalidParameters,
    NotFound,
    NumericalError,
    UnsupportedModel,
)
from jobs.schemas import Explanation, InputReference, Job, JobKind, Manifest, Model
from jobs.settings import Settings
from tests.unit.worker import scripts
from worker.execution import Execution
from worker.messages import Compute, Finished, Inspected
from worker.methods._registry import Params, Subject
from worker.model_cache import ModelCache
from worker.progress import JobCanceled

MANIFEST = Manifest.model_validate(
    {
        "architecture": {
            "family": "sequential",
            "layers": [
                {"type": "linear", "inputs": 4, "outputs": 8},
                {"type": "softplus"},
                {"type": "linear", "inputs": 8, "outputs": 3},
            ],
        },
        "input": {"kind": "features", "shape": [4], "names": ["a", "b", "c", "d"]},
    }
)


class Bench:
    """An execution, its artifact store, and one small model in it."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(data_dir=folder, device="cpu")
        self.artifacts = ArtifactStore(self.settings.bytes_url)
        self.execution = Execution(self.settings, slot=0)
        torch.manual_seed(0)
        self.module = nn.Sequential(nn.Linear(4, 8), nn.Softplus(), nn.Linear(8, 3))
        weights = save(self.module.state_dict())
        uploaded = {"manifest": MANIFEST, "sha256": self.artifacts.put(weights), "size_bytes": len(weights)}
        self.uploaded: Model = scripts.MODEL.model_copy(update=uploaded)
        inspected = self.inspect(self.uploaded)
        ready = {"weights_sha256": inspected.weights_sha256, "inspection": inspected.inspection}
        self.model: Model = self.uploaded.model_copy(update=ready)

    def inspect(self, model: Model) -> Inspected:
        outcome = self.execution(Compute(job=scripts.job("", kind=JobKind.INSPECTION), model=model), lambda *_: None)
        assert isinstance(outcome, Inspected)
        return outcome

    def another(self, seed: int) -> tuple[Model, nn.Module]:
        """A model of other weights, inspected, and its network."""
        torch.manual_seed(seed)
        module = nn.Sequential(nn.Linear(4, 8), nn.Softplus(), nn.Linear(8, 3))
        sha256 = self.artifacts.put(save(module.state_dict()))
        changes = {"id": f"model_other_{seed}", "sha256": sha256, "weights_sha256": sha256}
        return self.model.model_copy(update=changes), module

    def count_loads(self, loads: list[str]) -> None:
        load = self.execution._load

        def counted(model: Model) -> nn.Module:
            loads.append(model.sha256)
            return load(model)

        self.execution._load = counted  # type: ignore[method-assign]

    def features(self, row: list[float]) -> InputReference:
        data = json.dumps(row).encode()
        return InputReference(kind="features", sha256=self.artifacts.put(data), size_bytes=len(data))

    def job(self, method: str = "integrated-gradients", **changes: object) -> Job:
        return scripts.job(method, **{"input": self.features([0.5, -1.0, 2.0, 0.0]), **changes})

    def result(self, finished: Finished) -> dict[str, Any]:
        reference = next(artifact for artifact in finished.artifacts if artifact.name == "result.json")
        return dict(json.loads(self.artifacts.get(reference.sha256)))

    def explain(self, job: Job, *checkpoints: Model) -> Finished:
        outcome = self.execution(Compute(job=job, model=self.model, checkpoints=checkpoints), lambda *_: None)
        assert isinstance(outcome, Finished)
        return outcome


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_an_inspection_keeps_the_weights_as_safetensors_and_says_what_it_found(bench: Bench) -> None:
    inspected = bench.inspect(bench.uploaded)

    stored = load(bench.artifacts.get(inspected.weights_sha256))
    torch.testing.assert_close(stored, dict(bench.module.state_dict()), rtol=0, atol=0)
    assert inspected.inspection.parameters == 4 * 8 + 8 + 8 * 3 + 3
    assert inspected.inspection.outputs == 3
    assert "inspect" in inspected.timings


def test_a_model_that_does_not_fit_its_manifest_is_refused(bench: Bench) -> None:
    other = {"sha256": bench.artifacts.put(save({"0.weight": torch.zeros(2, 2)}))}

    with pytest.raises(UnsupportedModel):
        bench.inspect(bench.uploaded.model_copy(update=other))


def test_an_explanation_leaves_its_files_in_the_store(bench: Bench) -> None:
    finished = bench.explain(bench.job())

    files = {artifact.name: bench.artifacts.get(artifact.sha256) for artifact in finished.artifacts}
    assert set(files) >= {"result.json", "saliency.png", "values.npz", "report.html"}
    assert all(len(files[artifact.name]) == artifact.size_bytes for artifact in finished.artifacts)
    assert files["saliency.png"].startswith(b"\x89PNG")
    assert np.load(io.BytesIO(files["values.npz"]))["attribution"].shape == (4,)
    assert finished.cost.forwards > 0
    assert list(finished.timings) == ["load", "prepare", "compute", "render", "store"]


def test_a_result_says_what_ran_so_that_it_can_run_again(bench: Bench) -> None:
    job = bench.job(seed=7)

    finished = bench.explain(job)

    reference = next(artifact for artifact in finished.artifacts if artifact.name == "result.json")
    result = json.loads(bench.artifacts.get(reference.sha256))
    provenance = result["provenance"]
    assert provenance["method"] == result["method"] == "integrated-gradients"
    assert provenance["seed"] == 7
    assert provenance["model_sha256"] == bench.model.sha256
    assert provenance["input_sha256"] == (job.input.sha256 if job.input else None)
    assert provenance["dtype"] == "float32"
    assert "torch" in provenance["versions"]
    assert result["artifacts"] == [artifact.name for artifact in finished.artifacts]
    assert result["seconds"]["compute"] > 0


def test_a_canceled_job_unwinds(bench: Bench) -> None:
    def report(stage: str, done: int, total: int) -> None:
        raise JobCanceled

    with pytest.raises(JobCanceled):
        bench.execution(Compute(job=bench.job(), model=bench.model), report)


def test_a_method_that_this_worker_does_not_have_is_named(bench: Bench) -> None:
    with pytest.raises(InternalError, match="tea-leaves"):
        bench.explain(bench.job("tea-leaves"))


def test_parameters_that_contradict_each_other_are_the_requests_fault(bench: Bench) -> None:
    """The gateway refuses them as far as its rules reach; what is left must not look like a defect."""
    with pytest.raises(InvalidParameters, match="do not fit multi-order: expected"):
        bench.explain(bench.job("multi-order", params={"groups": [[0], [1]], "count": 2}))


def test_an_input_that_is_gone_is_an_error_with_a_name(bench: Bench) -> None:
    gone = InputReference(kind="features", sha256="0" * 64, size_bytes=1)

    with pytest.raises(NotFound):
        bench.explain(bench.job(input=gone))


def test_a_full_disk_is_an_error_that_may_pass(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: ArtifactStore, data: bytes) -> str:
        raise ArtifactsUnavailable("No space left on device.")

    monkeypatch.setattr(ArtifactStore, "put", full)

    with pytest.raises(ArtifactsUnavailable):
        bench.inspect(bench.uploaded)


def test_numbers_that_are_not_finite_are_an_error_and_not_a_result(bench: Bench) -> None:
    weights = {name: tensor * 1e30 for name, tensor in bench.module.state_dict().items()}
    huge = {"weights_sha256": bench.artifacts.put(save(weights))}
    bench.model = bench.model.model_copy(update=huge)

    with pytest.raises(NumericalError):
        bench.explain(bench.job())


def test_tables_are_kept_apart_by_tenant_weights_and_manifest(bench: Bench) -> None:
    renamed = bench.model.model_copy(update={"manifest": MANIFEST.model_copy(update={"name": "other"})})
    retrained = bench.model.model_copy(update={"weights_sha256": "0" * 64})
    owners = [("a", bench.model), ("b", bench.model), ("a", renamed), ("a", retrained)]

    tables = [bench.execution._tables_of(tenant, model) for tenant, model in owners]
    tables[0].put("key", torch.zeros(4))

    assert [of_owner.get("key") is not None for of_owner in tables] == [True, False, False, False]
    assert len(list((bench.settings.data_dir / "tables").iterdir())) == 1


def documented(bench: Bench, documents: Mapping[str, object]) -> Finished:
    """Run a method that leaves these documents, and nothing else of interest."""
    method = bench.execution._methods["integrated-gradients"]

    def explain(subject: Subject, params: Params) -> Explanation:
        return method.explain(subject, params).model_copy(update={"documents": documents})

    bench.execution._methods = {"documented": replace(method, explain=explain)}
    return bench.explain(bench.job("documented"))


def test_documents_are_files_of_the_result_and_linked_from_the_report(bench: Bench) -> None:
    finished = documented(bench, {"moebius": {"data": {"0,1": 0.25}}, "k-sii": []})

    files = {artifact.name: artifact for artifact in finished.artifacts}
    assert json.loads(bench.artifacts.get(files["moebius.json"].sha256)) == {"data": {"0,1": 0.25}}
    assert files["moebius.json"].media_type == "application/json"
    assert bench.artifacts.get(files["k-sii.json"].sha256) == b"[]"
    result = json.loads(bench.artifacts.get(files["result.json"].sha256))
    assert result["artifacts"] == list(files)
    assert "documents" not in result
    assert b'<a href="moebius.json">' in bench.artifacts.get(files["report.html"].sha256)


@pytest.mark.parametrize("name", ["nothing", "../moebius", "result.json\0"])
def test_a_document_of_another_name_is_a_defect(bench: Bench, name: str) -> None:
    with pytest.raises(InternalError, match="no job can have"):
        documented(bench, {name: {}})


def test_a_document_that_is_not_finite_fails_the_job(bench: Bench) -> None:
    with pytest.raises(NumericalError):
        documented(bench, {"moebius": {"data": {"0": float("nan")}}})


# ---------------------------------------------------------------- several inputs and checkpoints


def watched(bench: Bench, explain: Callable[[Subject], object]) -> None:
    """Let the bench's one method call `explain` before it answers."""
    method = bench.execution._methods["integrated-gradients"]

    def watching(subject: Subject, params: Params) -> Explanation:
        explain(subject)
        return method.explain(subject, params)

    bench.execution._methods = {"integrated-gradients": replace(method, explain=watching)}


def test_a_method_is_given_the_further_inputs_and_says_which(bench: Bench) -> None:
    seen: list[list[float]] = []
    watched(bench, lambda subject: seen.extend(sample.input.tolist() for sample in subject.samples))
    samples = tuple(bench.features(row) for row in ([1.0, 0, 0, 0], [0, 1.0, 0, 0]))

    finished = bench.explain(bench.job(samples=samples))

    assert seen == [[1, 0, 0, 0], [0, 1, 0, 0]]
    assert bench.result(finished)["provenance"]["sample_sha256s"] == [sample.sha256 for sample in samples]


def test_checkpoints_are_loaded_when_their_turn_comes_and_are_the_uploaded_networks(bench: Bench) -> None:
    earlier = [bench.another(seed) for seed in (1, 2)]
    loads: list[str] = []
    bench.count_loads(loads)
    found: dict[str, torch.Tensor] = {}

    def look(subject: Subject) -> None:
        assert loads == [bench.model.sha256]
        assert (subject.model_id, subject.model_name) == (bench.model.id, "model")
        for checkpoint in subject.checkpoints:
            found[checkpoint.id] = checkpoint.load()(torch.ones(1, 4))
            assert len(loads) == 1 + len(found)
        subject.checkpoints[0].load()

    watched(bench, look)
    job = bench.job(checkpoint_ids=tuple(model.id for model, _ in earlier))
    finished = bench.explain(job, *(model for model, _ in earlier))

    for model, module in earlier:
        torch.testing.assert_close(found[model.id], module(torch.ones(1, 4)))
    assert len(loads) == 3, "the cache keeps what fits"
    provenance = bench.result(finished)["provenance"]
    assert provenance["checkpoint_ids"] == [model.id for model, _ in earlier]
    assert provenance["checkpoint_sha256s"] == [model.sha256 for model, _ in earlier]


def test_networks_of_a_sequence_do_not_pile_up_in_memory(bench: Bench) -> None:
    earlier = [bench.another(seed)[0] for seed in range(5)]
    bench.execution._models = ModelCache(0)
    alive: list[int] = []
    references: list[weakref.ref[nn.Module]] = []

    def look(subject: Subject) -> None:
        for checkpoint in subject.checkpoints:
            references.append(weakref.ref(checkpoint.load()))
            gc.collect()
            alive.append(sum(reference() is not None for reference in references))

    watched(bench, look)
    bench.explain(bench.job(), *earlier)

    assert alive == [0] * 5
