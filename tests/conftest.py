"""Shared by every test: one torch thread, and Hypothesis without deadlines (two shared cores are slow at random)."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis
import pytest
import torch

pytest_plugins = ["tests.redis_server"] if (Path(__file__).parent / "redis_server.py").exists() else []

torch.set_num_threads(1)
hypothesis.settings.register_profile("interplay", deadline=None, max_examples=50, print_blob=True)
hypothesis.settings.load_profile("interplay")


@pytest.fixture(scope="session")
def assets() -> Path:
    """Folder of real weights and photographs beside a developer's checkout; without it such tests are skipped."""
    folder = Path(__file__).parents[2] / "shared" / "assets"
    if not folder.is_dir():
        pytest.skip(f"no real weights and photographs at {folder}")
    return folder
