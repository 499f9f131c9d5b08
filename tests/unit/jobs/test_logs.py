"""One formatter for our own records and for those of the libraries."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from jobs.logs import configure_logs
from jobs.settings import Settings


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


def test_our_records_and_a_library_s_are_json_lines_of_one_form(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(Settings(log_format="json"))

    structlog.get_logger("test_logs").info("job_ended", attempt=2)
    logging.getLogger("some.library").warning("%s is slow", "disk")

    ours, theirs = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert (ours["event"], ours["level"], ours["attempt"]) == ("job_ended", "info", 2)
    assert (theirs["event"], theirs["level"]) == ("disk is slow", "warning")


def test_a_traceback_is_part_of_its_json_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(Settings(log_format="json"))

    try:
        raise ZeroDivisionError("by zero")
    except ZeroDivisionError:
        structlog.get_logger("test_logs").exception("job_raised")

    assert "ZeroDivisionError: by zero" in json.loads(capsys.readouterr().err)["exception"]


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_records_below_the_level_are_left_out(log_format: str, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(Settings(log_format=log_format, log_level="warning"))  # type: ignore[arg-type]

    structlog.get_logger("test_logs").info("quiet")
    logging.getLogger("some.library").info("quiet")
    structlog.get_logger("test_logs").warning("loud")

    assert "quiet" not in (printed := capsys.readouterr().err)
    assert "loud" in printed
