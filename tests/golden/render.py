"""The explanations behind the committed pictures. After a change that is meant to be seen, look at the new ones:

python -m tests.golden.render
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from jobs.schemas import Explanation
from tests.explanations import of_features, picture, scattered_sets, signed_map
from worker import render

FOLDER = Path(__file__).parent / "render"


def explanations() -> Mapping[str, Explanation]:
    """By name."""
    return {
        "sets": scattered_sets(sets=9),
        "signed": signed_map(16),
        "features": of_features([0.5, -1.25, 3e-4], ("age", "Größe", "a name that is much too long for its column")),
    }


def files() -> dict[str, bytes]:
    """Every picture by file name."""
    return {
        f"{name}-{file}": data
        for name, explanation in explanations().items()
        for file, data in render.pictures(explanation, _pixels(explanation)).items()
    }


def _pixels(explanation: Explanation) -> np.ndarray | None:
    shape = explanation.players.shape
    return picture(shape[1]) if len(shape) == 3 else None


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, data in files().items():
        (FOLDER / name).write_bytes(data)
