"""The explanations behind the committed pictures. After a change that is meant to be seen, look at the new ones:

python -m tests.golden.render
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from jobs.schemas import Explanation
from tests.explanations import of_features, picture, scattered_sets, signed_map
from tests.logical_explanations import checkpoints, disturbed, of_cells, of_players, profile, similarities
from tests.logs import a_log_result
from worker import render

FOLDER = Path(__file__).parent / "render"


def explanations() -> Mapping[str, Explanation]:
    """By name."""
    return {
        "sets": scattered_sets(sets=9),
        "signed": signed_map(16),
        "features": of_features([0.5, -1.25, 3e-4], ("age", "Größe", "a name that is much too long for its column")),
        "cells": of_cells(sequence=checkpoints(5), disturbed=disturbed(4), similarities=similarities(2)),
        "columns": of_players(6, names=("age", "Größe", "a name that is much too long for its row", "猫", "e", "f")),
        "words": of_players(9, kind="token", names=("the", "film", "is", "not", "a", "masterpiece", ",", "it", "is")),
        "nothing": of_players(
            3, found=(), orders=profile(3, scale=0.0, split=False), arrays={"strengths": np.zeros(11)}
        ),
    }


def files() -> dict[str, bytes]:
    """Every picture by file name."""
    return {
        f"{name}-{file}": data
        for name, explanation in explanations().items()
        for file, data in render.pictures(explanation, _pixels(explanation)).items()
    } | {f"log-{file}": data for file, data in render.training_pictures(a_log_result()).items()}


def _pixels(explanation: Explanation) -> np.ndarray | None:
    if "player_labels" in explanation.arrays:
        return picture(len(explanation.arrays["player_labels"]))
    shape = explanation.players.shape
    return picture(shape[1]) if len(shape) == 3 else None


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, data in files().items():
        (FOLDER / name).write_bytes(data)
