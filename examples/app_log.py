"""A log of app usage, invented: which pairs of context and app matter, and why one prediction is what it is.

    python -m examples.app_log [FOLDER]

Whether an app is used depends on a few pairs alone: work apps on workdays, music on the way, games at home in the
evening, maps in the rain. L0-SIGN is trained on the log through the service; the folder then holds the log, the
pictures and the result. Takes half a minute.
"""

from __future__ import annotations

import csv
import math
import random
import sys
from pathlib import Path
from typing import Any

from examples.client import Client, Document
from examples.local_service import local_service
from examples.progress import wait_with_bar

ROWS = 6000
COLUMNS: dict[str, tuple[str, ...]] = {
    "app": ("mail", "music", "game", "maps", "camera"),
    "day": ("workday", "weekend"),
    "place": ("home", "office", "on the way"),
    "time": ("morning", "noon", "evening"),
    "weather": ("sunny", "cloudy", "rain"),
    "network": ("wifi", "mobile"),
}
EFFECTS: dict[tuple[str, str], float] = {
    ("mail", "workday"): 3.0,
    ("mail", "home"): -2.5,
    ("music", "on the way"): 3.0,
    ("game", "evening"): 2.5,
    ("game", "office"): -3.0,
    ("maps", "rain"): 2.5,
    ("camera", "sunny"): 2.5,
}
"""What a pair adds to the log-odds of use; nothing else does."""
START = -1.0
PARAMS: dict[str, Any] = {"batch_size": 256, "epochs": 40, "lambda1": 5e-3, "compare": ["sign", "fm"]}


def log(rows: int, *, seed: int = 0) -> list[dict[str, str]]:
    """Invent a log: a row for each moment at which an app was looked at, and whether it was used."""
    draw = random.Random(seed)
    return [_row(draw) for _ in range(rows)]


def _row(draw: random.Random) -> dict[str, str]:
    row = {name: draw.choice(values) for name, values in COLUMNS.items()}
    held = set(row.values())
    odds = START + sum(effect for pair, effect in EFFECTS.items() if set(pair) <= held)
    return {**row, "used": "yes" if draw.random() < 1 / (1 + math.exp(-odds)) else "no"}


def write(rows: list[dict[str, str]], path: Path) -> None:
    """Write a log as CSV."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def planted(features: list[str]) -> bool:
    """Tell whether two features, such as `app=mail` and `day=workday`, are a pair that has an effect."""
    held = {feature.partition("=")[2] for feature in features}
    return any(set(pair) == held for pair in EFFECTS)


def learned(client: Client, folder: Path, params: dict[str, Any]) -> Document:
    """Train on the log in `folder`, save what came out there, and return the result."""
    dataset = client.upload_dataset(folder / "log.csv", {"target": "used"})
    job = client.train(dataset["id"], method="l0-sign", name="app log", params=params)
    finished = wait_with_bar(client, job, "L0-SIGN")
    client.download(finished, folder)
    return client.result(finished)


def tell(result: Document, explained: Document) -> None:
    """Print the strongest pairs, what others reach, and one prediction as a sum."""
    names, metrics = result["players"]["names"], result["metrics"]
    print(f"AUC {metrics['test_auc']:.3f} with {metrics['test_edges_kept']:.0%} of the edges")
    for rival in result["details"]["compare"]:
        print(f"AUC {rival['auc']:.3f} of {rival['name']}")
    for one in result["interactions"][:10]:
        members = [names[member] for member in one["members"]]
        print(f"{one['strength']:+.3f}  {' and '.join(members)}{'  (planted)' if planted(members) else ''}")
    row = explained["rows"][0]
    terms = [f"{edge['contribution']:+.2f} ({' and '.join(edge['features'])})" for edge in row["edges"]]
    print(f"{row['margin']:.2f} = {row['bias']:.2f} {' '.join(terms)} {row['remainder']:+.2f} (others)")


def main() -> None:
    """Run the example; its files go to the folder that is named, or to `app_log`."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "app_log")
    folder.mkdir(parents=True, exist_ok=True)
    write(log(ROWS), folder / "log.csv")
    with local_service(folder) as url, Client(url) as client:
        result = learned(client, folder, PARAMS)
        moment = {name: values[0] for name, values in COLUMNS.items()}
        tell(result, client.explain_rows(result["model"], [moment], top=5))


if __name__ == "__main__":
    main()
