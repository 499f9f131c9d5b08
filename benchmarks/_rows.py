"""The rows of a benchmark: an aligned table for people, one JSON line a row for programs."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any

RESULTS = Path(__file__).parent / "results"
ROOT = Path(__file__).parent.parent

_PACKAGES = ("celery", "fastapi", "kombu", "numpy", "scikit-image", "SQLAlchemy", "torch", "torchvision", "uvicorn")


@dataclass(frozen=True)
class Row:
    """One measurement; `ratio` compares `value` with that of `peer` where there is one."""

    benchmark: str
    metric: str
    case: str
    value: float
    unit: str
    peer: str | None
    ratio: float | None
    device: str
    threads: int
    versions: dict[str, str]
    commit: str


class Rows:
    """Collect rows, print them aligned, and write them to `results/NAME.jsonl`, replacing the file.

    Use it as a context manager, or call `finish()`; a benchmark that raises leaves the old file as it was.

    Args:
        benchmark: Name of the benchmark, and of the file.
        device: What computed, such as ``cpu`` or ``NVIDIA H100``.
        threads: Of torch's kernels; default: the cores this process may use.
        at_once: Write and print every row as it comes: for long benchmarks, of which a run cut short is worth keeping.
        keep: Leave rows of the old file that no row of the same metric and case replaces: for a part of a benchmark.
    """

    def __init__(
        self,
        benchmark: str,
        *,
        device: str = "cpu",
        threads: int | None = None,
        at_once: bool = False,
        keep: bool = False,
    ) -> None:
        self.benchmark = benchmark
        self.rows: list[Row] = []
        self._at_once = at_once
        self._old = _lines(self._file) if keep else []
        self._device = device
        self._threads = threads if threads is not None else len(os.sched_getaffinity(0))
        self._versions = _versions()
        self._commit = _commit()

    def add(
        self,
        *,
        metric: str,
        case: str,
        value: float,
        unit: str,
        peer: str | None = None,
        ratio: float | None = None,
        device: str | None = None,
    ) -> None:
        """Add a row; `device` where it differs from the benchmark's."""
        row = Row(
            benchmark=self.benchmark, metric=metric, case=case, value=value, unit=unit, peer=peer, ratio=ratio,
            device=device or self._device, threads=self._threads, versions=self._versions, commit=self._commit,
        )  # fmt: skip
        self.rows.append(row)
        if self._at_once:
            print("  ".join(_cells(row)).rstrip(), flush=True)
            self._write()

    def finish(self) -> None:
        """Print the table and write the file."""
        print(table(self.rows))
        self._write()

    @property
    def _file(self) -> Path:
        return RESULTS / f"{self.benchmark}.jsonl"

    def _write(self) -> None:
        new = {(row.metric, row.case) for row in self.rows}
        old = [line for line in self._old if (line["metric"], line["case"]) not in new]
        lines = [json.dumps(line, ensure_ascii=False) for line in (*old, *map(asdict, self.rows))]
        RESULTS.mkdir(exist_ok=True)
        self._file.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def __enter__(self) -> Rows:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        if kind is None:
            self.finish()


def table(rows: Sequence[Row]) -> str:
    """Write `rows` as aligned columns under a heading line."""
    heading = ("metric", "case", "value", "unit", "ratio", "peer")
    cells = [heading, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(heading))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells
    )


def _cells(row: Row) -> tuple[str, ...]:
    ratio = "" if row.ratio is None else f"{row.ratio:.4g}"
    return row.metric, row.case, f"{row.value:.4g}", row.unit, ratio, row.peer or ""


def _lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _commit() -> str:
    """Name the commit that ran; "unknown" outside a repository, "-dirty" with uncommitted changes."""
    describe = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    answer = subprocess.run(describe, cwd=ROOT, capture_output=True, text=True, check=False)
    return answer.stdout.strip() or "unknown"
