"""The compose file against the Compose specification's own schema, and against what the design promises of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker-compose.yml"
SERVICES = yaml.safe_load(COMPOSE.read_text())["services"]


def test_the_compose_file_fits_the_specification():
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(COMPOSE)]

    done = subprocess.run(check, capture_output=True, text=True)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_every_container_is_read_only_and_without_privileges(name):
    service = SERVICES[name]

    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]


def test_only_the_gateway_is_reachable_and_only_from_this_host():
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}

    assert published == {"gateway": ["127.0.0.1:8000:8000"]}
    assert "front" not in SERVICES["worker"]["networks"] + SERVICES["redis"]["networks"]


def test_both_images_run_as_a_user_and_say_whether_they_are_healthy():
    dockerfile = (ROOT / "Dockerfile").read_text()

    for stage in ("gateway", "worker"):
        lines = dockerfile.split(f"FROM base AS {stage}\n")[1].split("\nFROM ")[0].splitlines()
        assert "USER interplay" in lines
        assert any(line.startswith("HEALTHCHECK ") for line in lines)
        command = json.loads(next(line for line in lines if line.startswith("CMD ")).removeprefix("CMD "))
        assert command == ["interplay", stage]
