"""What crosses a border: requests, models, jobs and explanations, as frozen pydantic models.

Times are POSIX seconds (UTC) inside; the gateway writes them as RFC 3339.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, model_validator

from jobs.context_orders import ContextOrders
from jobs.errors import Problem
from jobs.layers import FileArchitecture, GraphArchitecture, Layer, ScikitLearnArchitecture
from jobs.order_profiles import Checkpoint, Disturbed, OrderProfile, Similarity
from jobs.row_models import AdditiveArchitecture, L0SignArchitecture, check_classes


class Frozen(BaseModel):
    """A value: immutable, and strict about the fields it knows."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Status(StrEnum):
    """Where a job stands; the last four are final."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"
    EXPIRED = "expired"

    @property
    def finished(self) -> bool:
        return self not in (Status.QUEUED, Status.RUNNING)


class JobKind(StrEnum):
    EXPLANATION = "explanation"
    INSPECTION = "inspection"
    TRAINING = "training"


class ModelStatus(StrEnum):
    """A model is usable once a runner has loaded and probed it."""

    INSPECTING = "inspecting"
    READY = "ready"
    FAILED = "failed"


class Capability(StrEnum):
    """What a method can need of a model, and what inspection finds that it offers."""

    FORWARD = "forward"
    GRADIENT = "gradient"
    SECOND_DERIVATIVE = "second-derivative"
    MIXING_LAYER = "mixing-layer"
    """A first layer whose weights say which features are combined, with an activation behind it."""


# ---------------------------------------------------------------- models


class TorchvisionArchitecture(Frozen):
    """One of torchvision's classification builders, `torchvision.models.list_models(module=torchvision.models)`."""

    family: Literal["torchvision"] = "torchvision"
    name: str = Field(examples=["mobilenet_v2"], max_length=64)
    arguments: dict[str, int | float | bool | str] = Field(
        default_factory=dict, description="Keyword arguments of the builder, such as num_classes.", max_length=16
    )


class SequentialArchitecture(Frozen):
    """An MLP, CNN or text classifier as a list of layers; state-dict keys are `nn.Sequential`'s (`0.weight`, …)."""

    family: Literal["sequential"]
    layers: tuple[Layer, ...] = Field(min_length=1, max_length=512)


def _architecture_by_name(value: Any) -> Any:
    return {"family": "torchvision", "name": value} if isinstance(value, str) else value


Architecture = Annotated[
    Annotated[
        TorchvisionArchitecture
        | SequentialArchitecture
        | GraphArchitecture
        | FileArchitecture
        | ScikitLearnArchitecture
        | AdditiveArchitecture
        | L0SignArchitecture,
        Field(discriminator="family"),
    ],
    BeforeValidator(_architecture_by_name),
]


class Preprocessing(Frozen):
    """How a picture becomes the model's input: resize the shorter side, crop the centre, scale to [0, 1], normalise."""

    resize: int | None = Field(None, ge=1, le=4096, description="Shorter side in pixels; default: the input's size.")
    interpolation: Literal["nearest", "bilinear", "bicubic"] = "bilinear"
    mean: tuple[float, ...] = Field((0.485, 0.456, 0.406), description="Per channel, of values in [0, 1].")
    std: tuple[float, ...] = Field((0.229, 0.224, 0.225), description="Per channel, of values in [0, 1].")

    @model_validator(mode="after")
    def _check(self) -> Preprocessing:
        if len(self.mean) != len(self.std):
            raise ValueError(f"expected as many std as mean values, got {len(self.std)} and {len(self.mean)}")
        if any(deviation <= 0 for deviation in self.std):
            raise ValueError("expected every std above 0")
        return self


Name = Annotated[str, Field(max_length=200)]


InputKind = Literal["image", "features", "tokens", "row"]
"""`row`: of a table or of sets, for the families that are asked by :predict and :explain; see `jobs.row_models`."""


class ModelInput(Frozen):
    """What one input of the model is."""

    kind: InputKind = "image"
    shape: tuple[Annotated[int, Field(ge=1, le=4096)], ...] = Field(
        (3, 224, 224),
        min_length=1,
        max_length=3,
        description="(channels, height, width), (features,), (tokens,), or of a row: (columns,), of sets (1,).",
    )
    names: tuple[Name, ...] | None = Field(
        None, description="Names of the features; of tokens, the text of every id.", max_length=100_000
    )
    vocabulary: int | None = Field(None, ge=2, le=10_000_000, description="How many token ids there are.")
    mask_id: int | None = Field(
        None, ge=0, description="Id that stands for an absent token; padding_id where absent tokens are left out."
    )
    padding_id: int | None = Field(
        None, ge=0, description="Id with which shorter inputs are filled up; default: every input has the full length."
    )

    @model_validator(mode="after")
    def _check(self) -> ModelInput:
        expected = 3 if self.kind == "image" else 1
        if len(self.shape) != expected:
            raise ValueError(f"expected {expected} dimension(s) for kind {self.kind!r}, got {list(self.shape)}")
        if self.kind == "image" and self.shape[0] not in (1, 3):
            raise ValueError(f"expected 1 or 3 channels, got {self.shape[0]}")
        self._check_ids()
        self._check_names()
        return self

    def _check_ids(self) -> None:
        if self.kind != "tokens":
            for name in ("vocabulary", "mask_id", "padding_id"):
                if getattr(self, name) is not None:
                    raise ValueError(f"expected no {name} for kind {self.kind!r}, only tokens have one")
            return
        if self.vocabulary is None or self.mask_id is None:
            raise ValueError("expected vocabulary and mask_id for kind 'tokens'")
        for name, id in (("mask_id", self.mask_id), ("padding_id", self.padding_id)):
            if id is not None and id >= self.vocabulary:
                raise ValueError(f"expected a {name} below the vocabulary of {self.vocabulary}, got {id}")

    def _check_names(self) -> None:
        if self.names is None:
            return
        if self.kind in ("image", "row"):
            raise ValueError(f"expected no names for kind {self.kind!r}, only features and tokens have them")
        what, expected = ("token", self.vocabulary) if self.kind == "tokens" else ("feature", self.shape[0])
        if len(self.names) != expected:
            raise ValueError(f"expected {expected} {what} names, got {len(self.names)}")


class FeatureColumn(Frozen):
    """A column of a table as a model takes it: a standardised number, or a 0 or 1 for each category."""

    name: Name
    mean: float = Field(0.0, description="Subtracted from a number; a missing number counts as the mean.")
    std: float = Field(1.0, gt=0, description="What a number is then divided by.")
    categories: tuple[Name, ...] | None = Field(
        None, min_length=1, max_length=100_000, description="Of text; a missing text is 0 for every category."
    )


class FeatureEncoding(Frozen):
    """How the raw values of a row become the model's inputs, column by column."""

    columns: tuple[FeatureColumn, ...] = Field(min_length=1, max_length=10_000)

    @property
    def names(self) -> tuple[str, ...]:
        """The name of every input: of a column, or `column=category`."""
        return tuple(
            column.name if category is None else f"{column.name}={category}"
            for column in self.columns
            for category in (column.categories or (None,))
        )


class Manifest(Frozen):
    """What an uploaded artifact is: architecture, input, preprocessing, class names."""

    name: str = Field("model", max_length=200)
    architecture: Architecture
    input: ModelInput = ModelInput()
    preprocessing: Preprocessing = Preprocessing()
    features: FeatureEncoding | None = Field(
        None, description="How raw values become inputs of kind `features`; default: they are the inputs."
    )
    classes: tuple[Name, ...] | None = Field(None, description="Class names in output order.", max_length=100_000)

    @model_validator(mode="after")
    def _check(self) -> Manifest:
        if self.features is not None:
            self._check_features(self.features)
        if self.input.kind == "image" and len(self.preprocessing.mean) != self.input.shape[0]:
            raise ValueError(
                f"expected {self.input.shape[0]} preprocessing mean value(s), one per channel, "
                f"got {len(self.preprocessing.mean)}"
            )
        if self.input.kind == "tokens":
            self._check_tokens()
        self._check_row()
        return self

    def _check_row(self) -> None:
        architecture, kind = self.architecture, self.input.kind
        if not isinstance(architecture, (AdditiveArchitecture, L0SignArchitecture)):
            if kind == "row":
                raise ValueError(f"expected no input of kind 'row' for family {architecture.family!r}")
            return
        columns = 1 if self.features is None else len(self.features.columns)
        if isinstance(architecture, AdditiveArchitecture):
            columns = len(architecture.columns)
        if (kind, self.input.shape) != ("row", (columns,)):
            raise ValueError(f"expected an input of kind 'row' and shape [{columns}] for family {architecture.family}")
        check_classes(architecture.task, self.classes)

    def _check_features(self, features: FeatureEncoding) -> None:
        if isinstance(self.architecture, L0SignArchitecture):
            if len(features.names) != self.architecture.features or self.architecture.fields:
                raise ValueError(f"expected {len(features.names)} features, as the columns give, and no fields beside")
            return
        if self.input.kind != "features":
            raise ValueError(f"expected no features for kind {self.input.kind!r}, only tables have columns")
        if len(features.names) != self.input.shape[0]:
            raise ValueError(
                f"expected an input of {len(features.names)} features, as the columns give, got {self.input.shape[0]}"
            )

    def _check_tokens(self) -> None:
        if self.architecture.family != "sequential":
            raise ValueError(
                f"expected a sequential architecture for tokens, got {self.architecture.family}, whose models take "
                "pictures"
            )
        if self.preprocessing != Preprocessing():
            raise ValueError("expected no preprocessing for tokens, only pictures have it")


class Inspection(Frozen):
    """What a runner found when it loaded a model and ran a probe through it."""

    parameters: int
    outputs: int = Field(description="Length of the output vector.")
    capabilities: tuple[Capability, ...]
    obstacles: dict[Capability, str] = Field(default_factory=dict, description="Why a capability is missing.")
    seconds_forward: float
    seconds_backward: float | None = None
    seconds_hessian_row: float | None = None
    activation_bytes: int = Field(description="Memory of one sample's forward and backward, beyond the weights.")
    surgery: dict[str, int] = Field(default_factory=dict, description="Operators replaced for second derivatives.")


class Model(Frozen):
    """A model as the store knows it."""

    id: str
    tenant: str
    status: ModelStatus
    manifest: Manifest
    sha256: str = Field(description="Of the uploaded bytes.")
    weights_sha256: str | None = Field(None, description="Of the safetensors file that runners load.")
    size_bytes: int
    created_at: float
    inspection: Inspection | None = None
    error: Problem | None = None
    job_id: str | None = Field(None, description="The inspection job.")
    trained_by: str | None = Field(None, description="The training job that made it.")


# ---------------------------------------------------------------- requests


class Target(Frozen):
    """The explained output: the logit of class `index`, minus that of class `against` where given."""

    index: int = Field(ge=0)
    against: int | None = Field(None, ge=0)

    @model_validator(mode="after")
    def _check(self) -> Target:
        if self.against == self.index:
            raise ValueError(f"expected two different classes, got {self.index} twice")
        return self


def _target_by_index(value: Any) -> Any:
    return {"index": value} if isinstance(value, int) and not isinstance(value, bool) else value


class Tokens(Frozen):
    """A text as a model of tokens takes it; the tokenizer stays with the caller."""

    ids: tuple[Annotated[int, Field(ge=0, lt=2**31)], ...] = Field(
        min_length=1, max_length=4096, description="At most as many as the model's input is long."
    )
    texts: tuple[Name, ...] | None = Field(
        None, max_length=4096, description="What each token stands for; default: the manifest's names, else the ids."
    )
    words: tuple[Annotated[int, Field(ge=0, le=1_000_000)] | None, ...] | None = Field(
        None, max_length=4096,
        description="Number of the word that each token is part of; tokens of one number, next to each other or not, "
        "are one player. null: never a player, such as [CLS]. Default: every token but padding is a word.",
    )  # fmt: skip


class InlineInput(Frozen):
    """An input inside the JSON body; a multipart request sends the part `image` or `tokens` in its place."""

    image: str | None = Field(None, description="The picture's bytes (PNG, JPEG or WebP), base64.")
    features: tuple[float | Name | None, ...] | None = Field(
        None, max_length=1_000_000,
        description="One number per feature. Of a model whose manifest has `features`: one raw value per column, a "
        "number, the text of a category, or null where it is missing.",
    )  # fmt: skip
    tokens: Tokens | None = None

    @model_validator(mode="after")
    def _check(self) -> InlineInput:
        if sum(given is not None for given in (self.image, self.features, self.tokens)) != 1:
            raise ValueError("expected exactly one of image, features and tokens")
        return self


Series = Literal["samples", "checkpoints"]
"""Of what a request can name several, beside the one that it explains."""

MAX_SAMPLES = 64
MAX_CHECKPOINTS = 32


class ExplanationRequest(Frozen):
    """The fixed envelope of every explanation; `params` follows the method's own schema (GET /v1/methods/{id})."""

    method: str = Field("h-sets", max_length=64)
    model: str = Field(max_length=64, description="Id of an uploaded model.")
    input: InlineInput | None = None
    samples: tuple[InlineInput, ...] = Field(
        (),
        max_length=MAX_SAMPLES,
        description="Further inputs, for methods that average over several (`series` of the method).",
    )
    checkpoints: tuple[Annotated[str, Field(max_length=64)], ...] = Field(
        (), max_length=MAX_CHECKPOINTS,
        description="Ids of earlier checkpoints of the model, first to last, for methods that follow a training "
        "(`series` of the method); the model itself is the last.",
    )  # fmt: skip
    target: Annotated[Target | None, BeforeValidator(_target_by_index)] = Field(
        None, description="Class index, or {index, against} for a contrast; default: the predicted class."
    )
    params: dict[str, JsonValue] = Field(default_factory=dict)
    seed: int = Field(0, ge=0, lt=2**63)
    priority: Literal["interactive", "batch"] = "interactive"
    deadline_seconds: float | None = Field(None, gt=0)
    tags: tuple[Annotated[str, Field(min_length=1, max_length=64)], ...] = Field((), max_length=16)


# ---------------------------------------------------------------- jobs


class InputReference(Frozen):
    """An input in the artifact store."""

    kind: InputKind
    sha256: str
    size_bytes: int


class Progress(Frozen):
    """How far a running job is; `total` is 0 while unknown."""

    fraction: float = 0.0
    stage: str = ""
    done: int = 0
    total: int = 0
    eta_seconds: float | None = None
    metrics: dict[str, float] = Field(default_factory=dict, description="Of a training, such as loss and accuracy.")


class TrainingSetup(Frozen):
    """What the new model shall be; kept in the job's row."""

    architecture: Architecture | None = Field(None, description="To be trained from random weights.")
    name: Name = Field("model", description="Of the new model.")


class ResumePoint(Frozen):
    """What a training saved last: with it the next attempt goes on."""

    sha256: str
    size_bytes: int
    epoch: int = Field(description="Epochs that were done.")
    saved_at: float


class ArtifactReference(Frozen):
    """A named file of a finished job."""

    name: str
    sha256: str
    size_bytes: int
    media_type: str


class Cost(Frozen):
    """What was evaluated; a batch of b samples counts b."""

    forwards: int = 0
    backwards: int = 0
    hessian_rows: int = 0


class Job(Frozen):
    """A job row."""

    id: str
    tenant: str
    kind: JobKind
    status: Status
    method: str | None = None
    model_id: str | None = Field(None, description="None for trainings from scratch and inspections of datasets.")
    dataset_id: str | None = None
    checkpoint_ids: tuple[str, ...] = Field((), description="Earlier checkpoints of the model, first to last.")
    input: InputReference | None = None
    samples: tuple[InputReference, ...] = Field((), description="Further inputs.")
    target: Target | None = None
    params: dict[str, JsonValue] = Field(default_factory=dict)
    seed: int = 0
    priority: Literal["interactive", "batch"] = "interactive"
    tags: tuple[str, ...] = ()
    content_key: str | None = None
    retry_of: str | None = None
    cached: bool = False
    training: TrainingSetup | None = None
    resume: ResumePoint | None = Field(None, description="Of a training under way, or of one that did not succeed.")

    attempt: int = Field(0, description="Number of the latest attempt; no two attempts of a job have the same.")
    excused: int = Field(0, description="Attempts that were given back and do not count against the job.")
    cancel_requested: bool = False
    progress: Progress = Progress()
    created_at: float
    started_at: float | None = None
    finished_at: float | None = None
    deadline_at: float
    expires_at: float | None = Field(None, description="When a finished job and its bytes are deleted.")
    lease_until: float | None = None
    worker: str | None = None

    error: Problem | None = None
    artifacts: tuple[ArtifactReference, ...] = Field((), description="result.json among them.")
    timings: dict[str, float] = Field(default_factory=dict, description="Seconds per stage.")
    cost: Cost | None = None
    device: str | None = None


# ---------------------------------------------------------------- results


class Passage(Frozen):
    """A text as it was explained, token by token."""

    texts: tuple[str, ...]
    players: tuple[int, ...] = Field(description="The player that owns each token; -1: none, it is always present.")


class Players(Frozen):
    """The units that a method lets be present or absent; `members` of an interaction index into them."""

    kind: Literal["pixel-channel", "feature", "region", "patch", "token"]
    shape: tuple[int, ...] = Field(description="Flat player index i is numpy.unravel_index(i, shape).")
    names: tuple[str, ...] | None = None
    passage: Passage | None = Field(None, description="Of players that are words: the whole text.")


class Interaction(Frozen):
    """A set of players and its strength."""

    kind: Literal["set", "main", "and", "or", "pair"] = Field(
        "set", description="main: a single player. and: present when all members are. or: when one is at least."
    )
    members: tuple[int, ...] = Field(description="0-based player indices; in growth order for h-sets.")
    order: int = Field(description="Number of members.")
    strength: float
    standard_error: float | None = None
    details: dict[str, JsonValue] = Field(default_factory=dict)


class Check(Frozen):
    """An honesty check: a number that would show that the answer is not to be trusted."""

    name: str
    value: float | None
    passed: bool | None = Field(None, description="None where the check only informs.")
    meaning: str


class Explained(Frozen):
    """The output that was explained."""

    index: int | None = Field(None, description="None: all outputs together.")
    against: int | None = None
    label: str | None = None
    against_label: str | None = None
    value: float | None = Field(
        None, description="Model output at the input: a logit or a difference of two. None without an input."
    )
    baseline_value: float | None = None
    probability: float | None = Field(None, description="Softmax probability of class `index` at the input.")


class Explanation(Frozen):
    """What a method answers; `arrays` go to values.npz and never into JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    method: str
    preset: str | None = None
    explained: Explained
    unit: str = Field(description="What a strength is measured in.")
    players: Players
    interactions: tuple[Interaction, ...] = ()
    checks: tuple[Check, ...] = ()
    cost: Cost = Cost()
    orders: OrderProfile | None = Field(None, description="Strength by order; averaged over samples.")
    sequence: tuple[Checkpoint, ...] = Field((), description="Strength by order of every checkpoint.")
    disturbed: tuple[Disturbed, ...] = Field((), description="Strength by order after disturbances, beside `orders`.")
    similarities: tuple[Similarity, ...] = Field((), description="What sets of samples, or checkpoints, share.")
    contexts: ContextOrders | None = Field(None, description="Strength of pairs by context order.")
    details: dict[str, JsonValue] = Field(default_factory=dict)
    notes: tuple[str, ...] = Field((), description="What a reader must know before relying on the answer.")
    documents: Mapping[str, Any] = Field(
        default_factory=dict, exclude=True, description="JSON values kept as NAME.json, such as shapiq's format."
    )
    arrays: Mapping[str, Any] = Field(
        default_factory=dict,
        exclude=True,
        description="NumPy arrays by name. Known to the renderer: attribution (shape of the input), strengths_matrix "
        "((players, players), of features), player_labels "
        "((height, width), the player that owns each pixel of the picture; -1: none), strengths (every |strength|, "
        "falling).",
    )
    kept: Mapping[str, Any] = Field(
        default_factory=dict, exclude=True, description="Arrays kept as NAME.npy for later questions to this job."
    )


class Provenance(Frozen):
    """What ran, so that it can run again."""

    method: str
    preset: str | None
    params: dict[str, JsonValue]
    seed: int
    model_id: str
    model_sha256: str
    input_sha256: str | None
    checkpoint_ids: tuple[str, ...] = ()
    checkpoint_sha256s: tuple[str, ...] = ()
    sample_sha256s: tuple[str, ...] = ()
    code_version: str
    versions: dict[str, str]
    device: str
    dtype: str
