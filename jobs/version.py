"""The version of the code that computes; part of every content key, so that new code never answers with old results."""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, version


def _installed() -> str:
    try:
        return version("interplay")
    except PackageNotFoundError:  # run from a source tree that was never installed
        return "0+source"


CODE_VERSION = "+".join(filter(None, [_installed(), os.environ.get("INTERPLAY_COMMIT")]))
