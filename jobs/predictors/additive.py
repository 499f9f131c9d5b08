"""The additive model of MLP-Cutoff: a small network for every column and for every interaction, added up.

A term is what one of them says, less its mean over the training rows; so the bias is the model's mean answer, and each
term says how far it moves a row from there. The bias and the terms add up to the margin.

Source: Tsang, Cheng & Liu, ICLR 2018, https://arxiv.org/abs/1705.04977 (section 4.3).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jobs.predictors.additive_networks import AdditiveNetworks, expected_tensors
from jobs.predictors.answers import By, Explained, Overall, Page, Part, Predicted, Remarks
from jobs.predictors.cells import cells_of
from jobs.predictors.encoding import encoded
from jobs.predictors.faults import Faults, check_finite
from jobs.predictors.tensors import Floats, Tensors, check_tensors
from jobs.row_models import AdditiveArchitecture, AdditiveColumn


class AdditivePredictor:
    """Predicts rows of a table.

    Args:
        outputs: One, or one a class where there are three or more.

    Raises:
        UnsupportedModel: The tensors are not those of the architecture.
    """

    def __init__(self, architecture: AdditiveArchitecture, tensors: Tensors, *, outputs: int) -> None:
        check_tensors(tensors, expected_tensors(architecture, outputs), {})
        self._columns, self._ignored = architecture.columns, architecture.constant
        self._terms = [*((place,) for place in range(len(self._columns))), *architecture.interactions]
        self._networks = AdditiveNetworks(architecture, tensors)
        self._mean, self._std = architecture.mean, architecture.std
        self._means: Floats = np.array(tensors["terms.mean"])
        self._sizes: Floats = tensors["terms.size"] * architecture.std
        self.size_bytes = sum(tensor.nbytes for tensor in tensors.values())
        self.bias: Floats = self._mean + self._std * self._means.sum(0)
        self.notes: tuple[str, ...] = ()

    def predict(self, rows: Sequence[Any]) -> Predicted:
        inputs, remarks = self.encode(rows)
        return Predicted(self._margins(self._raw(inputs)), remarks)

    def explain(self, rows: Sequence[Any], *, output: int | None, top: int) -> tuple[list[Explained], Predicted]:
        inputs, remarks = self.encode(rows)
        raw = self._raw(inputs)
        margins, terms = self._margins(raw), self._std * (raw - self._means)
        wanted = margins.argmax(1).tolist() if output is None else [output] * len(margins)
        found = [
            self._explained(terms[row, :, one], float(margins[row, one]), one, top) for row, one in enumerate(wanted)
        ]
        return found, Predicted(margins, remarks)

    def interactions(self, *, feature: str | None, by: By, begin: int, limit: int) -> Page:
        """Return every term; `by` makes no difference, as columns are features and fields at once."""
        del by
        chosen = [place for place, names in enumerate(self._names) if feature is None or feature in names]
        if not chosen:
            have = ", ".join(column.name for column in self._columns[:12])
            raise ValueError(f"the model has no column {feature!r}; it has {have}")
        chosen.sort(key=lambda place: -float(self._sizes[place].max()))
        return Page([self._overall(place) for place in chosen[begin : begin + limit]], len(chosen))

    def probe(self) -> dict[str, None]:
        return dict.fromkeys(column.name for column in self._columns)

    def encode(self, rows: Sequence[Any]) -> tuple[Floats, list[Remarks]]:
        """Return the networks' inputs, `(rows, inputs)`, and what is to be said of each row.

        Raises:
            InvalidParameters: A row cannot be read.
        """
        faults, unknown, notes = Faults(), [list[str]() for _ in rows], [list[str]() for _ in rows]
        cells = cells_of(rows, [column.name for column in self._columns], ignored=self._ignored, faults=faults)
        blocks: list[Floats] = []
        for column, mine in zip(self._columns, cells, strict=True):
            found = encoded(column, mine, faults)
            blocks.append(found.inputs)
            for row in np.flatnonzero(found.unknown):
                unknown[row].append(f"{column.name}={mine[row]}")
            for row in np.flatnonzero(found.unprepared):
                notes[row].append(f"{column.name!r} is missing, as in no training row; it counts as {_default(column)}")
        remarks = [Remarks(tuple(one), tuple(other)) for one, other in zip(unknown, notes, strict=True)]
        return np.concatenate(blocks, axis=1), remarks

    @property
    def _names(self) -> list[tuple[str, ...]]:
        return [tuple(self._columns[member].name for member in members) for members in self._terms]

    def _raw(self, inputs: Floats) -> Floats:
        """Return what all networks say, `(rows, terms, outputs)`.

        Raises:
            InvalidParameters: A prediction is not finite.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            raw = self._networks(inputs)
            check_finite(raw.sum(1))
        return raw

    def _margins(self, raw: Floats) -> Floats:
        margins: Floats = self._mean + self._std * raw.sum(1)
        return margins

    def _explained(self, terms: Floats, margin: float, output: int, top: int) -> Explained:
        names = self._names
        order = np.argsort(-np.abs(terms), kind="stable")[:top]
        return Explained(
            output=output, margin=margin, bias=float(self.bias[output]), total=float(terms.sum()),
            parts=[Part(names[term], None, None, float(terms[term])) for term in order],
            kept=len(terms), possible=None,
        )  # fmt: skip

    def _overall(self, term: int) -> Overall:
        return Overall(
            features=self._names[term], fields=None, contribution=None, size=tuple(self._sizes[term].tolist()),
            support=None, gate=None, kept_in=None, spread=None,
        )  # fmt: skip


def _default(column: AdditiveColumn) -> str:
    return "the mean" if column.categories is None else "none of its categories"
