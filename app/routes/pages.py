"""Pages for people: where to go from /, the documentation, and what a problem's type means."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from app.docs_page import POLICY, docs_page
from app.errors import STATUS, TITLE, problem_type
from jobs.errors import NotFound

router = APIRouter(include_in_schema=False)


@router.get("/")
async def root() -> Response:
    return RedirectResponse("/docs")


@router.get("/docs")
async def docs(request: Request) -> Response:
    page = docs_page(request.app.openapi())
    return HTMLResponse(page, headers={"Content-Security-Policy": POLICY})


@router.get("/problems/{code}")
async def problem(code: str) -> Response:
    """Describe a kind of problem: what `type` of a problem document leads to."""
    if code not in STATUS:
        raise NotFound(f"there is no problem of the code {code[:80]!r}")
    return JSONResponse({"type": problem_type(code), "title": TITLE[code], "status": STATUS[code], "code": code})
