"""What a runner executes: from a job to files in the artifact store. Runs inside the runner, where torch may be."""

from __future__ import annotations

import json
from collections.abc import Mapping

import torch
from torch import nn

from jobs.artifacts import ArtifactStore
from jobs.errors import InternalError
from jobs.schemas import Explanation, Job, JobKind, Model, Provenance
from jobs.settings import Settings
from jobs.version import CODE_VERSION
from worker import devices, render
from worker.dataset_execution import examine
from worker.files import Files, Stopwatch, as_json, as_npy
from worker.messages import Compute, Examine, Finished, Inspected, Outcome, Train, Work
from worker.methods._registry import Checkpoint, Method, Report, Subject, methods
from worker.model_cache import ModelCache
from worker.models import inspect_upload, load
from worker.progress import Meter
from worker.subjects import load_subject
from worker.table_cache import ScopedTables, TableCache
from worker.training_execution import TrainingExecution


class Execution:
    """Computes jobs one after the other; keeps models loaded in between.

    Args:
        slot: Which of the worker's runners this is.

    Raises:
        ValueError: There is no such device as the settings name.
    """

    def __init__(self, settings: Settings, *, slot: int) -> None:
        self._settings = settings
        self._files = Files(ArtifactStore(settings.bytes_url))
        self._device = devices.pick(settings.device, slot=slot)
        devices.set_up(self._device)
        self._models = ModelCache(settings.model_cache_mib * 2**20)
        self._tables = TableCache(settings.data_dir / "tables", settings.table_cache_mib * 2**20)
        self._methods = methods()
        self._versions = devices.versions()
        self._train = TrainingExecution(settings, self._files, self._module, self._device, self._versions)

    def __call__(self, order: Work, report: Meter) -> Outcome:
        """Compute one job and store its files.

        Raises:
            InterplayError: The job cannot be computed, or its bytes cannot be read or written.
            JobCanceled: Out of `report`.
        """
        with devices.memory_errors_translated():
            match order:
                case Train():
                    return self._train(order, report)
                case Examine():
                    return examine(order.dataset, self._files, report, self._settings)
                case Compute() if order.job.kind is JobKind.INSPECTION:
                    return self._inspect(order.model)
                case Compute():
                    return self._explain(order, report)

    def _inspect(self, model: Model) -> Inspected:
        watch = Stopwatch()
        with watch.stage("inspect"), self._files.open(model.sha256) as artifact:
            upload = inspect_upload(model.manifest, artifact, device=self._device)
        with watch.stage("store"):
            weights_sha256 = self._files.artifacts.put(upload.weights)
        return Inspected(
            weights_sha256=weights_sha256,
            manifest=upload.manifest,
            inspection=upload.inspection,
            timings=watch.seconds,
            device=devices.describe(self._device),
        )

    def _explain(self, order: Compute, report: Report) -> Finished:
        watch = Stopwatch()
        job, method = order.job, self._method(order.job)
        report("load", 0, 0)
        with watch.stage("load"):
            module = self._module(order.model)
        with watch.stage("prepare"):
            subject = self._subject(order, method, module, report)
        with watch.stage("compute"):
            explanation = method.explain(subject, method.params.of(job.params, method=method.id))
        report("render", 0, 0)
        with watch.stage("render"):
            provenance = self._provenance(order, subject)
            files = _files(explanation, provenance, subject, watch.seconds)
        with watch.stage("store"):
            artifacts = self._files.put_all(files)
        return Finished(
            artifacts=artifacts, timings=watch.seconds, cost=explanation.cost, device=devices.describe(self._device)
        )

    def _method(self, job: Job) -> Method:
        try:
            return self._methods[job.method or ""]
        except KeyError as error:
            detail = f"The gateway offers the method {job.method!r}, but this worker's version does not have it."
            raise InternalError(detail) from error

    def _module(self, model: Model) -> nn.Module:
        return self._models.get(model, self._load)

    def _load(self, model: Model) -> nn.Module:
        with self._files.open(model.weights_sha256 or model.sha256) as weights:
            return load(model.manifest, weights, device=self._device)

    def _subject(self, order: Compute, method: Method, module: nn.Module, report: Report) -> Subject:
        job = order.job
        if job.input is None and method.needs_input:
            raise InternalError(f"The explanation job {job.id} has no input.")
        return load_subject(
            job,
            order.model,
            module,
            [self._files.artifacts.get(one.sha256) for one in (job.input, *job.samples) if one],
            settings=self._settings,
            device=self._device,
            report=report,
            tables=self._tables_of(job.tenant, order.model),
            checkpoints=[self._checkpoint(job.tenant, earlier) for earlier in order.checkpoints],
        )

    def _checkpoint(self, tenant: str, model: Model) -> Checkpoint:
        return Checkpoint(
            id=model.id,
            name=model.manifest.name,
            load=lambda: self._module(model),
            tables=self._tables_of(tenant, model),
        )

    def _tables_of(self, tenant: str, model: Model) -> ScopedTables:
        """Return the tables that were evaluated for this tenant on this very network, by this code on such a device."""
        weights, manifest = model.weights_sha256 or model.sha256, model.manifest.model_dump_json()
        return self._tables.of(tenant, weights, manifest, json.dumps(self._versions), self._device.type)

    def _provenance(self, order: Compute, subject: Subject) -> Provenance:
        job, model = order.job, order.model
        preset = job.params.get("preset")
        return Provenance(
            method=job.method or "",
            preset=preset if isinstance(preset, str) else None,
            params=job.params,
            seed=job.seed,
            model_id=model.id,
            model_sha256=model.sha256,
            input_sha256=job.input.sha256 if job.input is not None else None,
            checkpoint_ids=job.checkpoint_ids,
            checkpoint_sha256s=tuple(earlier.sha256 for earlier in order.checkpoints),
            sample_sha256s=tuple(sample.sha256 for sample in job.samples),
            code_version=CODE_VERSION,
            versions=self._versions,
            device=devices.describe(self._device),
            dtype=str(_dtype(subject)).removeprefix("torch."),
        )


def _dtype(subject: Subject) -> torch.dtype:
    """Return the type of the numbers that the network computes with; ids only choose among its weights."""
    if subject.input.is_floating_point():
        return subject.input.dtype
    return next((weight.dtype for weight in subject.model.parameters()), torch.get_default_dtype())


def _files(
    explanation: Explanation, provenance: Provenance, subject: Subject, seconds: Mapping[str, float]
) -> dict[str, bytes]:
    """Return every file of a result by artifact name: result.json, pictures, arrays, documents, and the page of it all.

    Raises:
        NumericalError: The result, or a document, holds a number that is not finite.
    """
    pixels = subject.pixels.detach().cpu().numpy() if subject.pixels is not None else None
    pictures = render.pictures(explanation, pixels)
    arrays = {"values.npz": render.values(explanation)} if explanation.arrays else {}
    kept = {f"{name}.npy": as_npy(array) for name, array in explanation.kept.items()}
    documents = {f"{name}.json": as_json(document) for name, document in explanation.documents.items()}
    names = ["result.json", *pictures, *arrays, *kept, *documents, "report.html"]
    result = {
        **explanation.model_dump(mode="json"),
        "provenance": provenance.model_dump(mode="json"),
        "seconds": dict(seconds),
        "artifacts": names,
    }
    whole = {"result.json": as_json(result)}
    page = {"report.html": render.report(result, pictures, pixels=pixels)}
    return {**whole, **pictures, **arrays, **kept, **documents, **page}
