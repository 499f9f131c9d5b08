"""The console script `interplay`."""

from __future__ import annotations

import argparse
import http.client
import os
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Thread

import uvicorn
from pydantic import ValidationError

from app import commands
from app.supervisor import Child, Supervisor
from jobs import pulse
from jobs.errors import StoreUnavailable
from jobs.logs import configure_logs
from jobs.private_folder import make_private
from jobs.settings import Settings
from jobs.store import JobStore
from jobs.version import CODE_VERSION

MISUSE = 2
"""Exit code where the caller has to change something: settings, port, folder."""

READY_SECONDS = 120.0
READY_POLL_SECONDS = 0.1
READY_TIMEOUT_SECONDS = 5.0

Command = Callable[[argparse.Namespace], int]


class Misuse(Exception):
    """What the person at the terminal has to change."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except Misuse as error:
        print(f"interplay: {error}", file=sys.stderr)
        return MISUSE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="interplay",
        description="Explain what a neural network's inputs do together.",
        epilog="Every setting is an environment variable, INTERPLAY_…; options come before them.",
    )
    commands_of = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for run, summary in COMMANDS.items():
        command = commands_of.add_parser(run.__name__, help=summary, description=summary)
        command.set_defaults(run=run)
        _add_options(command, run)
    return parser


def _add_options(parser: argparse.ArgumentParser, run: Command) -> None:
    if run in (serve, gateway, health):
        parser.add_argument("--host", help="address of the gateway (INTERPLAY_HOST)")
        parser.add_argument("--port", type=int, help="port of the gateway (INTERPLAY_PORT); serve: 0 takes a free one")
    if run is not version:
        parser.add_argument("--data-dir", type=Path, help="folder of jobs, bytes and queue (INTERPLAY_DATA_DIR)")
    if run is gateway:
        parser.add_argument("--fd", type=int, help="listen on this inherited socket")
    if run is health:
        parser.add_argument("--worker", action="store_true", help="ask after the worker on this host instead")


def _settings(options: argparse.Namespace) -> Settings:
    """Read the settings, options before environment, and set up the logs; children see the same by the environment."""
    for name in ("host", "port", "data_dir"):
        if (value := getattr(options, name, None)) is not None:
            os.environ[f"INTERPLAY_{name.upper()}"] = str(value)
    try:
        settings = Settings()
    except ValidationError as error:
        faults = [f"INTERPLAY_{str(fault['loc'][0]).upper()}: {fault['msg']}" for fault in error.errors()]
        raise Misuse("; ".join(faults)) from error
    configure_logs(settings)
    return settings


def _check_data_dir(settings: Settings) -> None:
    try:
        with tempfile.TemporaryFile(dir=make_private(settings.data_dir.resolve())):
            pass
    except OSError as error:
        raise Misuse(f"cannot write to the data folder: {error}; set INTERPLAY_DATA_DIR to another") from error


def _check_store(settings: Settings) -> None:
    try:
        JobStore(settings.store_url).close()
    except StoreUnavailable as error:
        raise Misuse(error.detail) from error


def _listen(settings: Settings) -> socket.socket:
    try:
        settings.check_exposure()
        return commands.listen(settings.host, settings.port)
    except ValueError as error:
        raise Misuse(str(error)) from error
    except OSError as error:
        raise Misuse(f"cannot listen on {settings.host}:{settings.port}: {error.strerror}; try --port 0") from error


def serve(options: argparse.Namespace) -> int:
    """Keep a gateway and a worker running until a signal says stop."""
    settings = _settings(options)
    _check_data_dir(settings)
    _check_store(settings)
    # The supervisor owns the socket: while a gateway is replaced, callers wait in the backlog and are not refused.
    with _listen(settings) as listening:
        host, port = commands.reachable(settings.host), listening.getsockname()[1]
        address = commands.url(host, port)
        print(f"Interplay {CODE_VERSION} starts on {address} (data in {settings.data_dir.resolve()})", flush=True)
        Thread(target=_announce, args=(host, port, address), daemon=True).start()
        Supervisor(_children(settings, listening.fileno()), os.environ).run()
    return 0


def _children(settings: Settings, fd: int) -> list[Child]:
    return [
        Child("gateway", commands.gateway_command(fd), pass_fds=(fd,)),
        Child("worker", commands.worker_command(settings)),
    ]


def gateway(options: argparse.Namespace) -> int:
    """Run only the gateway, in this process."""
    settings = _settings(options)
    listening = _listen(settings) if options.fd is None else socket.socket(fileno=options.fd)
    config = uvicorn.Config(
        "app.asgi:app",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=commands.GATEWAY_STOP_SECONDS,
        timeout_keep_alive=commands.KEEP_ALIVE_SECONDS,
    )
    server = uvicorn.Server(config)
    server.run(sockets=[listening])
    return 0 if server.started else 1


def worker(options: argparse.Namespace) -> int:
    """Become a Celery worker."""
    settings = _settings(options)
    _check_data_dir(settings)
    command = commands.worker_command(settings)
    os.execv(command[0], command)  # noqa: S606


def health(options: argparse.Namespace) -> int:
    """Tell by the exit code whether the gateway is ready, or whether this host's worker listens to its queue."""
    settings = _settings(options)
    if options.worker:
        return 0 if pulse.age_seconds(settings) < pulse.OLD_SECONDS else 1
    return 0 if _ready(commands.reachable(settings.host), settings.port) else 1


def version(_: argparse.Namespace) -> int:
    """Print the version."""
    print(CODE_VERSION)
    return 0


def _announce(host: str, port: int, address: str) -> None:
    """Say so once the service can be used."""
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until:
        if _ready(host, port):
            print(f"Ready. Documentation of the API: {address}/docs", flush=True)
            return
        time.sleep(READY_POLL_SECONDS)
    print(f"interplay: still not ready after {READY_SECONDS:.0f} s; see the log above", file=sys.stderr, flush=True)


def _ready(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=READY_TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


COMMANDS: dict[Command, str] = {
    serve: "Start the service, gateway and worker, and restart what dies.",
    gateway: "Run only the gateway.",
    worker: "Run only a worker.",
    health: "Exit with 0 if the gateway is ready; for containers.",
    version: "Print the version.",
}

if __name__ == "__main__":
    sys.exit(main())
