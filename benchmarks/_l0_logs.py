"""Logs for the L0-SIGN benchmark: with planted pairs, with the shape of Frappe's, and the tweets of `twitter_graph`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from worker.trainings._data import Labels, Sets

TWEETS = Path(__file__).parents[2] / "shared/assets/data/twitter_graph/twitter.data"

FIELDS, CATEGORIES = 12, 10
PLANTED = ((0, 1), (2, 3), (1, 4), (0, 5), (3, 5))
"""Fields that decide together: half of the categories of either, and no category says anything by itself."""
ACTIVE = CATEGORIES // 2
ALONE = (6, 7)
"""Fields whose categories count by themselves; they mostly agree, so that their pair co-occurs without being needed."""
IDLE = (8, 9)
"""Fields that mostly agree and count for nothing."""
_AGREE = 0.8

FRAPPE = (957, 4082, 7, 7, 2, 3, 2, 9, 80, 233)
"""Categories of Frappe's fields: 5,382 features together, as in the paper's Table 1."""
_ZIPF = 1.0
"""Exponent of the frequencies: 1024 rows then have 3.4 times as many pairs as different ones, as Frappe does."""


@dataclass(frozen=True, kw_only=True)
class Planted:
    """Rows with a label whose probability is known.

    Attributes:
        margins: `(rows,)`: the logit that the label was drawn from.
    """

    data: Sets
    margins: Tensor

    def beneficial(self, low: Tensor, high: Tensor) -> Tensor:
        """Tell of pairs of features whether they are planted, `(pairs,)` bool."""
        active = (low % CATEGORIES < ACTIVE) & (high % CATEGORIES < ACTIVE)
        one, other = low // CATEGORIES, high // CATEGORIES
        return active & torch.stack([(one == a) & (other == b) for a, b in PLANTED]).any(0)


def planted(rows: int, *, seed: int) -> Planted:
    """Draw rows of one category a field: planted pairs, useless pairs that co-occur, and pairs that do neither.

    In a planted pair of fields each active category has a sign; the logit rises by 2 where two agree, or falls. All
    other pairs add nothing, so that exactly the planted ones are of use: 125 of 6,600.
    """
    generator = torch.Generator().manual_seed(seed)
    categories = torch.randint(CATEGORIES, (rows, FIELDS), generator=generator)
    for one, other in (ALONE, IDLE):
        agree = torch.rand(rows, generator=generator) < _AGREE
        categories[:, other] = torch.where(agree, categories[:, one], categories[:, other])
    margins = torch.zeros(rows)
    for one, other in PLANTED:
        signs = torch.randn(2, CATEGORIES, generator=generator).sign()
        signs[:, ACTIVE:] = 0
        margins += 2 * signs[0, categories[:, one]] * signs[1, categories[:, other]]
    for field in ALONE:
        margins += 0.7 * torch.randn(CATEGORIES, generator=generator)[categories[:, field]]
    labels = (torch.rand(rows, generator=generator) < margins.sigmoid()).long()
    return Planted(data=of_fields(categories, (CATEGORIES,) * FIELDS, labels), margins=margins)


def of_frappe(rows: int, *, seed: int) -> Sets:
    """Draw rows with as many fields and categories as Frappe has, a few of them frequent, and labels by a coin."""
    generator = torch.Generator().manual_seed(seed)
    drawn = [
        torch.multinomial(torch.arange(1, size + 1).float() ** -_ZIPF, rows, replacement=True, generator=generator)
        for size in FRAPPE
    ]
    return of_fields(torch.stack(drawn, 1), FRAPPE, torch.randint(2, (rows,), generator=generator))


def of_fields(categories: Tensor, sizes: tuple[int, ...], labels: Tensor) -> Sets:
    """Number the categories of all fields, `(rows, fields)`, through."""
    begins = torch.tensor([0, *sizes[:-1]]).cumsum(0)
    rows, fields = categories.shape
    return Sets(
        offsets=torch.arange(rows + 1) * fields, features=(categories + begins).flatten().int(), values=None,
        vocabulary=torch.arange(sum(sizes)), labels=_labels(labels),
        fields=tuple(f"field {field}" for field in range(fields)),
    )  # fmt: skip


def tweets(rows: int | None = None) -> Sets:
    """Read the tweets: a label and the ids of one to fourteen words each; `rows`: only so many, from all over."""
    lines = [line.split() for line in TWEETS.read_text().splitlines()]
    if rows is not None:
        lines = lines[:: -(-len(lines) // rows)]
    vocabulary, features = torch.unique(
        torch.tensor([int(word) for _, *words in lines for word in words]), return_inverse=True
    )
    return Sets(
        offsets=torch.tensor([0, *(len(line) - 1 for line in lines)]).cumsum(0), features=features.int(), values=None,
        vocabulary=vocabulary, labels=_labels(torch.tensor([int(float(line[0])) for line in lines])),
    )  # fmt: skip


def _labels(values: Tensor) -> Labels:
    return Labels(task="binary", values=values, classes=("0", "1"))
