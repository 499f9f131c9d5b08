"""The doorbell over every broker: embedded, and a real Redis server."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from celery import Celery
from kombu import Connection
from pydantic import SecretStr

from jobs.errors import QueueUnavailable
from jobs.queue import QUEUES, TASK, Queue, celery_config
from jobs.schemas import Job
from jobs.settings import Settings
from tests.contract.rows import a_job, a_model

IMPATIENCE_SECONDS = 8.0
"""Two tries of two seconds, with room for a slow machine; a request must not hang for longer."""


@pytest.fixture(params=["embedded", pytest.param("redis", marks=pytest.mark.redis)])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    if request.param == "embedded":
        return Settings(data_dir=tmp_path / "data")
    return Settings(data_dir=tmp_path / "data", broker_url=SecretStr(request.getfixturevalue("redis_url")))


@pytest.fixture
def queue(settings: Settings) -> Iterator[Queue]:
    queue = Queue(settings)
    yield queue
    queue.close()


@pytest.fixture
def connection(settings: Settings) -> Iterator[Connection]:
    """A worker's side of the queue."""
    app = Celery("test", set_as_current=False)
    app.conf.update(celery_config(settings))
    with app.connection_for_read() as connection:
        for name in QUEUES:
            connection.default_channel.queue_purge(name)
        yield connection
    app.close()


def job(**fields: Any) -> Job:
    return a_job(a_model(), **fields)


def heard(connection: Connection, name: str, count: int) -> list[str]:
    """The job ids of the next `count` messages of a queue."""
    queue = connection.SimpleQueue(name)
    ids = []
    for _ in range(count):
        message = queue.get(timeout=5)
        message.ack()
        (arguments, keywords, _), task = message.payload, message.headers["task"]
        assert (task, len(arguments), keywords) == (TASK, 1, {})
        ids.append(arguments[0])
    with pytest.raises(queue.Empty):
        queue.get(timeout=0.05)
    queue.close()
    return ids


def test_a_ring_says_which_job_waits_and_nothing_else(queue: Queue, connection: Connection):
    waiting = job()

    queue.ring(waiting)

    assert heard(connection, "interactive", 1) == [waiting.id]


def test_each_priority_has_a_queue_of_its_own(queue: Queue, connection: Connection):
    urgent, patient = job(priority="interactive"), job(priority="batch")
    queue.ring(patient)
    queue.ring(urgent)

    assert heard(connection, "interactive", 1) == [urgent.id]
    assert heard(connection, "batch", 1) == [patient.id]


def test_many_threads_ring_at_once(queue: Queue, connection: Connection):
    waiting = [job() for _ in range(100)]

    with ThreadPoolExecutor(10) as threads:
        list(threads.map(queue.ring, waiting))

    assert sorted(heard(connection, "interactive", 100)) == sorted(job.id for job in waiting)


def test_a_queue_that_answers_is_well(queue: Queue):
    queue.ping()


def test_two_queues_may_ring(settings: Settings, queue: Queue, connection: Connection):
    other = Queue(settings)
    queue.ring(job())
    other.ring(job())
    other.close()

    assert len(heard(connection, "interactive", 2)) == 2


def test_a_broker_that_is_gone_is_reported_soon():
    queue = Queue(Settings(broker_url=SecretStr("redis://127.0.0.1:1/0")))
    began = time.monotonic()

    for ask in (lambda: queue.ring(job()), queue.ping):
        with pytest.raises(QueueUnavailable):
            ask()

    assert time.monotonic() - began < IMPATIENCE_SECONDS
    queue.close()


def test_a_broker_that_hangs_is_reported_soon():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        queue = Queue(Settings(broker_url=SecretStr(f"redis://127.0.0.1:{silent.getsockname()[1]}/0")))
        began = time.monotonic()

        with pytest.raises(QueueUnavailable):
            queue.ring(job())

        assert time.monotonic() - began < IMPATIENCE_SECONDS
        queue.close()


def test_a_folder_that_cannot_be_written_is_reported():
    queue = Queue(Settings(data_dir=Path("/dev/null/data")))

    for ask in (lambda: queue.ring(job()), queue.ping):
        with pytest.raises(QueueUnavailable):
            ask()


def test_celery_knows_every_setting(settings: Settings):
    """A setting that Celery renamed would be ignored silently."""
    from celery.app.defaults import DEFAULTS

    assert set(celery_config(settings)) <= set(DEFAULTS)


def test_no_message_is_repeated_while_its_job_may_run(settings: Settings):
    options = celery_config(settings)["broker_transport_options"]

    assert options.get("visibility_timeout", float("inf")) > settings.deadline_seconds
