"""L0-SIGN asked row by row: gates and scores from a table of pairs, those that it lacks from the network.

A prediction is the bias and, for each pair of the row's features, gate · score · share. `explain` computes these
instead of looking them up, and sets the network's own answer, by way of its nodes, beside their sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from jobs.errors import FieldError, InputTooLarge, InvalidParameters
from jobs.predictors.answers import By, Explained, Page, Part, Predicted, Remarks
from jobs.predictors.faults import check_finite, pointer
from jobs.predictors.graphs import Pairs, Rows, as_sets, pair_counts, pairs_of, portions, summed
from jobs.predictors.l0_sign_network import Network, network_tensors, ordered, products_of
from jobs.predictors.overview import Fields, Overview
from jobs.predictors.pair_table import PairTable, table_tensors
from jobs.predictors.set_rows import SetRows
from jobs.predictors.table_rows import TableRows
from jobs.predictors.tensors import Expected, Floats, Tensors, check_tensors
from jobs.row_models import L0SignArchitecture
from jobs.schemas import FeatureEncoding

LONGEST = 1000
"""Different features of a row: half a million pairs."""
MOST_PAIRS = 1 << 22
"""Of a request's rows together: a few seconds of one core."""
_PAIRS_AT_ONCE = 1 << 17
_WITHOUT_NOISE = "Without the noise that the published code leaves on at evaluation."


@dataclass(frozen=True)
class _Portion:
    """Some rows and what each pair adds."""

    rows: Rows
    pairs: Pairs
    gates: Floats
    contributions: Floats

    def sums(self) -> Floats:
        """Return the contributions of each row, added up."""
        row = np.repeat(np.arange(len(self.rows)), self.pairs.counts)
        return summed(row, self.contributions, len(self.rows))


class L0SignPredictor:
    """Predicts and explains sets, or rows of a table.

    Args:
        encoding: Of a table; None of sets.

    Raises:
        UnsupportedModel: The tensors are not those of the architecture.
    """

    def __init__(self, architecture: L0SignArchitecture, tensors: Tensors, encoding: FeatureEncoding | None) -> None:
        needed, optional = table_tensors(tensors)
        check_tensors(tensors, {**network_tensors(architecture), **needed, **_ids(architecture, encoding)}, optional)
        self._network = Network(architecture, tensors)
        self._table = PairTable(tensors, features=architecture.features)
        self._sets = architecture.compat == "paper"
        if encoding is None:
            self._reader: SetRows | TableRows = SetRows(tensors["vocabulary"], valued=architecture.valued)
        else:
            self._reader = TableRows(encoding)
        self._overview = Overview(self._table, self._reader, _fields(architecture, tensors, self._reader))
        # The order of the pairs by weight is kept beside the tensors, once it is asked for.
        self.size_bytes = sum(tensor.nbytes for tensor in tensors.values()) + self._table.keys.nbytes
        self.bias: Floats = np.array([self._network.bias])
        noisy = architecture.compat == "published" and architecture.gated
        self.notes: tuple[str, ...] = (_WITHOUT_NOISE,) if noisy else ()

    def predict(self, rows: Sequence[Any]) -> Predicted:
        read, remarks = self._read(rows)
        with np.errstate(over="ignore", invalid="ignore"):
            margins = self.margins(read)[:, None]
        check_finite(margins)
        return Predicted(margins, remarks)

    def margins(self, rows: Rows) -> Floats:
        """Return the margin of each row."""
        sums = [self._taken_apart(part).sums() for part in portions(rows, most_pairs=_PAIRS_AT_ONCE)]
        return self._network.bias + np.concatenate([np.zeros(0), *sums])

    def explain(self, rows: Sequence[Any], *, output: int | None, top: int) -> tuple[list[Explained], Predicted]:
        del output  # there is one
        read, remarks = self._read(rows)
        with np.errstate(over="ignore", invalid="ignore"):
            # Computed in float64, as the sum shall be the margin to the last digits; the table holds float32.
            parts = (self._taken_apart(read.between(row, row + 1), look_up=False) for row in range(len(read)))
            found = [self._explained(part, top) for part in parts]
            margins = self.margins(read)[:, None]
        check_finite(margins)
        return found, Predicted(margins, remarks)

    def interactions(self, *, feature: str | None, by: By, begin: int, limit: int) -> Page:
        return self._overview.page(feature=feature, by=by, begin=begin, limit=limit)

    def probe(self) -> Any:
        return self._reader.probe()

    def _read(self, rows: Sequence[Any]) -> tuple[Rows, list[Remarks]]:
        """Read JSON rows, as sets unless the network hears their order.

        Raises:
            InvalidParameters: A row cannot be read, or has too many features.
            InputTooLarge: The rows have too many pairs together.
        """
        read, remarks = self._reader.read(rows)
        if self._sets:
            given, read = read, as_sets(read)
            for row in np.flatnonzero(read.lengths < given.lengths).tolist():
                remarks[row] = _with_repeats(remarks[row], valued=read.values is not None)
        _check_sizes(read)
        return read, remarks

    def _taken_apart(self, rows: Rows, *, look_up: bool = True) -> _Portion:
        pairs = pairs_of(rows)
        low, high = ordered(rows.features[pairs.first], rows.features[pairs.second])
        place, known = self._table.find(low, high)
        known &= look_up
        gates, scores = np.empty(len(low)), np.empty(len(low))
        gates[known] = self._table.gates[place[known]]
        new = np.flatnonzero(~known)
        gates[new] = self._network.gates(low[new], high[new])
        products = products_of(rows, pairs)
        # The table holds the scores of values of 1.
        plain = known if products is None else known & (products == 1)
        scores[plain] = self._table.scores[place[plain]]
        new = np.flatnonzero(~plain & (gates > 0))
        scores[~plain] = 0.0
        scores[new] = self._network.scores(low[new], high[new], None if products is None else products[new])
        contributions = gates * scores * self._network.shares(rows, pairs, gates)
        return _Portion(rows, pairs, gates, contributions)

    def _explained(self, found: _Portion, top: int) -> Explained:
        """Take the prediction of a single row apart."""
        order = np.argsort(-np.abs(found.contributions), kind="stable")
        order = order[found.gates[order] > 0][:top]
        return Explained(
            output=0,
            margin=self._network.margin_of(found.rows, found.pairs) if len(found.rows.features) else self._network.bias,
            bias=self._network.bias,
            total=float(found.contributions.sum()),
            parts=[self._part(found, pair) for pair in order.tolist()],
            kept=int((found.gates > 0).sum()),
            possible=len(found.gates),
        )

    def _part(self, found: _Portion, pair: int) -> Part:
        features = found.rows.features[[found.pairs.first[pair], found.pairs.second[pair]]].tolist()
        mine = features[:1] if not found.pairs.apart[pair] else features
        return Part(
            tuple(self._reader.names(mine)), self._overview.fields_of(mine), float(found.gates[pair]),
            float(found.contributions[pair]),
        )  # fmt: skip


def _ids(architecture: L0SignArchitecture, encoding: FeatureEncoding | None) -> Expected:
    if encoding is not None:
        return {}
    named = ("vocabulary", "field_of") if architecture.fields else ("vocabulary",)
    return dict.fromkeys(named, ("int64", (architecture.features,)))


def _with_repeats(remarks: Remarks, *, valued: bool) -> Remarks:
    note = "Repeated features, and unknown ones, count as one; their values are added up." if valued else (
        "Repeated features, and several unknown ones, count once."
    )  # fmt: skip
    return replace(remarks, notes=(*remarks.notes, note))


def _check_sizes(rows: Rows) -> None:
    lengths = rows.lengths
    for row in np.flatnonzero(lengths > LONGEST).tolist():
        detail = f"expected at most {LONGEST} different features, got {lengths[row]}: n have n(n + 1)/2 pairs"
        place = pointer("rows", row)
        raise InvalidParameters(f"{place}: {detail}", errors=[FieldError(pointer=place, detail=detail)])
    pairs = int(pair_counts(lengths).sum())
    if pairs > MOST_PAIRS:
        raise InputTooLarge(
            f"the rows have {pairs} pairs together, expected at most {MOST_PAIRS}; send fewer rows at once"
        )


def _fields(architecture: L0SignArchitecture, tensors: Tensors, reader: SetRows | TableRows) -> Fields | None:
    if isinstance(reader, TableRows):
        return Fields(reader.fields, reader.field_of)
    return Fields(architecture.fields, tensors["field_of"]) if architecture.fields else None
