"""Folders that only the service's own user may enter."""

from __future__ import annotations

from pathlib import Path


def make_private(folder: Path) -> Path:
    """Create `folder` and whatever is missing above it, each with mode 0700, and return it.

    `Path.mkdir(parents=True)` would give the mode to the last folder alone.
    A folder that exists is left as its owner made it.
    """
    if not folder.exists():
        make_private(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
    return folder
