"""The page at /docs: the API's description as one static page, without scripts and without the network."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, Final

POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"

_STYLE: Final = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a;background:#fff}
code,pre{font:14px/1.4 ui-monospace,monospace}pre{background:#f4f4f4;padding:.8rem;overflow:auto;max-height:24rem}
details{border:1px solid #ccc;border-radius:6px;margin:.5rem 0;padding:.5rem 1rem}summary{cursor:pointer}
.method{display:inline-block;width:4.5rem;font-weight:700}table{border-collapse:collapse}
td{padding:.15rem 1rem .15rem 0;vertical-align:top}
"""


def docs_page(description: Mapping[str, Any]) -> str:
    """Return the page that shows an OpenAPI document."""
    info = description["info"]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(info['title'])} API</title><style>{_STYLE}</style></head><body>"
        f"<h1>{escape(info['title'])} <small>{escape(info['version'])}</small></h1>"
        f"<p>{_prose(info['description'])}</p>"
        '<p>The same for programs: <a href="/openapi.json">openapi.json</a></p>'
        f"<h2>Operations</h2>{''.join(_operations(description))}"
        f"<h2>Schemas</h2>{''.join(_schemas(description))}</body></html>"
    )


def _operations(description: Mapping[str, Any]) -> Iterator[str]:
    for path, operations in description["paths"].items():
        for method, operation in operations.items():
            yield (
                f'<details id="{escape(operation["operationId"])}"><summary>'
                f'<span class="method">{method.upper()}</span>'
                f"<code>{escape(path)}</code> {escape(operation['summary'])}</summary>"
                f"<p>{_prose(operation.get('description', ''))}</p>"
                f"{_parameters(operation)}{_body(operation)}{_answers(operation)}</details>"
            )


def _parameters(operation: Mapping[str, Any]) -> str:
    rows = [
        f"<tr><td><code>{escape(parameter['name'])}</code></td><td>{escape(parameter['in'])}</td>"
        f"<td>{_prose(parameter.get('description', ''))}</td></tr>"
        for parameter in operation.get("parameters", [])
    ]
    return f"<h4>Parameters</h4><table>{''.join(rows)}</table>" if rows else ""


def _body(operation: Mapping[str, Any]) -> str:
    content = operation.get("requestBody", {}).get("content", {})
    return "".join(f"<h4>Body: {escape(kind)}</h4>{_code(value)}" for kind, value in content.items())


def _answers(operation: Mapping[str, Any]) -> str:
    rows = [
        f"<tr><td><code>{escape(str(status))}</code></td><td>{_prose(response['description'])}</td></tr>"
        for status, response in operation["responses"].items()
    ]
    return f"<h4>Answers</h4><table>{''.join(rows)}</table>"


def _schemas(description: Mapping[str, Any]) -> Iterator[str]:
    for name, schema in sorted(description["components"]["schemas"].items()):
        shown = escape(name)
        yield f'<details id="schema-{shown}"><summary><code>{shown}</code></summary>{_code(schema)}</details>'


def _prose(text: str) -> str:
    """Show the two marks of Markdown that descriptions use: `code` and *emphasis*; a blank line ends a paragraph."""
    shown = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))
    return re.sub(r"(?<!\w)\*(\w[^*]*)\*", r"<em>\1</em>", shown).replace("\n\n", "</p><p>")


def _code(value: Any) -> str:
    return f"<pre>{escape(json.dumps(value, indent=2, ensure_ascii=False))}</pre>"
