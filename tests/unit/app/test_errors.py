"""Every error has a status, and every refusal has one shape."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from app.errors import STATUS, TITLE, as_document
from app.main import create_app
from jobs.errors import ComputeError, InfrastructureError, InternalError, StoreUnavailable, concrete_errors
from tests.unit.app.service import BASE_URL

ERRORS = list(concrete_errors())


def test_the_table_of_statuses_is_total():
    assert {error.code for error in ERRORS} == set(STATUS) == set(TITLE)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.code)
def test_only_our_own_failures_are_5xx(error):
    status = STATUS[error.code]

    assert (status == 503) == issubclass(error, InfrastructureError)
    assert (status == 500) == (error is InternalError)
    assert 400 <= status < 500 or not issubclass(error, ComputeError) or error is InternalError


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.code)
def test_a_problem_says_what_happened(error):
    document = as_document(error("the detail"))

    assert document["type"] == f"/problems/{error.code}"
    assert document["detail"] == "the detail"
    assert document["title"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nowhere", 404), ("PUT", "/v1/jobs", 405), ("GET", "/v1/jobs/job_x", 404),
     ("GET", "/v1/jobs?limit=x", 422), ("GET", "/v1/jobs?statuss=failed", 422),
     ("POST", "/v1/explanations", 415), ("POST", "/v1/models", 415),
     ("GET", "/v1/jobs/job_x?wait=61", 422), ("GET", "/v1/jobs?cursor=abc", 422), ("GET", "/v1/methods/h-set", 404)],
)  # fmt: skip
def test_every_refusal_is_a_problem(client, method, path, status):
    answer = client.request(method, path)

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert {"type", "title", "status", "detail", "code", "errors"} <= set(answer.json())
    assert answer.json()["status"] == status


def test_a_refused_query_names_the_parameter(client):
    assert "statuss" in client.get("/v1/jobs?statuss=failed").json()["detail"]


def test_an_unknown_method_is_answered_with_a_close_name(client):
    assert "did you mean h-sets" in client.get("/v1/methods/h-set").json()["detail"]


def test_the_type_of_a_problem_leads_to_its_description(client):
    problem = client.get("/v1/jobs/job_x").json()

    assert client.get(problem["type"]).json()["title"] == problem["title"]


def test_a_store_that_is_away_answers_503_with_retry_after(client, here, monkeypatch):
    def away(*_: object) -> None:
        raise StoreUnavailable("gone fishing")

    monkeypatch.setattr(here.store, "job", away)

    answer = client.get("/v1/jobs/job_x")

    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0


def test_a_defect_answers_500_without_its_traceback(settings, queue, monkeypatch):
    with TestClient(create_app(settings, queue=queue), base_url=BASE_URL, raise_server_exceptions=False) as client:
        monkeypatch.setattr(client.app.state.gateway.store, "job", lambda *_: 1 / 0)

        answer = client.get("/v1/jobs/job_x")

    assert answer.status_code == 500
    assert answer.json()["code"] == "internal-error"
    assert "division" not in answer.text
