"""Which pictures an explanation can be drawn as: decided by what it contains, not by the method that made it."""

from __future__ import annotations

import numpy as np

from jobs.context_orders import ContextOrders
from jobs.schemas import Explanation
from worker.render.arrays import Floats
from worker.render.bars import feature_bars, set_bars
from worker.render.bottleneck import bottleneck
from worker.render.disturbances import disturbances
from worker.render.dynamics import dynamics
from worker.render.heatmap import heatmap
from worker.render.interactions import interactions
from worker.render.maps import overlay, saliency
from worker.render.orders import orders
from worker.render.pairs import pairs
from worker.render.players import player_names
from worker.render.ranking import ranking
from worker.render.sets import sets
from worker.render.similarities import similarities
from worker.render.sparsity import sparsity


def pictures(explanation: Explanation, pixels: Floats | None) -> dict[str, bytes]:
    """Draw everything that there is to see, as PNG bytes by artifact name.

    Args:
        explanation: Of an image: `arrays["attribution"]` and players of shape `(channels, height, width)`; of
            features: both of shape `(features,)`. Of players that are cells or regions of a picture:
            `arrays["player_labels"]`.
        pixels: `(height, width, 3)` in [0, 1], the picture as the model saw it; None for features.

    Raises:
        ValueError: A number to be drawn is not finite.
    """
    if "strengths_matrix" in explanation.arrays:
        return _of_columns(explanation)
    of_input = _of_features(explanation) if len(explanation.players.shape) == 1 else _of_image(explanation, pixels)
    if explanation.contexts is not None:
        return {**of_input, **_of_contexts(explanation, explanation.contexts, pixels)}
    return {**of_input, **_of_logic(explanation, pixels), **_of_orders(explanation)}


def _of_columns(explanation: Explanation) -> dict[str, bytes]:
    names, matrix = player_names(explanation.players), np.asarray(explanation.arrays["strengths_matrix"])
    what = "patches" if explanation.players.kind == "patch" else "columns"
    drawn = {"heatmap.png": heatmap(matrix, names, explanation.unit, (), what=what)} if matrix.any() else {}
    if explanation.interactions:
        drawn["ranking.png"] = ranking(explanation.interactions, names, ())
    return drawn


def _of_image(explanation: Explanation, pixels: Floats | None) -> dict[str, bytes]:
    drawn = {}
    if "attribution" in explanation.arrays:
        drawn["saliency.png"] = saliency(explanation)
        if pixels is not None:
            drawn["overlay.png"] = overlay(explanation, pixels)
    if _holds_sets(explanation) and explanation.players.kind == "pixel-channel":
        drawn["sets.png"] = sets(explanation, pixels)
    return drawn


def _of_features(explanation: Explanation) -> dict[str, bytes]:
    drawn = {}
    if "attribution" in explanation.arrays:
        drawn["saliency.png"] = feature_bars(explanation)
    if _holds_sets(explanation):
        drawn["sets.png"] = set_bars(explanation)
    return drawn


def _of_logic(explanation: Explanation, pixels: Floats | None) -> dict[str, bytes]:
    nothing_found = not explanation.interactions and explanation.orders is not None
    if nothing_found or any(interaction.kind != "set" for interaction in explanation.interactions):
        return {"interactions.png": interactions(explanation, pixels)}
    return {}


def _of_orders(explanation: Explanation) -> dict[str, bytes]:
    drawn = {}
    if explanation.orders is not None:
        drawn["orders.png"] = orders(explanation, explanation.orders)
    if "strengths" in explanation.arrays:
        drawn["sparsity.png"] = sparsity(explanation)
    if explanation.sequence:
        drawn["dynamics.png"] = dynamics(explanation, explanation.sequence)
    if explanation.disturbed:
        drawn["disturbances.png"] = disturbances(explanation, explanation.disturbed)
    if explanation.similarities:
        drawn["similarities.png"] = similarities(explanation, explanation.similarities)
    return drawn


def _of_contexts(explanation: Explanation, contexts: ContextOrders, pixels: Floats | None) -> dict[str, bytes]:
    return {"bottleneck.png": bottleneck(explanation, contexts), "pairs.png": pairs(explanation, contexts, pixels)}


def _holds_sets(explanation: Explanation) -> bool:
    return any(interaction.kind == "set" for interaction in explanation.interactions)
