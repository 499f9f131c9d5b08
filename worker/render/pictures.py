"""Which pictures an explanation can be drawn as: decided by what it contains, not by the method that made it."""

from __future__ import annotations

from jobs.schemas import Explanation
from worker.render.arrays import Floats
from worker.render.bars import feature_bars, set_bars
from worker.render.maps import overlay, saliency
from worker.render.sets import sets


def pictures(explanation: Explanation, pixels: Floats | None) -> dict[str, bytes]:
    """Draw everything that there is to see, as PNG bytes by artifact name.

    Args:
        explanation: Of an image: `arrays["attribution"]` and players of shape `(channels, height, width)`; of
            features: both of shape `(features,)`.
        pixels: `(height, width, 3)` in [0, 1], the picture as the model saw it; None for features.

    Raises:
        ValueError: An attribution is not finite.
    """
    return _of_features(explanation) if len(explanation.players.shape) == 1 else _of_image(explanation, pixels)


def _of_image(explanation: Explanation, pixels: Floats | None) -> dict[str, bytes]:
    drawn = {}
    if "attribution" in explanation.arrays:
        drawn["saliency.png"] = saliency(explanation)
        if pixels is not None:
            drawn["overlay.png"] = overlay(explanation, pixels)
    if explanation.interactions and explanation.players.kind == "pixel-channel":
        drawn["sets.png"] = sets(explanation, pixels)
    return drawn


def _of_features(explanation: Explanation) -> dict[str, bytes]:
    drawn = {}
    if "attribution" in explanation.arrays:
        drawn["saliency.png"] = feature_bars(explanation)
    if explanation.interactions:
        drawn["sets.png"] = set_bars(explanation)
    return drawn
