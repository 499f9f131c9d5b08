"""A gateway in this process, over real stores in a folder; a queue that records; a worker played by hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest
from starlette.testclient import TestClient

from app.deps import Gateway
from app.main import create_app
from jobs import catalog
from jobs.settings import Settings
from tests.unit.app.service import (
    BASE_URL,
    CATALOG,
    RecordingQueue,
    features_manifest,
    inline,
    inspect,
    safetensors,
    upload,
)


@pytest.fixture(autouse=True)
def few_methods(monkeypatch) -> Iterator[None]:
    """A catalogue of few methods that does not change with the real one."""
    monkeypatch.setattr(catalog, "_catalog", lambda: CATALOG)
    caches = (catalog.methods, catalog.trainings, catalog.architectures, catalog._validator)
    for cache in caches:
        cache.cache_clear()
    yield
    for cache in caches:
        cache.cache_clear()


@pytest.fixture
def settings(tmp_path) -> Settings:
    # The reaper rests: tests say when something happens.
    return Settings(
        data_dir=tmp_path / "data", reaper_interval_seconds=3600.0, max_input_mib=1, max_model_mib=1, max_dataset_mib=1
    )


@pytest.fixture
def queue() -> RecordingQueue:
    return RecordingQueue()


@pytest.fixture
def client(settings, queue) -> Iterator[TestClient]:
    with TestClient(create_app(settings, queue=queue), base_url=BASE_URL) as client:
        yield client


@pytest.fixture
def here(client) -> Gateway:
    """The gateway's parts, behind the HTTP."""
    return client.app.state.gateway


@pytest.fixture
def model_id(client, here) -> str:
    """A model of pictures that is ready."""
    made: str = upload(client).json()["id"]
    inspect(here, made)
    return made


@pytest.fixture
def features_model_id(client, here) -> str:
    """A model of four features that is ready."""
    made: str = upload(client, features_manifest(), artifact=safetensors(5)).json()["id"]
    inspect(here, made)
    return made


@pytest.fixture
def explain(client, model_id):
    """Post an explanation; keyword arguments change the body."""

    def post(headers: Mapping[str, str] | None = None, **changes: object):
        body = {"model": model_id, "input": inline(), **changes}
        return client.post("/v1/explanations", json=body, headers=dict(headers or {}))

    return post
