"""Every implementation of the seams, opened as a service would open it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from jobs.schemas import Model
from jobs.store import JobStore
from tests.contract.rows import Clock, a_model

OpenStore = Callable[[], JobStore]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["sqlite"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of an empty database of each kind."""
    assert request.param == "sqlite"
    return f"sqlite:///{tmp_path / 'data' / 'jobs.db'}"


@pytest.fixture
def open_store(store_url: str, clock: Clock) -> Iterator[OpenStore]:
    """Opens the same database each time it is called, as several processes would."""
    opened: list[JobStore] = []

    def open_one() -> JobStore:
        opened.append(JobStore(store_url, clock=clock))
        return opened[-1]

    yield open_one
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: OpenStore) -> JobStore:
    return open_store()


@pytest.fixture
def model(store: JobStore) -> Model:
    return store.add_model(a_model())[0]
