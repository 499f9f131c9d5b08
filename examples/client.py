"""A small client of the Interplay service: upload a model, explain an input, wait, download.

from examples.client import Client

client = Client("http://127.0.0.1:8000")
model = client.upload(Path("model.safetensors"), {"architecture": "mobilenet_v2"})
job = client.wait(client.explain(model["id"], Path("photo.jpg").read_bytes(), method="h-sets"))
print(client.result(job)["interactions"][0]["strength"])
client.download(job, Path("out"))
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

LONG_POLL_SECONDS = 10
Document = dict[str, Any]


class Refused(Exception):
    """The service answered with a problem document; the message says what to change."""

    def __init__(self, problem: Mapping[str, Any]) -> None:
        faults = "; ".join(f"{error['pointer']}: {error['detail']}" for error in problem.get("errors") or ())
        super().__init__(f"{problem.get('title')}: {problem.get('detail')}" + (f" ({faults})" if faults else ""))
        self.problem = problem


class Client:
    """Talks to one service.

    Args:
        api_key: Only where the service asks for one.
    """

    def __init__(self, url: str, *, api_key: str | None = None) -> None:
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=LONG_POLL_SECONDS + 60)

    def upload(self, artifact: Path, manifest: Mapping[str, Any]) -> Document:
        """Upload a model and wait until the service has inspected it.

        Args:
            artifact: safetensors, or a state dict (.pt) that holds tensors alone.
            manifest: What the file is; only `architecture` is required.

        Raises:
            Refused: The service does not take the file, or cannot run the model.
        """
        with artifact.open("rb") as file:
            parts = {"manifest": (None, json.dumps(manifest), "application/json"), "artifact": (artifact.name, file)}
            model = self._json("POST", "/v1/models", files=parts)
        while model["status"] == "inspecting":
            model = self._json("GET", f"/v1/models/{model['id']}", params={"wait": LONG_POLL_SECONDS})
        if model["status"] == "failed":
            raise Refused(model["error"])
        return model

    def upload_dataset(self, file: Path, manifest: Mapping[str, Any]) -> Document:
        """Upload rows to learn from and wait until the service has read all of them.

        Raises:
            Refused: The file cannot be read; the message names row and column.
        """
        with file.open("rb") as content:
            parts = {"manifest": (None, json.dumps(manifest), "application/json"), "file": (file.name, content)}
            dataset = self._json("POST", "/v1/datasets", files=parts)
        while dataset["status"] == "inspecting":
            dataset = self._json("GET", f"/v1/datasets/{dataset['id']}", params={"wait": LONG_POLL_SECONDS})
        if dataset["status"] == "failed":
            raise Refused(dataset["error"])
        return dataset

    def train(self, dataset_id: str, **request: Any) -> Document:
        """Ask for a training and return the job; its result names the new `model`.

        Args:
            request: `method`, `params`, `seed`, … as in `GET /v1/trainings/methods`.
        """
        return self._json("POST", "/v1/trainings", json={"dataset": dataset_id, **request})

    def explain_rows(self, model_id: str, rows: Sequence[Any], **request: Any) -> Document:
        """Take the predictions of rows apart, at once; for models that a training of `l0-sign` or `nid` made."""
        return self._json("POST", f"/v1/models/{model_id}:explain", json={"rows": list(rows), **request})

    def explain(self, model_id: str, image: bytes | None = None, **request: Any) -> Document:
        """Ask for an explanation and return the job, which may not have begun.

        Args:
            image: A picture's bytes; other input goes into the request, such as
                `input={"tokens": {"ids": [101, 2025, 2204, 102], "words": [None, 0, 1, None]}}`.
            request: `method`, `target`, `params`, `seed`, … as in `GET /v1/methods/{id}`.

        Raises:
            Refused: The request cannot be computed.
        """
        if image is None:
            return self._json("POST", "/v1/explanations", json={"model": model_id, **request})
        body = json.dumps({"model": model_id, **request})
        parts = {"request": (None, body, "application/json"), "image": ("image", image)}
        return self._json("POST", "/v1/explanations", files=parts)

    def wait(
        self,
        job: Mapping[str, Any],
        *,
        on_progress: Callable[[Document], None] = lambda job: None,
        every_seconds: float = LONG_POLL_SECONDS,
        timeout_seconds: float = 3600.0,
    ) -> Document:
        """Wait for the end of a job; `on_progress` sees every answer, at least one each `every_seconds`.

        Raises:
            Refused: The job failed, was canceled or expired.
            TimeoutError: It did not end in time; it goes on.
        """
        until = time.monotonic() + timeout_seconds
        while time.monotonic() < until:
            answer = self._json("GET", f"/v1/jobs/{job['id']}", params={"wait": every_seconds})
            on_progress(answer)
            if answer["status"] == "succeeded":
                return answer
            if answer["status"] not in ("queued", "running"):
                raise Refused(answer["error"] or {"title": f"The job is {answer['status']}", "detail": answer["id"]})
        raise TimeoutError(f"job {job['id']} did not end within {timeout_seconds:.0f} s")

    def result(self, job: Mapping[str, Any]) -> Document:
        """Return what a finished job found."""
        return self._json("GET", f"/v1/jobs/{job['id']}/result")

    def states(self, job: Mapping[str, Any], **body: Any) -> Document:
        """Ask the logical model of a finished and-or job about masked states.

        Args:
            body: `present` or `absent`, the players of each state, by index or name; `top`, how many to list of what
                each state triggers.
        """
        return self._json("POST", f"/v1/jobs/{job['id']}/states", json=body)

    def artifact(self, job: Mapping[str, Any], name: str) -> bytes:
        """Return one file of a finished job."""
        return self._send("GET", f"/v1/jobs/{job['id']}/artifacts/{name}").content

    def download(self, job: Mapping[str, Any], folder: Path) -> list[Path]:
        """Save every file of a finished job in `folder` and return the paths."""
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / artifact["name"] for artifact in job["artifacts"]]
        for path in paths:
            path.write_bytes(self.artifact(job, path.name))
        return paths

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _json(self, verb: str, path: str, **content: Any) -> Document:
        return self._send(verb, path, **content).json()

    def _send(self, verb: str, path: str, **content: Any) -> httpx.Response:
        response = self._http.request(verb, path, **content)
        if response.is_error:
            problem = response.headers.get("content-type", "").startswith("application/problem+json")
            raise Refused(response.json() if problem else {"title": response.status_code, "detail": response.text})
        return response
