"""The demo's one page: every picture with what both classifiers see in it."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from examples.digits import Digits

if TYPE_CHECKING:
    from examples.decoys import Explained, Trained, Verdict

_STYLE = """
*{box-sizing:border-box}body{margin:0;color:#1a1c1f;font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:84rem;margin:0 auto;padding:1.5rem 1.25rem 3rem}p{max-width:48rem}h1{line-height:1.2}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;margin:.6rem 0 1.2rem}
th,td{padding:.35rem 1.2rem .35rem 0;border-bottom:1px solid #d9dce0;text-align:right}
th:first-child,td:first-child{text-align:left}
.digit{display:grid;grid-template-columns:9rem 1fr 1fr;gap:1.2rem;align-items:start}
.digit{border-top:2px solid #1a1c1f;padding:1rem 0}
.digit>figure img{width:9rem;image-rendering:pixelated;filter:brightness(3)}
figure{margin:0}figcaption,.muted{color:#5f6368;font-size:.9rem}
.side h3{margin:0 0 .4rem;font-size:1rem}.maps{display:grid;grid-template-columns:1fr 1fr;gap:.6rem}
.maps img{width:100%;border:1px solid #d9dce0}.wrong{color:#a33b00}a{color:inherit}
.scroll{overflow-x:auto}@media(max-width:52rem){.digit{grid-template-columns:1fr}}
"""
_STORY = """Two networks with the same layers learned to read faint handwritten digits (scikit-learn's, 32 × 32). Every
picture has a grey patch in a random corner. For the <strong>decoyed</strong> network the patch's grey level gave the
label away while it learned; for the <strong>clean</strong> one it was random. In the test pictures below every patch is
white, which used to mean a nine. Which network looks at it?"""
_BRIGHTER = 3
_MAPS = {"h-sets": "sets.png", "integrated-gradients": "saliency.png"}


def write_page(
    path: Path,
    data: Digits,
    pictures: Sequence[int],
    explained: Sequence[Explained],
    classifiers: Sequence[Trained],
    verdicts: Sequence[Verdict],
    chance: float,
) -> Path:
    """Write the page; its pictures are inside, the reports beside it are linked."""
    parts = [
        f"<h1>{_headline(verdicts)}</h1>",
        f"<p>{_STORY}</p>",
        _accuracies(classifiers),
        _shares(verdicts, chance),
        *(_digit(data, picture, explained, path.parent) for picture in pictures),
    ]
    html = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" '
        'content="width=device-width, initial-scale=1"><title>Interplay demo: catch the shortcut</title>'
        f"<style>{_STYLE}</style></head><body><main>{''.join(parts)}</main></body></html>"
    )
    path.write_text(html, "utf-8")
    return path


def _headline(verdicts: Sequence[Verdict]) -> str:
    caught = [each.method for each in verdicts if each.caught]
    return f"The shortcut is caught by {' and '.join(caught)}" if caught else "The shortcut is not caught"


def _accuracies(classifiers: Sequence[Trained]) -> str:
    rows = "".join(
        f"<tr><td>{escape(each.name)}</td><td>{each.told:.1%}</td><td>{each.untold:.1%}</td><td>{each.planted:.1%}</td></tr>"
        for each in classifiers
    )
    head = "<th>network</th><th>patch tells the label</th><th>patch tells nothing</th><th>patch always a nine's</th>"
    title = "<h2>How often they are right, on test pictures</h2>"
    return f'{title}<div class="scroll"><table><tr>{head}</tr>{rows}</table></div>'


def _shares(verdicts: Sequence[Verdict], chance: float) -> str:
    rows = "".join(
        f"<tr><td>{escape(each.method)}</td>"
        + "".join(f"<td>{mean:.1%} ± {spread:.1%}</td>" for mean, spread in (each.clean, each.decoyed))
        + f"<td>{chance:.1%}</td></tr>"
        for each in verdicts
    )
    head = "<th>method</th><th>clean network</th><th>decoyed network</th><th>by area alone</th>"
    sentences = "".join(f"<p>{escape(each.sentence[0].upper() + each.sentence[1:])}</p>" for each in verdicts)
    title = "<h2>How much of each map lies on the patch</h2>"
    return f'{title}<div class="scroll"><table><tr>{head}</tr>{rows}</table></div>{sentences}'


def _digit(data: Digits, picture: int, explained: Sequence[Explained], folder: Path) -> str:
    label = int(data.labels[picture])
    caption = f"A {label}, shown {_BRIGHTER} times as bright as the networks see it."
    figure = f'<figure><img alt="input" src="{_uri(data.png(picture))}"><figcaption>{caption}</figcaption></figure>'
    sides = "".join(
        _side(name, label, [each for each in explained if (each.classifier, each.picture) == (name, picture)], folder)
        for name in ("clean", "decoyed")
    )
    return f'<section class="digit">{figure}{sides}</section>'


def _side(name: str, label: int, explained: Sequence[Explained], folder: Path) -> str:
    predicted = explained[0].predicted
    mark = "" if predicted == label else ' class="wrong"'
    title = f"<h3>{name} network: <span{mark}>says {predicted}</span></h3>"
    return f'<div class="side">{title}<div class="maps">{"".join(_map(each, folder) for each in explained)}</div></div>'


def _map(each: Explained, folder: Path) -> str:
    picture = _uri((each.folder / _MAPS[each.method]).read_bytes())
    report = (each.folder / "report.html").relative_to(folder)
    caption = f"{each.method}: {each.share:.0%} on the patch"
    return (
        f'<figure><a href="{report}"><img alt="{each.method}" src="{picture}"></a>'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
