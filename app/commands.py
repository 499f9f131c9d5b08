"""The command lines of the parts, and the gateway's socket. Torch and `worker` are named here, never imported."""

from __future__ import annotations

import socket
import sys

from jobs.queue import QUEUES
from jobs.settings import Settings

BACKLOG = 512
KEEP_ALIVE_SECONDS = 75
"""Longer than callers pause between two polls: one that reuses a connection just as it is closed sees an error."""

GATEWAY_STOP_SECONDS = 5
"""What open replies, long polls among them, may still take when the gateway is told to stop."""


def worker_command(settings: Settings) -> list[str]:
    """Return the command that runs the Celery worker in this process's place."""
    return [
        sys.executable, "-m", "celery", "--quiet", "--app", "worker.celery_app", "worker",
        "--pool", "threads", "--concurrency", str(settings.slots), "--queues", ",".join(QUEUES),
        "--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", settings.log_level,
    ]  # fmt: skip


def gateway_command(fd: int) -> list[str]:
    """Return the command that runs a gateway on a socket that listens already, inherited as `fd`."""
    return [sys.executable, "-m", "app.cli", "gateway", "--fd", str(fd)]


def listen(host: str, port: int) -> socket.socket:
    """Return a listening TCP socket; port 0 takes a free one.

    Raises:
        OSError: The port is taken, or the address is not this machine's.
    """
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    return socket.create_server((host, port), family=family, backlog=BACKLOG)


def reachable(host: str) -> str:
    """Return the address by which this machine reaches a gateway on `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104


def url(host: str, port: int) -> str:
    """Return the address to tell a person."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
