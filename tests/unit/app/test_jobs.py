"""Reading, waiting for, listing, canceling, retrying and deleting jobs; fetching their files."""

from __future__ import annotations

import io
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app import sets
from app.routes import jobs as jobs_routes
from jobs.errors import OutOfMemory
from jobs.schemas import Progress
from jobs.set_scores import score
from tests.unit.app.service import SHAPE, claimed, fail, finish, kept, png, result_files, upload


@pytest.fixture
def job_id(explain) -> str:
    made: str = explain().json()["id"]
    return made


@pytest.fixture
def finished(job_id, here) -> str:
    finish(here, job_id)
    return job_id


# ---------------------------------------------------------------- reading and waiting


def test_a_job_that_did_not_change_is_not_sent_again(client, job_id):
    first = client.get(f"/v1/jobs/{job_id}")

    second = client.get(f"/v1/jobs/{job_id}", headers={"If-None-Match": first.headers["etag"]})

    assert (second.status_code, second.content) == (304, b"")
    assert second.headers["etag"] == first.headers["etag"]


def test_a_job_that_changed_is_sent_again(client, here, job_id):
    first = client.get(f"/v1/jobs/{job_id}")
    finish(here, job_id)

    second = client.get(f"/v1/jobs/{job_id}", headers={"If-None-Match": first.headers["etag"]})

    assert second.status_code == 200
    assert second.json()["status"] == "succeeded"


def test_a_running_job_shows_its_progress(client, here, job_id):
    job = claimed(here, job_id)
    progress = Progress(fraction=0.5, stage="paths", done=5, total=10)
    here.store.heartbeat(job_id, job.attempt, lease_seconds=60, progress=progress)

    document = client.get(f"/v1/jobs/{job_id}").json()

    assert (document["status"], document["progress"]["stage"], document["queue_position"]) == ("running", "paths", None)


def test_a_long_poll_returns_when_the_job_ends(client, here, job_id):
    timer = threading.Timer(0.2, finish, (here, job_id))
    timer.start()
    begun = time.monotonic()

    document = client.get(f"/v1/jobs/{job_id}?wait=10").json()

    timer.join()
    assert document["status"] == "succeeded"
    assert time.monotonic() - begun < 5


def test_a_long_poll_with_a_tag_returns_at_the_first_change(client, here, job_id):
    etag = client.get(f"/v1/jobs/{job_id}").headers["etag"]
    timer = threading.Timer(0.2, claimed, (here, job_id))
    timer.start()

    answer = client.get(f"/v1/jobs/{job_id}?wait=10", headers={"If-None-Match": etag})

    timer.join()
    assert answer.json()["status"] == "running"


def test_a_long_poll_whose_time_is_up_returns_the_job_as_it_is(client, job_id):
    assert client.get(f"/v1/jobs/{job_id}?wait=0.1").json()["status"] == "queued"


def test_long_polls_do_not_keep_others_waiting(client, job_id):
    with ThreadPoolExecutor(50) as pool:
        polls = [pool.submit(client.get, f"/v1/jobs/{job_id}?wait=4") for _ in range(50)]  # more than there are threads
        time.sleep(0.5)
        begun = time.monotonic()
        assert client.get("/v1/jobs?limit=1").status_code == 200
        assert client.post(f"/v1/jobs/{job_id}:retry").status_code == 409
        taken = time.monotonic() - begun

        assert all(poll.result().status_code == 200 for poll in polls)
    assert taken < 2.0  # both take milliseconds; a request that waits for a thread waits until the polls end


def test_reading_status_is_fast(client, job_id):
    """Twenty times the CPU that a read takes through this client; `benchmarks/service.py` measures the real thing."""
    for _ in range(20):
        client.get(f"/v1/jobs/{job_id}")
    begun = time.process_time()
    for _ in range(100):
        client.get(f"/v1/jobs/{job_id}")
    taken = time.process_time() - begun

    assert taken / 100 < 0.02


# ---------------------------------------------------------------- lists


def test_jobs_are_filtered(client, explain, here):
    ids = [explain(seed=seed, tags=["even"] if seed % 2 == 0 else ["odd"]).json()["id"] for seed in range(4)]
    finish(here, ids[0])

    def found(query: str) -> list[str]:
        return [item["id"] for item in client.get(f"/v1/jobs?{query}").json()["items"]]

    assert found("method=h-sets") == ids[::-1]
    assert found("method=h-sets&tag=even") == [ids[2], ids[0]]
    assert found("tag=even&status=succeeded") == [ids[0]]
    assert found("model=model_0") == []
    assert found("tag=nothing") == []


def test_jobs_are_listed_in_pages_that_keep_the_filters(client, explain):
    ids = [explain(seed=seed, tags=["a&b"]).json()["id"] for seed in range(3)]

    first = client.get("/v1/jobs", params={"tag": "a&b", "limit": 2}).json()
    rest = client.get(first["next"]).json()

    assert [item["id"] for item in first["items"] + rest["items"]] == ids[::-1]
    assert rest["next"] is None


# ---------------------------------------------------------------- results and files


def test_the_result_is_the_file_that_the_worker_wrote(client, finished):
    answer = client.get(f"/v1/jobs/{finished}/result")

    assert answer.content == result_files()["result.json"]
    assert answer.headers["content-type"] == "application/json"


def test_an_unfinished_job_has_no_result(client, job_id):
    answer = client.get(f"/v1/jobs/{job_id}/result")

    assert (answer.status_code, answer.json()["code"]) == (409, "not-finished")
    assert answer.json()["job_status"] == "queued"
    assert "retry-after" in answer.headers


def test_a_failed_job_answers_with_its_error(client, here, job_id):
    fail(here, job_id, OutOfMemory("needs 80 GiB"))

    answer = client.get(f"/v1/jobs/{job_id}/result")

    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert answer.json()["job_error"]["code"] == "out-of-memory"
    assert "needs 80 GiB" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("name", "media_type"),
    [("saliency.png", "image/png"), ("report.html", "text/html; charset=utf-8"), ("result.json", "application/json")],
)
def test_a_file_is_immutable_and_never_sniffed(client, finished, name, media_type):
    answer = client.get(f"/v1/jobs/{finished}/artifacts/{name}")
    again = client.get(f"/v1/jobs/{finished}/artifacts/{name}", headers={"If-None-Match": answer.headers["etag"]})

    assert answer.content == result_files()[name]
    assert answer.headers["content-type"] == media_type
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "immutable" in answer.headers["cache-control"]
    assert "private" in answer.headers["cache-control"]
    assert (again.status_code, again.content) == (304, b"")


def test_a_document_of_the_result_is_served_with_its_tag(client, here, job_id):
    finish(here, job_id, {"result.json": b"{}", "moebius.json": b'{"data": {}}'})

    answer = client.get(f"/v1/jobs/{job_id}/artifacts/moebius.json")
    again = client.get(f"/v1/jobs/{job_id}/artifacts/moebius.json", headers={"If-None-Match": answer.headers["etag"]})

    assert (answer.content, answer.headers["content-type"]) == (b'{"data": {}}', "application/json")
    assert again.status_code == 304


def test_a_report_may_run_no_script(client, finished):
    policy = client.get(f"/v1/jobs/{finished}/artifacts/report.html").headers["content-security-policy"]

    assert "default-src 'none'" in policy
    assert "script-src" not in policy


@pytest.mark.parametrize(
    "name", ["nothing.png", "..%2f..%2fjobs.db", "../result.json", "%00", "overlay.png", "saliency.png%00.txt"]
)
def test_a_file_that_the_job_lacks_is_not_found(client, finished, name):
    assert client.get(f"/v1/jobs/{finished}/artifacts/{name}").status_code == 404


@pytest.mark.parametrize("span", ["bytes=0-3", "bytes=9999-", "lines=1", "bytes=x"])
def test_a_file_is_answered_whole_whatever_range_is_asked(client, finished, span):
    answer = client.get(f"/v1/jobs/{finished}/artifacts/saliency.png", headers={"Range": span})

    assert (answer.status_code, answer.content) == (200, png())


@pytest.mark.parametrize("seen", [True, False])
def test_a_file_that_is_deleted_meanwhile_is_not_found(client, here, finished, monkeypatch, seen):
    for artifact in here.store.job(finished, "local").artifacts:
        here.artifacts.delete(artifact.sha256)
    if seen:
        monkeypatch.setattr(here.artifacts, "size", lambda sha256: 3)

    answer = client.get(f"/v1/jobs/{finished}/artifacts/saliency.png")

    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")


def test_a_store_that_is_no_folder_streams_its_files(client, here, finished, monkeypatch):
    monkeypatch.setattr(here.artifacts, "local_path", lambda sha256: None)

    answer = client.get(f"/v1/jobs/{finished}/artifacts/saliency.png")

    assert answer.content == png()
    assert answer.headers["content-length"] == str(len(png()))


# ---------------------------------------------------------------- cancel, retry, delete


def test_a_queued_job_is_canceled_at_once_and_again_without_harm(client, job_id):
    first = client.post(f"/v1/jobs/{job_id}:cancel")
    second = client.post(f"/v1/jobs/{job_id}:cancel")

    assert (first.status_code, first.json()["status"]) == (200, "canceled")
    assert (second.status_code, second.json()["status"]) == (200, "canceled")


def test_a_running_job_is_asked_to_stop(client, here, job_id):
    claimed(here, job_id)

    answer = client.post(f"/v1/jobs/{job_id}:cancel")

    assert (answer.status_code, answer.json()["status"]) == (202, "running")
    assert answer.json()["cancel_requested"]


def test_a_finished_job_cannot_be_canceled(client, finished):
    assert client.post(f"/v1/jobs/{finished}:cancel").status_code == 409


def test_an_inspection_cannot_be_canceled(client):
    inspection = upload(client).json()["links"]["inspection"]

    assert client.post(f"{inspection}:cancel").status_code == 409


def test_a_failed_job_is_done_again_as_a_new_one(client, here, queue, job_id):
    fail(here, job_id, OutOfMemory("no"))

    answer = client.post(f"/v1/jobs/{job_id}:retry")

    document = answer.json()
    assert answer.status_code == 202
    assert (document["retry_of"], document["status"], document["attempt"]) == (job_id, "queued", 0)
    assert queue.rung[-1].id == document["id"] != job_id
    old, new = here.store.job(job_id, "local"), here.store.job(document["id"], "local")
    assert (new.params, new.input, new.seed) == (old.params, old.input, old.seed)


def test_a_repeated_retry_makes_one_job(client, here, job_id):
    fail(here, job_id, OutOfMemory("no"))

    first, second = (client.post(f"/v1/jobs/{job_id}:retry", headers={"Idempotency-Key": "r"}) for _ in range(2))

    assert first.json()["id"] == second.json()["id"]
    assert second.headers["idempotency-replayed"] == "true"


def test_a_job_that_did_not_fail_is_not_retried(client, here, job_id):
    queued = client.post(f"/v1/jobs/{job_id}:retry")
    finish(here, job_id)
    succeeded = client.post(f"/v1/jobs/{job_id}:retry")

    assert (queued.status_code, succeeded.status_code) == (409, 409)


def test_a_retry_whose_model_is_gone_is_not_found(client, here, job_id, model_id):
    client.post(f"/v1/jobs/{job_id}:cancel")
    client.delete(f"/v1/models/{model_id}")

    assert client.post(f"/v1/jobs/{job_id}:retry").status_code == 404


def test_a_deleted_job_is_gone_with_its_files(client, here, finished, settings, model_id):
    answer = client.delete(f"/v1/jobs/{finished}")

    assert answer.status_code == 204
    assert client.get(f"/v1/jobs/{finished}").status_code == 404
    assert [path.name for path in kept(settings)] == [here.store.model(model_id, "local").sha256]


def test_files_that_another_job_shares_survive(client, finished, explain):
    copy = explain().json()["id"]

    client.delete(f"/v1/jobs/{finished}")

    assert client.get(f"/v1/jobs/{copy}/artifacts/saliency.png").content == png()


def test_a_job_under_way_is_not_deleted(client, job_id):
    assert client.delete(f"/v1/jobs/{job_id}").status_code == 409


@pytest.mark.parametrize("action", ["cancel", "retry"])
def test_an_action_is_not_part_of_the_id(client, job_id, action):
    assert client.get(f"/v1/jobs/{job_id}:{action}").status_code in (404, 405)
    assert client.post(f"/v1/jobs/job_0:{action}").status_code == 404
    assert client.post(f"/v1/jobs/{job_id}:explode").status_code in (404, 405)


# ---------------------------------------------------------------- sets


def test_a_drawn_set_is_scored_as_the_job_scores_its_own(client, finished):
    answer = client.post(f"/v1/jobs/{finished}/sets", json={"members": [3, 1, 2]})

    files = result_files()
    gradients, difference = (np.load(io.BytesIO(files[name])) for name in ("path_gradients.npy", "difference.npy"))
    expected = score(gradients, difference, [1, 2, 3], formula="paper", subsets=50, seed=0)
    document = answer.json()
    assert answer.status_code == 200
    assert (document["strength"], document["standard_error"]) == (expected.value, expected.standard_error)
    assert (document["members"], document["subsets"], document["unit"]) == (3, 50, "logit per distance")


def test_a_box_and_its_mask_and_its_members_score_alike(client, finished):
    mask = [[1 if 2 <= x < 5 and 1 <= y < 3 else 0 for x in range(8)] for y in range(8)]
    members = [int(np.ravel_multi_index((c, y, x), SHAPE)) for c in range(3) for y in (1, 2) for x in (2, 3, 4)]

    answers = [
        client.post(f"/v1/jobs/{finished}/sets", json=body).json()
        for body in ({"box": [2, 1, 5, 3]}, {"mask": mask}, {"members": members})
    ]

    assert answers[0]["members"] == 18
    assert answers[0] == answers[1] == answers[2]


def test_scoring_a_set_takes_milliseconds(client, finished):
    client.post(f"/v1/jobs/{finished}/sets", json={"box": [0, 0, 8, 8]})
    begun = time.process_time()
    client.post(f"/v1/jobs/{finished}/sets", json={"box": [0, 0, 8, 8]})

    assert time.process_time() - begun < 0.25


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, ""),
        ({"members": [1], "box": [0, 0, 1, 1]}, ""),
        ({"members": []}, "/members"),
        ({"members": [-1]}, "/members"),
        ({"members": [192]}, "/members"),
        ({"members": [10**30]}, "/members"),
        ({"members": ["1"]}, "/members/0"),
        ({"members": [1.5]}, "/members/0"),
        ({"box": [0, 0, 0, 1]}, "/box"),
        ({"box": [0, 0, 9, 1]}, "/box"),
        ({"box": [0, 0, 1]}, "/box"),
        ({"mask": [[0] * 8] * 8}, "/mask"),
        ({"mask": [[2] * 8] * 8}, "/mask"),
        ({"mask": [[1] * 7] * 8}, "/mask"),
        ({"mask": [[1] * 8, [1]]}, "/mask"),
        ({"mask": []}, "/mask"),
        ({"sets": [1]}, "/sets"),
    ],
)
def test_a_set_outside_of_the_input_is_refused(client, finished, body, pointer):
    answer = client.post(f"/v1/jobs/{finished}/sets", json=body)

    assert answer.status_code == 422
    assert any(fault["pointer"].startswith(pointer) for fault in answer.json()["errors"])


def test_a_job_that_kept_no_gradients_cannot_score(client, here, job_id, explain):
    unfinished = client.post(f"/v1/jobs/{job_id}/sets", json={"members": [1]})
    finish(here, job_id, {"result.json": b"{}"})
    without = client.post(f"/v1/jobs/{job_id}/sets", json={"members": [1]})

    assert (unfinished.status_code, without.status_code) == (409, 409)
    assert "sets" not in client.get(f"/v1/jobs/{job_id}").json()["links"]


def test_a_whole_picture_is_scored_and_much_more_is_refused():
    members = 3 * 224 * 224

    sets._check_work(members, points=31, subsets=1000)

    for points, subsets in ((31, 10_000), (1001, 30), (2, 5000)):
        with pytest.raises(ValueError, match="choose a smaller set"):
            sets._check_work(members, points=points, subsets=subsets)


def test_a_set_that_would_take_too_long_is_refused_with_what_to_reduce(client, finished, monkeypatch):
    monkeypatch.setattr(sets, "MAX_DRAWS", 50)

    answer = client.post(f"/v1/jobs/{finished}/sets", json={"members": [1, 2]})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "/members"
    assert "at most 50, got 100" in answer.json()["detail"]


def test_at_most_two_sets_are_scored_at_once(client, finished, monkeypatch):
    at_once, most, scored = [], [], jobs_routes.scored

    def watched(*arguments: Any) -> Any:
        at_once.append(1)
        most.append(len(at_once))
        time.sleep(0.05)
        at_once.pop()
        return scored(*arguments)

    monkeypatch.setattr(jobs_routes, "scored", watched)

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda n: client.post(f"/v1/jobs/{finished}/sets", json={"members": [n]}), range(6)))

    assert [answer.status_code for answer in answers] == [200] * 6
    assert max(most) <= 2


def test_files_that_are_deleted_while_a_set_is_scored_are_not_found(client, here, finished, monkeypatch):
    monkeypatch.setattr(here.artifacts, "local_path", lambda sha256: Path("/nowhere"))

    assert client.post(f"/v1/jobs/{finished}/sets", json={"members": [1]}).status_code == 404


def test_inline_pictures_and_parts_are_the_same_request(client, model_id, explain):
    first = explain().json()["id"]
    files = {"request": (None, f'{{"model": "{model_id}"}}'), "image": ("x", png())}

    assert client.post("/v1/explanations", files=files).json()["id"] == first
