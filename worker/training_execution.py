"""What a runner does for a training: data and start in, a fitted model, its inspection and its report out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

import torch
from torch import nn

from jobs.errors import InternalError, NotFinished
from jobs.schemas import Job, Model
from jobs.settings import Settings
from jobs.trainings import ModelReference, TrainedModel, TrainingProvenance, TrainingResult
from jobs.version import CODE_VERSION
from worker import devices, render
from worker.datasets import load as load_data
from worker.files import Files, Stopwatch, as_json, as_npy
from worker.messages import Finished, Train
from worker.models import inspect_state
from worker.progress import Meter
from worker.save_points import StoredCheckpoints
from worker.trainings._registry import NewModel, TrainingMethod, TrainingTask, trainings


class TrainingExecution:
    """Carries out trainings on one device.

    Args:
        load_model: Returns the module of a model on `device`.
    """

    def __init__(
        self,
        settings: Settings,
        files: Files,
        load_model: Callable[[Model], nn.Module],
        device: torch.device,
        versions: Mapping[str, str],
    ) -> None:
        self._settings = settings
        self._files = files
        self._load_model = load_model
        self._device = device
        self._versions = dict(versions)
        self._methods = trainings()

    def __call__(self, order: Train, report: Meter) -> Finished:
        """Train, inspect what came out, and store everything.

        Raises:
            InterplayError: The training cannot be done, or its bytes cannot be read or written.
            JobCanceled: Out of `report`.
        """
        watch = Stopwatch()
        job, method = order.job, self._method(order.job)
        data_sha256, inspection = order.dataset.data_sha256, order.dataset.inspection
        if data_sha256 is None or inspection is None:
            raise NotFinished(f"the dataset {order.dataset.id} is not ready")
        report("load", 0, 0)
        with self._files.open(data_sha256) as path:
            with watch.stage("load"):
                task = self._task(order, report, TrainingTask(data=load_data(path, inspection)))
            with watch.stage("compute"):
                trained = method.train(task, method.params.of(job.params, method=f"the training {method.id}"))
        report("render", 0, 0)
        with watch.stage("inspect"):
            models = [self._inspected(job, model) for model in trained.models]
        with watch.stage("render"):
            files = self._result_files(order, trained.result, models, watch)
        with watch.stage("store"):
            artifacts = self._files.put_all(files)
        return Finished(
            artifacts=artifacts, timings=watch.seconds, cost=trained.result.cost,
            device=devices.describe(self._device), models=tuple(models),
        )  # fmt: skip

    def _method(self, job: Job) -> TrainingMethod:
        try:
            return self._methods[job.method or ""]
        except KeyError as error:
            detail = f"The gateway offers the training {job.method!r}, but this worker's version does not have it."
            raise InternalError(detail) from error

    def _task(self, order: Train, report: Meter, bare: TrainingTask) -> TrainingTask:
        job, setup = order.job, order.job.training
        if setup is None:
            raise InternalError(f"The training job {job.id} has no setup.")
        checkpoints = StoredCheckpoints(self._files, job.resume, report.keep, seconds=self._settings.checkpoint_seconds)
        return TrainingTask(
            data=bare.data,
            start=self._load_model(order.model) if order.model else None,
            manifest=order.model.manifest if order.model else None,
            architecture=setup.architecture,
            name=setup.name,
            seed=job.seed,
            device=self._device,
            report=report,
            checkpoints=checkpoints,
        )

    def _inspected(self, job: Job, model: NewModel) -> TrainedModel:
        """Look at a new model as at an upload, and store its weights."""
        weights, inspection = inspect_state(model.manifest, dict(model.state), device=self._device)
        return TrainedModel(
            id=_model_id(job, model),
            manifest=model.manifest,
            weights_sha256=self._files.artifacts.put(weights),
            size_bytes=len(weights),
            inspection=inspection,
            epoch=model.epoch,
        )

    def _result_files(
        self, order: Train, result: TrainingResult, models: list[TrainedModel], watch: Stopwatch
    ) -> dict[str, bytes]:
        pictures = render.training_pictures(result)
        arrays = {"values.npz": render.archive(result.arrays)} if result.arrays else {}
        kept = {f"{name}.npy": as_npy(array) for name, array in result.kept.items()}
        documents = {f"{name}.json": as_json(document) for name, document in result.documents.items()}
        names = ["result.json", *pictures, *arrays, *kept, *documents, "report.html"]
        made = [ModelReference(id=one.id, name=one.manifest.name, epoch=one.epoch) for one in models]
        whole = {
            **result.model_dump(mode="json"),
            "model": made[-1].id if made else None,
            "models": [reference.model_dump(mode="json") for reference in made],
            "provenance": self._provenance(order).model_dump(mode="json"),
            "seconds": dict(watch.seconds),
            "artifacts": names,
        }
        page = {"report.html": render.training_report(whole, pictures)}
        return {"result.json": as_json(whole), **pictures, **arrays, **kept, **documents, **page}

    def _provenance(self, order: Train) -> TrainingProvenance:
        job, preset = order.job, order.job.params.get("preset")
        return TrainingProvenance(
            method=job.method or "",
            preset=preset if isinstance(preset, str) else None,
            params=job.params,
            seed=job.seed,
            dataset_id=order.dataset.id,
            dataset_sha256=order.dataset.sha256,
            model_id=order.model.id if order.model else None,
            model_sha256=order.model.sha256 if order.model else None,
            code_version=CODE_VERSION,
            versions=self._versions,
            device=devices.describe(self._device),
        )


def _model_id(job: Job, model: NewModel) -> str:
    """Return an id that every attempt at this job gives to this model, and that only who knows the job's can guess."""
    return f"model_{hashlib.sha256(f'{job.id} {model.epoch} {model.manifest.name}'.encode()).hexdigest()[:32]}"
