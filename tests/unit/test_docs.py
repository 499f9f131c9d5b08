"""The documentation names what there is."""

from __future__ import annotations

import re
from pathlib import Path

from jobs import catalog
from jobs.settings import Settings

DOCS = Path(__file__).parents[2] / "docs"


def test_every_setting_is_documented_and_no_other():
    documented = set(re.findall(r"^\| `INTERPLAY_(\w+)`", (DOCS / "operations.md").read_text(), re.MULTILINE))

    assert documented == {name.upper() for name in Settings.model_fields}


def test_every_method_is_documented():
    documented = set(re.findall(r"^\| `([\w-]+)` \|", (DOCS / "methods.md").read_text(), re.MULTILINE))

    assert set(catalog.methods()) <= documented
