"""The embedded broker: kombu over a SQLite file."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from kombu import Connection

from jobs import transport

MESSAGES = 1000
CONSUMERS = 3
RACE_SECONDS = 60.0
"""Far longer than the race takes, even on busy cores."""

transport.register()

PUBLISHER = """
import sys, time
from kombu import Connection
from jobs import transport
transport.register()
with Connection(sys.argv[1]) as connection:
    queue = connection.SimpleQueue("race")
    for number in range(int(sys.argv[2])):
        queue.put(number)
        time.sleep(0.001)
"""

CONSUMER = """
import sys
from kombu import Connection
from jobs import transport
transport.register()
with Connection(sys.argv[1], transport_options={"polling_interval": 0.005}) as connection:
    queue = connection.SimpleQueue("race")
    while True:
        message = queue.get(timeout=60)
        message.ack()
        if message.payload < 0:
            break
        print(message.payload, flush=True)
"""

DIES_AFTER_PUTTING = """
import os, signal, sys
from kombu import Connection
from jobs import transport
transport.register()
Connection(sys.argv[1]).SimpleQueue("race").put("last words")
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"interplay+sqlite:///{tmp_path / 'data' / 'queue.db'}"


@pytest.fixture
def connection(url: str) -> Iterator[Connection]:
    with Connection(url, transport_options={"polling_interval": 0.005}) as connection:
        yield connection


def start(script: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", script, *arguments], stdout=subprocess.PIPE, text=True)


def run(script: str, *arguments: str) -> int:
    """Run the script to its end; return its exit status."""
    return subprocess.run([sys.executable, "-c", script, *arguments], timeout=RACE_SECONDS).returncode


def test_messages_come_in_the_order_in_which_they_were_put(connection: Connection):
    queue = connection.SimpleQueue("first")
    for number in range(5):
        queue.put({"number": number, "text": "é"})

    received = [queue.get(timeout=5) for _ in range(5)]

    assert [message.payload for message in received] == [{"number": n, "text": "é"} for n in range(5)]
    for message in received:
        message.ack()


def test_queues_do_not_mix(connection: Connection):
    first, second = connection.SimpleQueue("first"), connection.SimpleQueue("second")
    first.put("one")
    second.put("two")

    assert (first.qsize(), second.qsize()) == (1, 1)
    assert second.get(timeout=5).payload == "two"
    assert first.clear() == 1
    with pytest.raises(first.Empty):
        first.get(timeout=0.05)


def test_a_message_that_is_not_acknowledged_comes_back_when_the_channel_closes(url: str):
    with Connection(url) as connection:
        connection.SimpleQueue("first").put("again")
        assert connection.SimpleQueue("first").get(timeout=5).payload == "again"

    with Connection(url) as connection:
        message = connection.SimpleQueue("first").get(timeout=5)
        message.ack()
        assert message.payload == "again"


def test_a_message_that_is_put_during_a_wait_ends_it(url: str, connection: Connection):
    with pytest.raises(TimeoutError):
        connection.drain_events(timeout=0.05)
    queue = connection.SimpleQueue("race")

    with start(PUBLISHER, url, "1"):
        assert queue.get(timeout=RACE_SECONDS).payload == 0


def test_the_polling_interval_is_what_the_options_say(url: str):
    with Connection(url, transport_options={"polling_interval": 0.02}) as connection:
        assert connection.transport.polling_interval == 0.02


def test_the_file_is_private_and_made_where_missing(connection: Connection, tmp_path: Path):
    connection.connect()

    assert (tmp_path / "data" / "queue.db").is_file()
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700


def test_a_message_outlives_the_process_that_put_it(url: str, connection: Connection):
    assert run(DIES_AFTER_PUTTING, url) == -signal.SIGKILL

    assert connection.SimpleQueue("race").get(timeout=5).payload == "last words"


def test_each_message_is_delivered_once_while_several_processes_race(url: str, connection: Connection):
    consumers = [start(CONSUMER, url) for _ in range(CONSUMERS)]
    assert run(PUBLISHER, url, str(MESSAGES)) == 0
    queue = connection.SimpleQueue("race")
    for _ in consumers:
        queue.put(-1)

    delivered = [consumer.communicate(timeout=RACE_SECONDS)[0].split() for consumer in consumers]

    assert [consumer.returncode for consumer in consumers] == [0] * CONSUMERS
    assert all(delivered), "every consumer should have had its share"
    assert Counter(int(number) for share in delivered for number in share) == Counter(range(MESSAGES))


def test_a_lock_held_for_too_long_is_an_error_that_celery_outlives(url: str, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(transport, "BUSY_SECONDS", 0.05)
    with Connection(url) as connection:
        queue = connection.SimpleQueue("first")
        writer = sqlite3.connect(tmp_path / "data" / "queue.db", isolation_level=None)
        writer.execute("BEGIN IMMEDIATE")

        with pytest.raises(connection.connection_errors):
            queue.put("word")

        writer.execute("ROLLBACK")
        writer.close()
        queue.put("word")
        assert queue.qsize() == 1


IDLE_SHARE = 0.05
"""Of a core, with 0.02 s between looks. Measured: about 1 %; the bound leaves room for a slow machine."""


def test_idling_costs_next_to_nothing(connection: Connection):
    connection.transport.polling_interval = 0.02
    queue = connection.SimpleQueue("first")
    before, began = time.process_time(), time.monotonic()

    with pytest.raises(queue.Empty):
        queue.get(timeout=1.0)

    assert (time.process_time() - before) / (time.monotonic() - began) < IDLE_SHARE


def test_a_file_that_is_no_database_is_a_connection_error(tmp_path: Path, url: str):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "queue.db").write_bytes(os.urandom(5000))

    with Connection(url) as connection, pytest.raises(connection.connection_errors):
        connection.connect()
