"""The sign of life of a host's worker: a file that its event loop touches, because a PID says too little."""

from __future__ import annotations

import socket
import time
from pathlib import Path

from jobs.private_folder import make_private
from jobs.settings import Settings

BEAT_SECONDS = 5.0
OLD_SECONDS = 30.0


def beat(settings: Settings) -> None:
    """Say that this host's worker listens to its queue."""
    file = _file(settings)
    make_private(file.parent)
    file.touch()


def age_seconds(settings: Settings) -> float:
    """Return how long ago this host's worker gave a sign of life; infinite if it never did."""
    try:
        return max(0.0, time.time() - _file(settings).stat().st_mtime)
    except FileNotFoundError:
        return float("inf")


def _file(settings: Settings) -> Path:
    return settings.data_dir.resolve() / "workers" / socket.gethostname()
