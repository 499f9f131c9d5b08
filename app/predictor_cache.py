"""The models that are asked by rows, kept open: as many as fit a budget of bytes, the least recently used out first."""

from __future__ import annotations

import threading
from collections import OrderedDict

from jobs.artifacts import ArtifactStore
from jobs.errors import NotFound
from jobs.predictors import Predictor, predictor_of, read_tensors
from jobs.schemas import Model


class PredictorCache:
    """Predictors by model and digest; several threads may ask at once, and each model is opened once.

    Args:
        budget_bytes: Of tensors together. A model above it is opened for its request and not kept.
    """

    def __init__(self, budget_bytes: int) -> None:
        self._budget = budget_bytes
        self._open: OrderedDict[tuple[str, str], Predictor] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, model: Model, artifacts: ArtifactStore) -> Predictor:
        """Return what answers for `model`, which is ready.

        Raises:
            NotFound: Its bytes were deleted just now.
            UnsupportedModel: It is of a family that is not asked by rows.
        """
        sha256 = model.weights_sha256 or model.sha256
        key = (model.id, sha256)
        with self._lock:
            if key not in self._open:
                self._open[key] = _opened(model, sha256, artifacts)
            self._open.move_to_end(key)
            predictor = self._open[key]
            self._shrink()
            return predictor

    @property
    def used_bytes(self) -> int:
        """Bytes of the tensors of what is open."""
        return sum(predictor.size_bytes for predictor in self._open.values())

    def _shrink(self) -> None:
        while self._open and self.used_bytes > self._budget:
            self._open.popitem(last=False)


def _opened(model: Model, sha256: str, artifacts: ArtifactStore) -> Predictor:
    path = artifacts.local_path(sha256)
    try:
        # A file is mapped: of its tables only what is looked up is read, and its pages are the system's to drop.
        tensors = read_tensors(artifacts.get(sha256) if path is None else path)
    except FileNotFoundError as error:
        raise NotFound(f"the model {model.id} was deleted just now") from error
    return predictor_of(model.manifest, tensors)
