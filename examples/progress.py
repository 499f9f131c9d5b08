"""A progress bar for a job, in the words of the service."""

from __future__ import annotations

from typing import Any

from tqdm import tqdm

from examples.client import Client, Document

EVERY_SECONDS = 0.25
_SCALE = 1000


def wait_with_bar(client: Client, job: Document, what: str) -> Document:
    """Wait for a job while a bar shows how far it is."""
    layout = "{desc}: {percentage:3.0f}% |{bar:30}| {elapsed}{postfix}"
    with tqdm(total=_SCALE, desc=what, bar_format=layout, leave=True) as bar:
        finished = client.wait(job, on_progress=lambda answer: _show(bar, answer), every_seconds=EVERY_SECONDS)
        bar.set_postfix_str("done")
    return finished


def _show(bar: tqdm[Any], job: Document) -> None:
    done = 1.0 if job["status"] == "succeeded" else job["progress"]["fraction"]
    bar.n = max(bar.n, round(_SCALE * done))
    bar.set_postfix_str(job["progress"]["stage"] or job["status"], refresh=False)
    bar.refresh()
