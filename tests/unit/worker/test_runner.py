"""The runner process and its parent's handle, with computations that this file gives it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from jobs.errors import InvalidInput
from jobs.settings import Settings
from tests.unit.worker.scripts import MODEL, PATIENCE_SECONDS, job, open_scripts
from worker.handle import Runner, RunnerDied
from worker.messages import Cancel, Canceled, Compute, Failed, Finished, Reply, Working
from worker.runner import Execute


def open_nothing(settings: Settings) -> Execute:
    raise RuntimeError("no device")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, slots=2, torch_threads=3)


@pytest.fixture
def runner(settings: Settings) -> Iterator[Runner]:
    with started(Runner(settings, open_scripts)) as runner:
        yield runner


@contextmanager
def started(runner: Runner) -> Iterator[Runner]:
    runner.start()
    try:
        assert runner.wait_until_ready(PATIENCE_SECONDS)
        yield runner
    finally:
        runner.close()


def compute(runner: Runner, method: str) -> Reply:
    runner.send(Compute(job=job(method), model=MODEL))
    return await_reply(runner)


def await_reply(runner: Runner) -> Reply:
    reply = runner.receive(PATIENCE_SECONDS)
    assert reply is not None
    return reply


def alive(pid: int) -> bool:
    """Whether the process runs; a zombie, which only waits for its parent to look, does not."""
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def test_one_process_computes_job_after_job(runner: Runner) -> None:
    replies = [compute(runner, "finish") for _ in range(3)]

    assert [reply.timings["pid"] for reply in replies if isinstance(reply, Finished)] == [runner.pid] * 3


def test_the_runner_is_another_process_with_its_environment_set(runner: Runner) -> None:
    reply = compute(runner, "environment")

    assert isinstance(reply, Finished)
    assert reply.timings == {"TORCH_FORCE_WEIGHTS_ONLY_LOAD": 1.0, "OMP_NUM_THREADS": 3.0, "torch imported": 0.0}


def test_an_error_for_the_caller_arrives_as_its_problem(runner: Runner) -> None:
    assert compute(runner, "refuse") == Failed(problem=InvalidInput("Not a picture.").problem())


def test_an_unexpected_error_names_its_type_and_the_job_but_keeps_its_text_to_the_log(runner: Runner) -> None:
    reply = compute(runner, "divide_by_zero")

    assert isinstance(reply, Failed)
    assert reply.problem.code == "internal-error"
    assert "ZeroDivisionError in job job_1" in reply.problem.detail
    assert "secret" not in reply.problem.detail


def test_an_error_does_not_end_the_runner(runner: Runner) -> None:
    compute(runner, "divide_by_zero")

    assert isinstance(compute(runner, "finish"), Finished)


def test_an_answer_that_cannot_be_sent_is_an_internal_error_and_does_not_end_the_runner(runner: Runner) -> None:
    reply = compute(runner, "refuse_in_words_that_cannot_be_sent")

    assert isinstance(reply, Failed)
    assert reply.problem.code == "internal-error"
    assert isinstance(compute(runner, "finish"), Finished)


def test_progress_arrives_while_it_computes(runner: Runner) -> None:
    runner.send(Compute(job=job("count"), model=MODEL))

    first, second = await_reply(runner), await_reply(runner)

    assert isinstance(first, Working)
    assert isinstance(second, Working)
    assert (first.progress.stage, first.progress.total) == ("counting", 10_000)
    assert second.progress.done > first.progress.done
    assert second.progress.eta_seconds is not None


def test_a_cancel_is_obeyed_at_the_next_report(runner: Runner) -> None:
    runner.send(Compute(job=job("count"), model=MODEL))
    assert isinstance(await_reply(runner), Working)

    runner.send(Cancel(job_id="job_1"))

    replies = iter(lambda: await_reply(runner), None)
    assert isinstance(next(reply for reply in replies if not isinstance(reply, Working)), Canceled)
    assert isinstance(compute(runner, "finish"), Finished)


def test_a_cancel_of_another_job_is_ignored(runner: Runner) -> None:
    runner.send(Cancel(job_id="job_0"))

    assert isinstance(compute(runner, "finish"), Finished)


def test_the_death_of_a_runner_is_seen_at_once_and_a_fresh_one_takes_over(runner: Runner) -> None:
    first = runner.pid

    with pytest.raises(RunnerDied, match="SIGKILL"):
        compute(runner, "kill_itself")
    runner.start()

    assert runner.wait_until_ready(PATIENCE_SECONDS)
    reply = compute(runner, "finish")
    assert isinstance(reply, Finished)
    assert reply.timings["pid"] != first


def test_kill_ends_a_runner_that_hears_nothing(runner: Runner) -> None:
    runner.send(Compute(job=job("hang"), model=MODEL))
    pid = runner.pid
    assert pid is not None

    runner.kill()

    assert not alive(pid)
    with pytest.raises(RunnerDied):
        runner.send(Cancel(job_id="job_1"))


def test_a_runner_that_cannot_load_its_libraries_dies(settings: Settings) -> None:
    runner = Runner(settings, open_nothing)
    runner.start()

    with pytest.raises(RunnerDied, match="exit code 1"):
        runner.wait_until_ready(PATIENCE_SECONDS)


def test_a_runner_is_worn_out_after_its_number_of_jobs(settings: Settings) -> None:
    with started(Runner(settings.model_copy(update={"runner_recycle_jobs": 2}), open_scripts)) as runner:
        compute(runner, "finish")
        assert not runner.worn_out
        compute(runner, "finish")
        assert runner.worn_out


def test_resident_memory_is_that_of_the_runner(runner: Runner) -> None:
    before = runner.resident_mib()

    runner.send(Compute(job=job("eat_memory"), model=MODEL))

    # The meal is 400 MiB; the margin is for what the interpreter itself allocates or returns meanwhile.
    until = time.monotonic() + PATIENCE_SECONDS
    while runner.resident_mib() < before + 350 and time.monotonic() < until:
        time.sleep(0.02)
    assert runner.resident_mib() >= before + 350


PARENT = """
import sys
from tests.unit.worker.scripts import MODEL, PATIENCE_SECONDS, job, open_scripts
from jobs.settings import Settings
from worker.handle import Runner
from worker.messages import Compute

if __name__ == "__main__":
    runner = Runner(Settings(), open_scripts)
    runner.start()
    assert runner.wait_until_ready(PATIENCE_SECONDS)
    runner.send(Compute(job=job("hang"), model=MODEL))
    print(runner.pid, flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
def test_a_runner_in_mid_computation_dies_with_its_parent(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(PARENT)
    with subprocess.Popen(
        [sys.executable, script],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    ) as parent:  # fmt: skip
        assert parent.stdout is not None
        runner_pid = int(parent.stdout.readline())
        assert alive(runner_pid)

        parent.kill()

    until = time.monotonic() + PATIENCE_SECONDS
    while alive(runner_pid) and time.monotonic() < until:
        time.sleep(0.02)
    assert not alive(runner_pid)
