"""The models that a runner keeps loaded."""

from __future__ import annotations

from torch import nn

from jobs.schemas import Model
from tests.unit.worker.scripts import MODEL
from worker.model_cache import ModelCache

BYTES = 4 * (9 * 10 + 10)
"""Of `nn.Linear(9, 10)` in float32."""


class Loader:
    """Loads the same small module for every model, and remembers for which."""

    def __init__(self) -> None:
        self.loaded: list[str | None] = []

    def __call__(self, model: Model) -> nn.Module:
        self.loaded.append(model.weights_sha256)
        return nn.Linear(9, 10)


def model(name: str) -> Model:
    return MODEL.model_copy(update={"weights_sha256": name, "size_bytes": BYTES})


def test_a_model_is_loaded_once() -> None:
    cache, load = ModelCache(10 * BYTES), Loader()

    first, second = cache.get(model("a"), load), cache.get(model("a"), load)

    assert first is second
    assert load.loaded == ["a"]
    assert cache.used_bytes == BYTES


def test_equal_weights_under_another_manifest_are_another_model() -> None:
    cache, load = ModelCache(10 * BYTES), Loader()
    renamed = MODEL.manifest.model_copy(update={"classes": ("cat", "dog")})

    cache.get(model("a"), load)
    cache.get(model("a").model_copy(update={"manifest": renamed}), load)

    assert load.loaded == ["a", "a"]


def test_the_least_recently_used_model_makes_room() -> None:
    cache, load = ModelCache(2 * BYTES), Loader()

    for name in "aba":
        cache.get(model(name), load)
    cache.get(model("c"), load)
    assert cache.used_bytes == 2 * BYTES
    for name in "acb":
        cache.get(model(name), load)

    assert load.loaded == ["a", "b", "c", "b"]


def test_a_model_above_the_budget_is_loaded_for_its_job_and_not_kept() -> None:
    cache, load = ModelCache(BYTES - 1), Loader()

    assert isinstance(cache.get(model("a"), load), nn.Linear)

    assert cache.used_bytes == 0
