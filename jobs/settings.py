"""What an operator can set, from the environment (`INTERPLAY_…`); every quantity names its unit."""

from __future__ import annotations

import ipaddress
from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """All settings of gateway, worker and supervisor.

    `INTERPLAY_DATA_DIR=/srv/interplay` sets `data_dir`, and so on. Unset, everything lives in `./data` and needs
    no server: SQLite for jobs, a folder for bytes, and a SQLite file for the queue.
    """

    model_config = SettingsConfigDict(env_prefix="INTERPLAY_", frozen=True, extra="ignore")

    data_dir: Path = Field(Path("data"), description="Folder of the embedded store, artifacts and queue.")
    database_url: str | None = Field(None, description="SQLAlchemy URL of the job store; default: SQLite in data_dir.")
    artifacts_url: str | None = Field(
        None, description="fsspec URL of the artifact store; default: a folder in data_dir."
    )
    broker_url: SecretStr | None = Field(
        None, description="Celery broker, e.g. redis://host:6379/0; default: embedded."
    )

    host: str = Field("127.0.0.1", description="Address the gateway listens on; others than loopback need api_keys.")
    port: int = Field(8000, ge=0, le=65535)
    api_keys: dict[str, str] = Field(
        default_factory=dict, description='JSON object: SHA-256 hex digest of a key → tenant, {"9f86…": "team-a"}.'
    )

    device: str = Field("auto", description="auto, cpu, cuda or cuda:N, for the runners of this worker.")
    slots: int = Field(1, ge=1, le=64, description="Runner processes of this worker; one per GPU.")
    torch_threads: int | None = Field(None, ge=1, description="Threads per runner; default: cores / slots.")
    memory_budget_mib: int = Field(
        2048, ge=64, description="Activations a runner may hold at once when it sizes chunks."
    )
    runner_memory_limit_mib: int | None = Field(None, description="Resident memory above which a runner is stopped.")
    runner_recycle_jobs: int = Field(500, ge=1, description="Jobs after which a runner is replaced.")
    model_cache_mib: int = Field(4096, ge=0, description="Models a runner keeps loaded, least recently used out first.")
    table_cache_mib: int = Field(
        256, ge=0, description="Tables of model outputs kept between jobs, least recently used out first; 0: none."
    )
    predictor_cache_mib: int = Field(
        512, ge=0, description="Models asked by rows that the gateway keeps open, least recently used out first."
    )
    sam_model: str | None = Field(
        None, description="Folder or hub name of a Segment Anything model; enables prior=sam."
    )

    lease_seconds: float = Field(
        15.0, gt=0, description="A running job whose worker is silent for so long is put back."
    )
    reaper_interval_seconds: float = Field(5.0, gt=0)
    max_attempts: int = Field(3, ge=1)
    deadline_seconds: float = Field(
        3600.0, gt=0, description="Default and longest time a job may take, queue included."
    )
    retention_hours: float = Field(24.0 * 7, gt=0, description="Finished jobs and their bytes are deleted after this.")
    cancel_grace_seconds: float = Field(5.0, ge=0, description="After a cancel, until the runner is terminated.")

    training_slots: int = Field(
        1, ge=0, le=64, description="Trainings at once, each in a runner of its own beside the slots; 0: none here."
    )
    training_deadline_seconds: float = Field(
        24.0 * 3600.0, gt=0, description="Default and longest time a training may take, queue included."
    )
    checkpoint_seconds: float = Field(
        30.0, ge=0, description="A training saves what it needs to go on at most so often; 0: after every epoch."
    )

    max_queued_jobs: int = Field(1000, ge=1, description="Per tenant; above it POST answers 429.")
    max_model_mib: int = Field(2048, ge=1)
    max_input_mib: int = Field(32, ge=1)
    max_dataset_mib: int = Field(512, ge=1)
    max_pixels: int = Field(25_000_000, ge=1)

    log_format: Literal["console", "json"] = "console"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @cached_property
    def store_url(self) -> str:
        """SQLAlchemy URL of the job store."""
        return self.database_url or f"sqlite:///{self.data_dir.resolve() / 'jobs.db'}"

    @cached_property
    def queue_url(self) -> str:
        """Celery broker URL; the embedded transport's when none is set."""
        if self.broker_url is not None:
            return self.broker_url.get_secret_value()
        return f"interplay+sqlite:///{self.data_dir.resolve() / 'queue.db'}"

    @cached_property
    def bytes_url(self) -> str:
        """fsspec URL of the artifact store."""
        return self.artifacts_url or (self.data_dir.resolve() / "artifacts").as_uri()

    def check_exposure(self) -> None:
        """Refuse to listen where others can reach an unprotected service.

        Raises:
            ValueError: `host` is not a loopback address, and there are no `api_keys`.
        """
        if not self.api_keys and not _is_loopback(self.host):
            raise ValueError(
                f"expected INTERPLAY_API_KEYS to be set before listening on {self.host}, which others can reach; "
                "set it, or listen on 127.0.0.1"
            )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
