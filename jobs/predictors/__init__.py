"""Models that the gateway asks itself, in NumPy: predictions, what they are made of, and what holds over all rows.

Two families (see `jobs.row_models`): the additive model of MLP-Cutoff and L0-SIGN. No torch, no network library.
"""

from __future__ import annotations

from jobs.errors import UnsupportedModel
from jobs.predictors.additive import AdditivePredictor
from jobs.predictors.answers import By, Explained, Overall, Page, Part, Predicted, Predictor, Remarks
from jobs.predictors.l0_sign import L0SignPredictor
from jobs.predictors.tensors import Tensors, read_tensors
from jobs.row_models import AdditiveArchitecture, L0SignArchitecture
from jobs.schemas import Manifest

__all__ = [
    "By", "Explained", "Overall", "Page", "Part", "Predicted", "Predictor", "Remarks", "predictor_of", "read_tensors",
]  # fmt: skip


def predictor_of(manifest: Manifest, tensors: Tensors) -> Predictor:
    """Return what answers for a model.

    Raises:
        UnsupportedModel: The model is of another family, or its tensors do not fit the manifest.
    """
    architecture = manifest.architecture
    if isinstance(architecture, AdditiveArchitecture):
        outputs = len(manifest.classes or ()) if architecture.task == "multiclass" else 1
        return AdditivePredictor(architecture, tensors, outputs=outputs)
    if isinstance(architecture, L0SignArchitecture):
        return L0SignPredictor(architecture, tensors, manifest.features)
    raise UnsupportedModel(f"expected a model that is asked by rows, got one of family {architecture.family}")
