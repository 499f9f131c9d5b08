"""The command line, as far as it starts nothing."""

from __future__ import annotations

import sqlite3

import pytest

from app.cli import MISUSE, main
from jobs.version import CODE_VERSION


def test_version_prints_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version"]) == 0

    assert capsys.readouterr().out.strip() == CODE_VERSION


@pytest.mark.parametrize("command", ["serve", "gateway", "worker", "health", "version"])
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main([command, "--help"])

    assert left.value.code == 0
    assert f"interplay {command}" in capsys.readouterr().out


def test_no_command_at_all_is_misuse(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main([])

    assert left.value.code == 2
    assert "COMMAND" in capsys.readouterr().err


def test_the_store_of_another_version_is_refused_before_anything_starts(tmp_path, capsys):
    with sqlite3.connect(tmp_path / "jobs.db") as database:
        database.execute("CREATE TABLE jobs (id TEXT, tenant TEXT, status TEXT, lease_until REAL)")
    database.close()

    assert main(["serve", "--port", "0", "--data-dir", str(tmp_path)]) == MISUSE
    assert "another version" in capsys.readouterr().err
