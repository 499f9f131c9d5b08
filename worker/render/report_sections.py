"""The tables of report.html: sets, checks, cost, what ran, and how to run it again."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import Any

from jobs.artifact_names import DOCUMENTS
from worker.render import colours
from worker.render.report_contexts import context_table
from worker.render.report_logic import (
    checkpoint_table,
    disturbance_table,
    index_table,
    interaction_table,
    of_logic,
    order_table,
    similarity_table,
)
from worker.render.report_tables import cell, table
from worker.render.text import number, with_error

_VERDICTS = {True: ("passed", "✓ passed"), False: ("failed", "✗ failed"), None: ("informs", "informs")}
_MOST_NAMES = 12


def sections(result: Mapping[str, Any]) -> str:
    """Everything below the pictures; a section without content is left out."""
    parts = (
        *_found(result),
        ("Can this be trusted?", _checks(result.get("checks") or ())),
        ("What it cost", _cost(result.get("cost") or {}, result.get("seconds") or {})),
        ("Details", _pairs(_rest_of(result.get("details") or {}))),
        ("What ran", _pairs(_flat(result.get("provenance") or {}))),
        ("More files", _files(result.get("artifacts") or ())),
        ("Run it again", _again(result)),
    )
    return "".join(f"<section><h2>{title}</h2>{content}</section>" for title, content in parts if content)


def _found(result: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if of_logic(result.get("interactions") or ()):
        yield "Interactions", interaction_table(result)
    else:
        yield "Sets", _sets(result)
    yield "Strength by order", order_table(result)
    yield "Strength by context order", context_table(result)
    yield "The largest values of other indices", index_table(result)
    yield "From checkpoint to checkpoint", checkpoint_table(result)
    yield "Disturbances", disturbance_table(result)
    yield "Shared interactions", similarity_table(result)


def _rest_of(details: Mapping[str, Any]) -> dict[str, Any]:
    """The details that no section of their own shows."""
    return {name: value for name, value in details.items() if not (name == "indices" and isinstance(value, Mapping))}


def _sets(result: Mapping[str, Any]) -> str:
    found = sorted(result.get("interactions") or (), key=lambda interaction: -abs(interaction["strength"]))
    if not found:
        return ""
    keys = sorted({key for item in found for key, value in item["details"].items() if _is_scalar(value)})
    names = (result["players"].get("names") or ()) if result["players"]["kind"] == "feature" else ()
    head = ["rank", "score ± standard error", "members", *keys]
    rows = [_set_row(rank, item, keys, names) for rank, item in enumerate(found)]
    unit = f'<p class="muted">Score in {escape(result["unit"])}.</p>'
    return unit + table(head, rows)


def _set_row(rank: int, item: Mapping[str, Any], keys: Sequence[str], names: Sequence[str]) -> list[str]:
    swatch = f'<span class="swatch c{rank % len(colours.PALETTE)}">{rank + 1}</span>'
    score = with_error(item["strength"], item.get("standard_error"))
    return [swatch, score, _members(item, names), *(cell(item["details"].get(key)) for key in keys)]


def _members(item: Mapping[str, Any], names: Sequence[str]) -> str:
    if not names:
        return f"{item['order']:,}"
    listed = [names[member] for member in item["members"][:_MOST_NAMES]]
    more = item["order"] - len(listed)
    return escape(" × ".join(listed) + (f" and {more} more" if more else ""))


def _checks(checks: Iterable[Mapping[str, Any]]) -> str:
    rows = []
    for check in checks:
        kind, verdict = _VERDICTS[check["passed"]]
        shown = f'<span class="verdict {kind}">{verdict}</span>'
        rows.append([escape(check["name"]), cell(check["value"]), shown, escape(check["meaning"])])
    return table(["check", "value", "verdict", "what it means"], rows) if rows else ""


def _cost(cost: Mapping[str, Any], seconds: Mapping[str, Any]) -> str:
    rows = [[escape(name.replace("_", " ")), f"{value:,}"] for name, value in cost.items() if value]
    rows += [[f"seconds: {escape(stage.replace('_', ' '))}", number(value)] for stage, value in seconds.items()]
    return table(["what", "how much"], rows) if rows else ""


def _files(names: Iterable[str]) -> str:
    """Links to the documents beside this page, on the service that made it."""
    found = [name for name in names if name in DOCUMENTS]
    rows = [[f'<a href="{escape(name)}">{escape(name)}</a>', escape(DOCUMENTS[name])] for name in found]
    return table(["file", "what it holds"], rows) if rows else ""


def _pairs(values: Mapping[str, Any]) -> str:
    rows = [[escape(name.replace("_", " ")), cell(value)] for name, value in values.items() if value is not None]
    return table(["what", "value"], rows) if rows else ""


def _flat(provenance: Mapping[str, Any]) -> dict[str, Any]:
    versions = provenance.get("versions") or {}
    text = ", ".join(f"{name} {version}" for name, version in versions.items())
    return {**provenance, "versions": text or None}


def _again(result: Mapping[str, Any]) -> str:
    provenance, explained = result.get("provenance"), result["explained"]
    if not provenance:
        return ""
    part = "image" if result["players"].get("passage") is None else "tokens"
    target = explained["index"]
    if explained.get("against") is not None:
        target = {"index": target, "against": explained["against"]}
    request = {
        "method": provenance["method"],
        "model": provenance["model_id"],
        "target": target,
        "params": provenance["params"],
        "seed": provenance["seed"],
    }
    quoted = shlex.quote(json.dumps(request))
    without_input = explained.get("value") is None
    sent = (
        f"-H 'Content-Type: application/json' -d {quoted}" if without_input else f"-F {part}=@INPUT -F request={quoted}"
    )
    command = f"curl -s http://127.0.0.1:8000/v1/explanations {sent}"
    hint = f"INPUT is the file whose SHA-256 is {provenance['input_sha256']}." if provenance.get("input_sha256") else ""
    return f"<p>On the service that holds this model. {hint}</p><pre>{escape(command)}</pre>"


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str | int | float)
