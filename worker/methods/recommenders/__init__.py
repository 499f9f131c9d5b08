"""Recommender models to compare L0-SIGN with: they take every pair of a row's features into account.

Each takes the batches of L0-SIGN (`worker.methods.l0_sign.pairs.Rows`) and gives a logit a row. A feature's embedding
is multiplied by its value; unknown features share one last embedding, which is 0 at first. Perceptrons have one hidden
layer of 32 rectified units, as L0-SIGN's have, and there is no dropout and no batch norm.

With `fields`, every row has one entry a field, in the fields' order. Without, rows are sets of any length, and what
the papers do field by field is done so that the order of a row does not matter: DeepFM's and xDeepFM's deep parts take
the sum of the embeddings where the papers join them, xDeepFM's compressed interaction network has the same weights for
all places, and AutoInt's output weights are the same for all places, with a mean over a row's features.
"""

from __future__ import annotations

import torch
from torch import nn

from worker.methods.recommenders.afm import AFM
from worker.methods.recommenders.autoint import AutoInt
from worker.methods.recommenders.deepfm import DeepFM
from worker.methods.recommenders.fm import FM
from worker.methods.recommenders.nfm import NFM
from worker.methods.recommenders.xdeepfm import XDeepFM

_OF_SETS = {"fm": FM, "afm": AFM, "nfm": NFM}
_OF_FIELDS = {"deepfm": DeepFM, "xdeepfm": XDeepFM, "autoint": AutoInt}

RECOMMENDERS: tuple[str, ...] = (*_OF_SETS, *_OF_FIELDS)


def recommender(
    name: str, *, features: int, fields: int | None, embedding: int, generator: torch.Generator
) -> nn.Module:
    """Make a model with random weights; called with `Rows`, it gives logits, `(rows,)`.

    Args:
        name: One of `RECOMMENDERS`.
        features: How many the vocabulary knows.
        fields: Entries of every row; None: rows are sets. FM, AFM and NFM are the same for both.
        embedding: Size of a feature's vector.
        generator: Of the weights at first.

    Raises:
        ValueError: There is no such model.
    """
    if name in _OF_SETS:
        return _OF_SETS[name](features, embedding, generator)
    if name in _OF_FIELDS:
        return _OF_FIELDS[name](features, fields, embedding, generator)
    raise ValueError(f"expected one of {', '.join(RECOMMENDERS)}, got {name!r}")
