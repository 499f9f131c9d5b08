"""Ask the logical model of a finished job what it says of masked states: no network runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, Field, model_validator

from app.deps import Gateway
from app.errors import invalid_at
from app.kept import kept_array, kept_result
from jobs.logical_model import Atom, LogicalModel, StatePrediction
from jobs.schemas import Frozen, Job

OTHERWISE = "this job kept no logical model; only a finished and-or job can be asked about masked states"

MAX_STATES = 256
MAX_MEMBERS = 64
MAX_LISTED = 100

Player = int | Annotated[str, Field(max_length=200)]
State = Annotated[tuple[Player, ...], Field(max_length=MAX_MEMBERS)]
States = Annotated[tuple[State, ...], Field(min_length=1, max_length=MAX_STATES)]


class StatesRequest(Frozen):
    """Masked states of the job's input, by who is present or by who is absent."""

    present: States | None = Field(
        None,
        description="The players present in each state, by index or name; all others are masked.",
        examples=[[[0, 2], []]],
    )
    absent: States | None = Field(
        None, description="The players masked in each state; all others are present.", examples=[[[1]]]
    )
    top: int = Field(10, ge=0, le=MAX_LISTED, description="How many triggered interactions to list, strongest first.")

    @model_validator(mode="after")
    def _check(self) -> StatesRequest:
        if (self.present is None) == (self.absent is None):
            raise ValueError("expected exactly one of present and absent")
        return self


class TriggeredDocument(BaseModel):
    """An interaction that adds its strength in a state: AND when all members are present, OR when one is at least."""

    kind: Literal["main", "and", "or"]
    members: list[int]
    names: list[str] | None
    order: int
    strength: float


class StateDocument(BaseModel):
    """One masked state: constant + strengths of `triggered` + remainder = prediction."""

    present: list[int]
    prediction: float = Field(description="h(T), what the logical model says.")
    value: float = Field(description="v(T), what the network said when the job ran.")
    difference: float = Field(description="value - prediction; within the noise band that the job allowed.")
    triggered: list[TriggeredDocument] = Field(description="Strongest first.")
    remainder: float = Field(description="Sum of the triggered interactions that are not listed.")


class StatesDocument(BaseModel):
    """What the logical model says, state by state, in the order asked."""

    job: str
    unit: str
    players: int
    constant: float = Field(description="h(∅): the prediction where all players are masked.")
    states: list[StateDocument]


def predicted(here: Gateway, job: Job, request: StatesRequest) -> StatesDocument:
    """Evaluate the logical model on the states.

    Raises:
        NotFinished: The job has not ended.
        Conflict: The job kept no logical model.
        InvalidParameters: A player that the job does not have, or named twice in a state.
        NotFound: The job's files are being deleted.
    """
    atoms, table = (kept_array(here, job, name, otherwise=OTHERWISE) for name in ("atoms.npy", "table.npy"))
    result = kept_result(here, job)
    model = LogicalModel(atoms, table)
    names: Sequence[str] = result["players"]["names"] or ()
    states = _states(request, players=model.players, indices=_by_name(names))
    return StatesDocument(
        job=job.id,
        unit=result["unit"],
        players=model.players,
        constant=model.constant,
        states=[_document(state, model.at(state, top=request.top), names) for state in states],
    )


def _by_name(names: Sequence[str]) -> Mapping[str, list[int]]:
    indices: dict[str, list[int]] = {}
    for index, name in enumerate(names):
        indices.setdefault(name, []).append(index)
    return indices


def _states(request: StatesRequest, *, players: int, indices: Mapping[str, list[int]]) -> list[int]:
    """Return each state as the set of bits of the players present."""
    field: Literal["present", "absent"] = "present" if request.present is not None else "absent"
    everybody = (1 << players) - 1
    listed = [_bits(state, f"/{field}/{row}", players, indices) for row, state in enumerate(getattr(request, field))]
    return listed if field == "present" else [everybody ^ bits for bits in listed]


def _bits(state: Sequence[int | str], pointer: str, players: int, indices: Mapping[str, list[int]]) -> int:
    bits = 0
    for place, player in enumerate(state):
        bit = 1 << _index(player, f"{pointer}/{place}", players, indices)
        if bits & bit:
            raise invalid_at(f"{pointer}/{place}", f"expected every player once, got {player!r} twice")
        bits |= bit
    return bits


def _index(player: int | str, pointer: str, players: int, indices: Mapping[str, list[int]]) -> int:
    if isinstance(player, int):
        if 0 <= player < players:
            return player
        raise invalid_at(pointer, f"expected a player from 0 to {players - 1}, got {player}")
    found = indices.get(player, [])
    if len(found) > 1:
        raise invalid_at(pointer, f"expected an index, as players {found} are all named {player!r}")
    if not found:
        known = ", ".join(map(repr, list(indices)[:12])) or "no names, only indices"
        raise invalid_at(pointer, f"expected the name of a player, got {player!r}; there are {known}")
    return found[0]


def _document(state: int, found: StatePrediction, names: Sequence[str]) -> StateDocument:
    return StateDocument(
        present=_members(state),
        prediction=found.prediction,
        value=found.value,
        difference=found.value - found.prediction,
        triggered=[_triggered(atom, names) for atom in found.triggered],
        remainder=found.remainder,
    )


def _triggered(atom: Atom, names: Sequence[str]) -> TriggeredDocument:
    members = _members(atom.members)
    return TriggeredDocument(
        kind=atom.kind,
        members=members,
        names=[names[member] for member in members] if names else None,
        order=len(members),
        strength=atom.strength,
    )


def _members(bits: int) -> list[int]:
    return [player for player in range(bits.bit_length()) if bits >> player & 1]
