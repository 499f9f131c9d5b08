"""L0-SIGN: planted pairs, tweets against SIGN and six baselines, kept against reversed edges, speed.

    python -m benchmarks.l0_sign [--quick] [--parts planted twitter attempts reversed speed] [--seeds N]

`auc`, `accuracy`: on test rows, which nothing was chosen by. `edges_kept`: share of the pairs of test rows whose gate
is not 0, a feature with itself included. `pair_recovery_auc`: planted pairs ranked above all others. `epoch_speedup`:
CPU seconds of an epoch of another form of the same training over ours. `explained_rows_per_second`: with a table of
pairs. A value is a mean over seeds, with the standard deviation beside it.

Rows are written as they come; parts that were not asked for keep theirs. `--quick` has fewer rows, epochs and seeds:
its AUC says that things run, no more. Whole, it takes some 20 CPU minutes on one thread.
"""

from __future__ import annotations

import argparse

import torch

from benchmarks._l0_logs import TWEETS
from benchmarks._l0_planted import add_planted
from benchmarks._l0_speed import add_speed
from benchmarks._l0_twitter import Twitter
from benchmarks._rows import Rows

PARTS = ("planted", "speed", "twitter", "reversed", "attempts")
OF_TWEETS = ("twitter", "reversed", "attempts")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.l0_sign", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="little data, one seed: under 90 seconds")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--seeds", type=int, default=None, help="default: 3 of planted logs, 5 of tweets")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    with Rows("l0_sign", threads=1, at_once=True, keep=not asked.quick) as rows:
        if "planted" in asked.parts:
            add_planted(rows, range(asked.seeds or (1 if asked.quick else 3)), quick=asked.quick)
        if "speed" in asked.parts:
            add_speed(rows, quick=asked.quick)
        if wanted := [part for part in OF_TWEETS if part in asked.parts]:
            add_tweets(rows, wanted, seeds=asked.seeds or (1 if asked.quick else 5), quick=asked.quick)


def add_tweets(rows: Rows, parts: list[str], *, seeds: int, quick: bool) -> None:
    """Add the parts about `twitter_graph`, where it is."""
    if not TWEETS.exists():
        print("no twitter.data beside the checkout: tweets left out")
        return
    of = Twitter(seeds=range(seeds), quick=quick)
    for part in parts:
        getattr(of, f"add_{part}")(rows)


if __name__ == "__main__":
    main()
