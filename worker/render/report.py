"""report.html: one self-contained page for a person who has read nothing about the method.

Everything that is not this package's own text is escaped; the page runs no script and, by its content security
policy, loads nothing.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from functools import cache
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from jobs.schemas import Explained, Players
from worker.render import colours
from worker.render.alternatives import alternative
from worker.render.arrays import Floats
from worker.render.png import encode
from worker.render.report_logic import of_logic
from worker.render.report_passage import passage_section
from worker.render.report_sections import sections
from worker.render.sheet import class_name
from worker.render.text import count, number

_PAGE = Path(__file__).parent / "page"

_CAPTIONS = {
    "bottleneck.png": "How strongly two inputs interact while few, half or nearly all of the others are present. "
    "Networks commonly dip in the middle.",
    "pairs.png": "Which pairs those are. Brown pairs help each other; of a blue one, each takes the other's place.",
    "heatmap.png": "How strongly every two features can act together; those that belong together stand side by side.",
    "ranking.png": "The strongest interactions by name.",
    "interactions.png": "What the model combines. The strength of an AND is added to its output when all members are "
    "present, that of an OR when at least one is.",
    "orders.png": "How many inputs the model combines at once: strength added up by the number of members. Strength of "
    "high order is what overfitted models have more of.",
    "sparsity.png": "How few interactions matter: every strength, sorted. Above the broken line they are salient.",
    "dynamics.png": "The same from checkpoint to checkpoint. Training first takes strength off high orders; when it "
    "comes back, the model is learning things by heart.",
    "disturbances.png": "What noise adds. Interactions that noise makes are no knowledge; most are of middle order.",
    "similarities.png": "What is shared. Interactions of an order that are not shared do not generalize.",
    "sets.png": "Every coloured group is a set of inputs that the model uses together: changing one of them changes "
    "what another is worth. Rank 1 matters most.",
    "overlay.png": "Where in the picture it matters, and how much. The stronger the colour, the larger the value.",
    "saliency.png": "The same values alone, on the scale below them.",
}

_WIDE = ("pairs.png", "interactions.png", "dynamics.png", "disturbances.png", "similarities.png")


def report(result: Mapping[str, Any], pictures: Mapping[str, bytes], *, pixels: Floats | None = None) -> bytes:
    """Write the page of one finished job.

    Args:
        result: The content of result.json: an `Explanation`, with `provenance` and `seconds` where they are known.
        pictures: PNG bytes by artifact name.
        pixels: `(height, width, 3)` in [0, 1]: the picture as the model saw it.
    """
    style = page_style()
    explained = Explained.model_validate(result["explained"])
    page = page_template("report.html").substitute(
        style=style,
        style_hash=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        title=escape(_title(explained)),
        summary=_summary(result, explained),
        notes=notes_section(result.get("notes") or ()),
        passage=passage_section(Players.model_validate(result["players"]).passage),
        figures=_figures(result, pictures, pixels),
        sections=sections(result),
        version=escape(str((result.get("provenance") or {}).get("code_version", ""))),
    )
    return page.encode()


@cache
def page_template(name: str) -> Template:
    """Return a file of `page`, with its $names to be filled in."""
    return Template((_PAGE / name).read_text("utf-8"))


@cache
def page_style() -> str:
    """Return the style sheet of every report."""
    swatches = [_swatch(rank) for rank in range(len(colours.PALETTE))]
    return page_template("report.css").substitute(swatches="\n".join(swatches))


def _swatch(rank: int) -> str:
    colour = colours.of_set(rank)
    return f".c{rank}{{background:rgb{colour};color:rgb{colours.ink_on(colour)}}}".replace(" ", "")


def _title(explained: Explained) -> str:
    return "What does the network combine?" if explained.value is None else f"Why {class_name(explained)}?"


def _summary(result: Mapping[str, Any], explained: Explained) -> str:
    what = "a logit" if explained.against is None else "a logit difference"
    if explained.value is None:
        sentences = [f"Read off the network's weights, for {escape(class_name(explained))}, without an input"]
    else:
        sentences = [
            f"The model gives {escape(class_name(explained))} {what} of <strong>{number(explained.value)}</strong>"
        ]
    if explained.probability is not None:
        sentences[0] += f", a probability of <strong>{number(100 * explained.probability)} %</strong>"
    if explained.baseline_value is not None:
        sentences[0] += f"; for the baseline, which stands for an empty input, it is {number(explained.baseline_value)}"
    preset = f", preset <strong>{escape(result['preset'])}</strong>" if result.get("preset") else ""
    sentences.append(
        f"This page shows what led to it, by the method <strong>{escape(result['method'])}</strong>{preset}"
    )
    if result.get("interactions"):
        noun = "interaction" if of_logic(result["interactions"]) else "set"
        found = count(len(result["interactions"]), noun)
        sentences.append(f"It found <strong>{found}</strong> of inputs that the model combines")
    return ". ".join(sentences) + "."


def notes_section(notes: Any) -> str:
    """Return what a reader must know before anything else; nothing where there is nothing."""
    if not notes:
        return ""
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f'<aside class="notes"><strong>Before you rely on this</strong><ul>{items}</ul></aside>'


def _figures(result: Mapping[str, Any], pictures: Mapping[str, bytes], pixels: Floats | None) -> str:
    figures = [
        figure(pictures[name], alternative(name, result), caption, kind="wide" if name in _WIDE else "")
        for name, caption in _CAPTIONS.items()
        if name in pictures
    ]
    if pixels is not None:
        seen = encode((255 * pixels.clip(0, 1)).round().astype("uint8"))
        size = f"{pixels.shape[1]} × {pixels.shape[0]} pixels"
        figures.insert(0, figure(seen, "input", f"The input as the model sees it, {size}.", kind="small"))
    return "".join(figures)


def figure(png: bytes, alternative: str, caption: str, *, kind: str = "") -> str:
    """Return a picture within the page, with what stands for it where it cannot be seen."""
    source = base64.b64encode(png).decode()
    return (
        f'<figure class="{kind}"><img alt="{escape(alternative)}" src="data:image/png;base64,{source}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )
