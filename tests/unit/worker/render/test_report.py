"""report.html: stands alone, says everything, and lets nothing through."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

from tests.explanations import of_features, picture, scattered_sets
from worker import render

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>${style}&amp;"


def page(explanation, *, pixels=None, **extra):
    result = {**explanation.model_dump(mode="json"), **extra}
    return render.report(result, render.pictures(explanation, pixels), pixels=pixels).decode()


def provenance(**changes):
    return {
        "method": "h-sets", "preset": "paper", "params": {"sets": 5, "note": "it's"}, "seed": 7,
        "model_id": "model_" + "0" * 32, "model_sha256": "a" * 64, "input_sha256": "b" * 64, "code_version": "0.1.0",
        "versions": {"torch": "2.15.0"}, "device": "cpu", "dtype": "float32",
    } | changes  # fmt: skip


class Elements(HTMLParser):
    """Every start tag with its attributes."""

    def __init__(self, html):
        super().__init__()
        self.found = []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def named(self, tag):
        return [attributes for name, attributes in self.found if name == tag]


def test_the_page_loads_nothing_and_runs_nothing():
    elements = Elements(page(scattered_sets(), pixels=picture(), provenance=provenance()))

    assert not elements.named("script")
    assert not elements.named("link")
    assert all(image["src"].startswith("data:image/png;base64,") for image in elements.named("img"))
    assert len(elements.named("img")) == 4  # the input and three pictures
    assert not [name for _, attributes in elements.found for name in attributes if name.startswith(("on", "style"))]


def test_the_policy_allows_the_style_of_the_page_and_no_other():
    html = page(scattered_sets())
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)[1]
    policy = Elements(html).named("meta")[1]["content"]

    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()

    assert f"style-src 'sha256-{digest}'" in policy
    assert "default-src 'none'" in policy


def test_what_strangers_named_is_text():
    explanation = scattered_sets(label=HOSTILE)
    explanation = explanation.model_copy(update={"notes": (HOSTILE,), "unit": HOSTILE, "details": {HOSTILE: HOSTILE}})
    hostile = provenance(params={HOSTILE: HOSTILE}, versions={HOSTILE: HOSTILE}, code_version=HOSTILE)

    elements = Elements(page(explanation, provenance=hostile, seconds={HOSTILE: 1.0}))

    assert not elements.named("script")
    assert all("onerror" not in attributes for _, attributes in elements.found)


def test_names_of_features_are_text():
    assert not Elements(page(of_features([1.0, 2.0], (HOSTILE, "b")))).named("script")


def test_the_page_says_what_was_asked_found_checked_and_spent():
    html = page(scattered_sets(), provenance=provenance(), seconds={"compute": 1.25})

    for text in ("class 281 “tabby”", "12.3", "97 %", "h-sets", "paper", "5 sets", "1.0000 ± 0.0050", "full"):
        assert text in html
    for text in ("✓ passed", "✗ failed", "informs", "A Hessian is symmetric.", "The baseline is mean grey."):
        assert text in html
    for text in ("hessian rows", "17", "compute", "1.25", "a" * 64, "torch 2.15.0"):
        assert text in html


def test_the_page_tells_how_to_run_it_again():
    html = page(scattered_sets(), provenance=provenance())

    command = re.search(r"<pre>(.*?)</pre>", html, re.DOTALL)[1]

    assert command.startswith("curl ")
    for text in ("/v1/explanations", "model_" + "0" * 32, "&quot;seed&quot;: 7", "&quot;target&quot;: 281"):
        assert text in command


def test_a_page_without_sets_pictures_or_provenance_is_written():
    bare = scattered_sets(sets=0).model_copy(update={"checks": (), "notes": (), "arrays": {}})

    assert "Why class 281" in page(bare)


def test_the_page_links_to_the_documents_beside_it_and_to_nothing_else():
    names = ["result.json", "moebius.json", "report.html", HOSTILE]

    elements = Elements(page(scattered_sets(), artifacts=names))

    assert [link["href"] for link in elements.named("a")] == ["moebius.json"]
    assert not Elements(page(scattered_sets())).named("a")
