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
    """

    def __init__(self, benchmark: str, *, device: str = "cpu", threads: int | None = None) -> None:
        self.benchmark = benchmark
        self.rows: list[Row] = []
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

    def finish(self) -> None:
        """Print the table and write the file."""
        print(table(self.rows))
        RESULTS.mkdir(exist_ok=True)
        lines = [json.dumps(asdict(row), ensure_ascii=False) for row in self.rows]
        (RESULTS / f"{self.benchmark}.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

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
