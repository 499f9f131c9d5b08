"""NID: the experiments of the paper, and how fast it is.

    python -m benchmarks.nid [--quick] [--only PART …] [--functions F1 F2 …] [--trials N] [--kept FOLDER]

| part | what of the paper | rows |
|---|---|---|
| `table2` | Table 2: pairs of F1 to F10 | `auc`; `auc_geometric`, `_best_l1`, `_oracle_l1`, `_all_trials` |
| `comparators` | Table 2: other methods | `auc` |
| `averages` | Fig. 3: averaging functions, and their figure | `correct_first`, `auc_by_average` |
| `noise` | Fig. 8a | `top_rank_recall`, `auc_by_noise` |
| `cutoff` | Table 3, synthetic functions | `relative_improvement` |
| `tables` | Table 3, cal_housing and bike_sharing | `relative_improvement`, `top_pair_share` |
| `penalties` | Table 4, at reduced size | `auc_by_penalty` |
| `wide` | appendix F: p = 1000 | `auc_wide` |
| `speed` | Fig. 8b, in our numbers | `training_speedup`, `ranking_speedup`, `request_seconds`, `runtime_seconds` |

`table2`, `averages` and `noise` read the same networks, and are quicker together. Rows are written as they come; with
`--only`, rows of other parts stay in the file. `--quick` has two functions, few rows and epochs: its figures say that
things run, no more. One thread throughout; seconds are of the CPU. Whole, it takes some 40 CPU minutes.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks._nid_comparators import add_comparators
from benchmarks._nid_cutoff import add_cutoff, add_tables
from benchmarks._nid_networks import Size
from benchmarks._nid_pairs import add_pairs
from benchmarks._nid_penalties import add_penalties, add_wide
from benchmarks._nid_sets import add_averages, add_noise
from benchmarks._nid_speed import add_speed
from benchmarks._rows import Rows
from benchmarks._synthetic import FUNCTIONS

PARTS: dict[str, Callable[[Rows, Size], None]] = {
    "speed": add_speed, "table2": add_pairs, "comparators": add_comparators, "averages": add_averages,
    "cutoff": add_cutoff, "tables": add_tables, "noise": add_noise, "wide": add_wide, "penalties": add_penalties,
}  # fmt: skip
ROWS, EPOCHS = 30_000, 40
QUICK_ROWS, QUICK_EPOCHS, QUICK_TRIALS = 9000, 12, 2


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.nid", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="two functions, little data: some 40 CPU s")
    parser.add_argument("--only", nargs="+", choices=PARTS, help="parts to run; default: all")
    parser.add_argument("--functions", nargs="+", choices=[one.name for one in FUNCTIONS])
    parser.add_argument("--trials", type=int, default=10, help="of every function, for table2, averages and noise")
    parser.add_argument("--kept", type=Path, help="folder of trained networks: a run that was cut off goes on there")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    names = asked.functions or (["F3", "F5"] if asked.quick else [one.name for one in FUNCTIONS])
    functions = tuple(one for one in FUNCTIONS if one.name in names)
    rows, epochs, trials = (QUICK_ROWS, QUICK_EPOCHS, QUICK_TRIALS) if asked.quick else (ROWS, EPOCHS, asked.trials)
    size = Size(asked.quick, trials, rows, epochs, functions, asked.kept)
    with Rows("nid", threads=1, at_once=True, keep=asked.only is not None and not asked.quick) as table:
        for name in asked.only or PARTS:
            PARTS[name](table, size)


if __name__ == "__main__":
    main()
