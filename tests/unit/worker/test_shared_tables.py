"""One table for many questions: jobs that need the same values of the same network evaluate them once."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest

from jobs.errors import InvalidParameters
from jobs.logical_model import LogicalModel
from jobs.schemas import Job, Target
from tests.unit.worker.test_execution import Bench
from worker.messages import Compute, Finished

STATES = 2**4

MATCHED = 1e-6
"""By which the float64 prediction may exceed the noise band that the solver worked with."""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return Bench(tmp_path_factory.mktemp("bench"))


def job(bench: Bench, *, tenant: str = "local", target: int | None = 1, **params: Any) -> Job:
    chosen = None if target is None else Target(index=target)
    return bench.job("and-or", params=params, target=chosen, tenant=tenant)


def file(bench: Bench, finished: Finished, name: str) -> bytes:
    return next(bench.artifacts.get(one.sha256) for one in finished.artifacts if one.name == name)


def result(bench: Bench, finished: Finished) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file(bench, finished, "result.json"))
    return found


def test_another_solver_or_index_runs_no_masked_state_again(bench: Bench) -> None:
    first = bench.explain(job(bench))
    again = [
        bench.explain(job(bench, **params))
        for params in ({"solver": "published", "steps": 10}, {"indices": ["FSII"], "index_order": 3}, {"noise": 0.1})
    ]

    assert result(bench, first)["details"]["table_cached"] is False
    assert first.cost.forwards >= STATES
    for found in again:
        assert result(bench, found)["details"]["table_cached"] is True
        assert found.cost.forwards == first.cost.forwards - STATES
        assert any("evaluated for an earlier job" in note for note in result(bench, found)["notes"])
        assert file(bench, found, "table.npy") == file(bench, first, "table.npy")


@pytest.mark.parametrize(
    "changes",
    [
        {"tenant": "other"},
        {"target": 2},
        {"value": "logit"},
        {"baseline": "given", "baseline_values": [1.0, 1.0, 1.0, 1.0]},
        {"groups": [[0, 1], [2], [3]]},
    ],
)
def test_whatever_decides_the_values_is_evaluated_anew(bench: Bench, changes: dict[str, Any]) -> None:
    bench.explain(job(bench))

    found = bench.explain(job(bench, **changes))

    assert result(bench, found)["details"]["table_cached"] is False


def test_the_predicted_class_and_its_index_share_a_table(bench: Bench) -> None:
    predicted = bench.explain(job(bench, target=None))
    index = result(bench, predicted)["explained"]["index"]

    assert result(bench, bench.explain(job(bench, target=index)))["details"]["table_cached"] is True


def test_the_logical_model_that_a_job_keeps_matches_the_network(bench: Bench) -> None:
    """What `POST /v1/jobs/{id}/states` computes from the kept arrays, against the noise band in the result."""
    for empty in ("bias", "published"):
        finished = bench.explain(job(bench, empty=empty))
        atoms, table = (np.load(io.BytesIO(file(bench, finished, name))) for name in ("atoms.npy", "table.npy"))
        found = result(bench, finished)

        model = LogicalModel(atoms, table)

        band = found["details"]["noise_band"]
        states = [model.at(state, top=1) for state in range(STATES)]
        assert max(abs(state.value - state.prediction) for state in states) <= band * (1 + MATCHED)
        strongest = next(one for one in found["interactions"] if one["kind"] != "main")
        everybody = model.at(STATES - 1, top=STATES).triggered
        members = sum(1 << player for player in strongest["members"])
        assert (strongest["kind"], members, strongest["strength"]) in {
            (atom.kind, atom.members, atom.strength) for atom in everybody
        }


def test_documents_of_a_job_are_its_logical_model_and_indices(bench: Bench) -> None:
    finished = bench.explain(job(bench, indices=["SV", "k-SII"]))

    names = {one.name for one in finished.artifacts}
    sv = json.loads(file(bench, finished, "sv.json"))
    moebius = json.loads(file(bench, finished, "moebius.json"))
    assert {"moebius.json", "or.json", "sv.json", "k-sii.json"} <= names
    assert "sii.json" not in names
    details = result(bench, finished)["details"]
    change = details["output_all_present"] - details["output_all_masked"]
    assert sum(value for key, value in sv["data"].items() if key != "Empty") == pytest.approx(change)
    assert moebius["data"]["Empty"] == pytest.approx(details["bias"])


def test_values_from_elsewhere_are_compared_in_the_result(bench: Bench) -> None:
    exact = json.loads(file(bench, bench.explain(job(bench, indices=["SII"])), "sii.json"))
    exact["data"]["0,2"] += 1.0

    found = result(bench, bench.explain(job(bench, compare_with=exact)))

    compared = found["details"]["compared_with"]
    assert compared["index"] == "SII"
    assert compared["largest_difference"] == pytest.approx(1.0)
    assert compared["worst"][0]["players"] == ["a", "c"]
    (check,) = (one for one in found["checks"] if one["name"] == "agreement-of-compare-with")
    assert check["value"] == pytest.approx(compared["r_squared"])


def test_another_method_on_the_same_game_finds_the_table(bench: Bench) -> None:
    """Whichever comes first: interactions of all orders, and the context orders of pairs."""
    bench.explain(job(bench, value="logit"))
    same = {"value": "logit", "computation": "exact"}

    found = bench.explain(bench.job("multi-order", params=same, target=Target(index=1)))

    assert result(bench, found)["details"]["table_cached"] is True
    assert found.cost.forwards < STATES


def test_values_that_contradict_themselves_fail_the_job_before_the_network_runs(bench: Bench) -> None:
    metadata = {"index": "SII", "n_players": 4, "max_order": 2}
    seen: list[str] = []
    given = job(bench, compare_with={"metadata": metadata, "data": {"0,1": 1.0, "1,0": 2.0}})

    with pytest.raises(InvalidParameters, match="every set once") as caught:
        bench.execution(Compute(job=given, model=bench.model), lambda stage, done, total: seen.append(stage))

    assert caught.value.errors[0].pointer == "/params/compare_with"
    assert seen == ["load"]
