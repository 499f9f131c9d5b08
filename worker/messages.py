"""What a runner and its parent say to each other: one JSON document a message, over a pipe.

JSON rather than pickle, because a runner holds what strangers uploaded: its words are data to the parent, never code.
"""

from __future__ import annotations

from multiprocessing.connection import Connection
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from jobs.datasets import Dataset, DatasetInspection
from jobs.errors import Problem
from jobs.schemas import ArtifactReference, Cost, Frozen, Inspection, Job, Manifest, Model, Progress, ResumePoint
from jobs.trainings import TrainedModel


class Compute(Frozen):
    """Parent to runner: compute this job.

    Attributes:
        checkpoints: The models that `job.checkpoint_ids` names, in that order.
    """

    type: Literal["compute"] = "compute"
    job: Job
    model: Model
    checkpoints: tuple[Model, ...] = ()


class Examine(Frozen):
    """Parent to runner: read this job's dataset."""

    type: Literal["examine"] = "examine"
    job: Job
    dataset: Dataset


class Train(Frozen):
    """Parent to runner: carry out this training.

    Attributes:
        model: To go on from.
    """

    type: Literal["train"] = "train"
    job: Job
    dataset: Dataset
    model: Model | None = None


class Cancel(Frozen):
    """Parent to runner: stop at the next chunk, if this job is still the one being computed."""

    type: Literal["cancel"] = "cancel"
    job_id: str


class Ready(Frozen):
    """Runner to parent: libraries are loaded, send jobs."""

    type: Literal["ready"] = "ready"


class Working(Frozen):
    """Runner to parent: how far the computation is."""

    type: Literal["working"] = "working"
    progress: Progress


class Saved(Frozen):
    """Runner to parent: a training can be taken up again from here; the bytes are in the artifact store."""

    type: Literal["saved"] = "saved"
    point: ResumePoint


class Finished(Frozen):
    """Runner to parent: an explanation or training is computed and its files are in the artifact store.

    Attributes:
        models: Made by a training; their weights are there too.
    """

    type: Literal["finished"] = "finished"
    artifacts: tuple[ArtifactReference, ...]
    timings: dict[str, float]
    cost: Cost
    device: str
    models: tuple[TrainedModel, ...] = ()


class Inspected(Frozen):
    """Runner to parent: an uploaded model works; its weights are in the artifact store as safetensors."""

    type: Literal["inspected"] = "inspected"
    weights_sha256: str
    manifest: Manifest = Field(description="The upload's, with what the file says of itself spelled out.")
    inspection: Inspection
    timings: dict[str, float]
    device: str


class Examined(Frozen):
    """Runner to parent: a dataset can be read; what trainings need of it is in the artifact store."""

    type: Literal["examined"] = "examined"
    data_sha256: str
    data_bytes: int
    inspection: DatasetInspection
    timings: dict[str, float]
    device: str


class Failed(Frozen):
    """Runner to parent: the job cannot be computed."""

    type: Literal["failed"] = "failed"
    problem: Problem


class Canceled(Frozen):
    """Runner to parent: the computation stopped because a `Cancel` said so."""

    type: Literal["canceled"] = "canceled"


Work = Compute | Examine | Train
Order = Annotated[Work | Cancel, Field(discriminator="type")]
Outcome = Finished | Inspected | Examined | Failed | Canceled
Reply = Annotated[
    Ready | Working | Saved | Finished | Inspected | Examined | Failed | Canceled, Field(discriminator="type")
]

_orders: TypeAdapter[Order] = TypeAdapter(Order)
_replies: TypeAdapter[Reply] = TypeAdapter(Reply)


def encode(message: Order | Reply) -> bytes:
    """Return one message's bytes.

    Raises:
        ValueError: It holds text that no encoding has, such as half of a surrogate pair.
    """
    return message.model_dump_json().encode()


def send(connection: Connection, message: Order | Reply) -> None:
    """Write one message.

    Raises:
        OSError: The other side is gone.
    """
    connection.send_bytes(encode(message))


def receive_order(connection: Connection) -> Order:
    """Wait for the parent's next message.

    Raises:
        EOFError, OSError: The parent is gone.
    """
    return _orders.validate_json(connection.recv_bytes())


def receive_reply(connection: Connection) -> Reply:
    """Wait for the runner's next message.

    Raises:
        EOFError, OSError: The runner is gone.
        pydantic.ValidationError: It does not speak this protocol.
    """
    return _replies.validate_json(connection.recv_bytes())
