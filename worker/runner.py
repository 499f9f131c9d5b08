"""The runner: the one process that holds torch, devices and what strangers uploaded.

A runner is spawned (never forked: CUDA does not survive a fork), speaks `worker.messages` with its parent over a pipe,
and computes one job at a time. It may be killed at any moment; everything it has not sent is then as if it never was.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from queue import SimpleQueue
from threading import Lock, Thread

import structlog

from jobs.errors import InternalError, InterplayError, OutOfMemory
from jobs.logs import configure_logs
from jobs.schemas import Progress, ResumePoint
from jobs.settings import Settings
from worker.messages import (
    Cancel,
    Canceled,
    Failed,
    Outcome,
    Ready,
    Reply,
    Saved,
    Work,
    Working,
    encode,
    receive_order,
    send,
)
from worker.progress import JobCanceled, Meter

log = structlog.get_logger()

Execute = Callable[[Work, Meter], Outcome]
OpenExecution = Callable[[Settings], Execute]
"""Makes what a runner executes; called inside the runner, once its environment is set and torch may be imported."""


def open_execution(settings: Settings, *, slot: int, nice: int = 0) -> Execute:
    """Load the libraries that compute (torch among them) and return the product's `Execute`.

    Args:
        nice: How far this process steps back, on a CPU, for those that somebody waits for.
    """
    from worker.execution import Execution

    os.nice(nice)

    return Execution(settings, slot=slot)


def serve(connection: Connection, settings: Settings, open_execution: OpenExecution) -> None:
    """Answer the parent's orders until it closes the pipe or dies; the entry point of the process."""
    # Ctrl-C reaches every process of a terminal; whether to stop is the parent's decision.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    configure_logs(settings)
    prepare_environment(settings)
    line = Line(connection)
    execute = open_execution(settings)
    line.send(Ready())
    while True:
        order = line.jobs.get()
        line.send(serialisable(answer(order, execute, line), order.job.id))


def prepare_environment(settings: Settings) -> None:
    """Set what torch and its thread pools read when they are first imported."""
    # torch.export.load and others fall back to full pickle unless this is set: arbitrary code from an upload.
    os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"
    threads = settings.torch_threads or max(1, _cores() // settings.slots)
    for library in ("OMP", "MKL", "OPENBLAS"):
        os.environ[f"{library}_NUM_THREADS"] = str(threads)
    # OpenMP threads spin for milliseconds while they wait. On cores that others use too (the gateway does), they spin
    # away the time that the thread they wait for needs: a 1 ms computation then takes 50 ms.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


class Line:
    """The runner's end of the pipe: a thread listens, so that it hears a cancel, or its parent die, in mid-job."""

    def __init__(self, connection: Connection) -> None:
        self.jobs: SimpleQueue[Work] = SimpleQueue()
        self._connection = connection
        self._canceled: str | None = None
        self._sending = Lock()
        Thread(target=self._listen, name="line", daemon=True).start()

    def send(self, reply: Reply) -> None:
        """Write to the parent; without a parent there is nothing left to live for."""
        try:
            with self._sending:
                send(self._connection, reply)
        except OSError:
            os._exit(1)

    def canceled(self, job_id: str) -> bool:
        return self._canceled == job_id

    def _listen(self) -> None:
        while True:
            try:
                order = receive_order(self._connection)
            except (EOFError, OSError):
                # The main thread may be deep in a kernel for minutes; only _exit stops it now.
                os._exit(0)
            if isinstance(order, Cancel):
                self._canceled = order.job_id
            else:
                self.jobs.put(order)


def answer(order: Work, execute: Execute, line: Line) -> Outcome:
    """Compute one job and turn whatever happens into a message; the traceback goes to the log, never to the caller."""
    job = order.job
    meter = Meter(partial(_send_progress, line), partial(line.canceled, job.id), keep=partial(_send_point, line))
    with structlog.contextvars.bound_contextvars(job=job.id, tenant=job.tenant):
        try:
            return execute(order, meter)
        except JobCanceled:
            return Canceled()
        except InterplayError as error:
            log.info("job_failed", code=error.code, detail=error.detail)
            return Failed(problem=error.problem())
        except MemoryError:
            log.exception("job_out_of_memory")
            return Failed(problem=OutOfMemory("The runner could not allocate memory; use a smaller input.").problem())
        except Exception as error:
            # The process border: whatever a method raises must not end the runner.
            log.exception("job_raised")
            return Failed(problem=_internal(error, job.id).problem())


def serialisable(outcome: Outcome, job_id: str) -> Outcome:
    """Return the outcome, or a failure in place of one that cannot be written as JSON and would end the runner."""
    try:
        encode(outcome)
    except ValueError as error:
        log.exception("outcome_not_serialisable", job=job_id)
        return Failed(problem=_internal(error, job_id).problem())
    return outcome


def _send_progress(line: Line, progress: Progress) -> None:
    line.send(Working(progress=progress))


def _send_point(line: Line, point: ResumePoint) -> None:
    line.send(Saved(point=point))


def _internal(error: Exception, job_id: str) -> InternalError:
    return InternalError(f"{type(error).__name__} in job {job_id}; the worker's log has the details under that id.")
