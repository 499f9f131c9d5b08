"""A logical model in shapiq's format: read by shapiq, and put together again from the files alone."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
import torch

from jobs.artifact_names import DOCUMENTS
from worker.methods._indices import Index, index_values
from worker.methods._interchange import from_shapiq
from worker.methods._transforms import mobius, or_mobius
from worker.methods.and_or import interchange
from worker.methods.and_or.interchange import documents
from worker.methods.and_or.problem import merge_twins, values

EXACT = 1e-12
"""Sums of at most 128 float64 numbers around 1, in another order."""

N = 6


def sparse_atoms(n: int = N, seed: int = 0) -> torch.Tensor:
    random = np.random.default_rng(seed)
    atoms = torch.from_numpy(random.normal(size=(2, 1 << n)) * (random.random((2, 1 << n)) < 0.3))
    atoms[:, 0] = 0
    return merge_twins(atoms)


def table_of(atoms: torch.Tensor, bias: float) -> torch.Tensor:
    return bias + values(atoms)


def predicted(found: dict[str, dict], present: set[int]) -> float:
    """Read the two files as their descriptions say."""
    conjunctions, disjunctions = (from_shapiq(found[name]) for name in ("moebius", "or"))
    ands = [float(v) for s, v in zip(conjunctions.sets, conjunctions.values, strict=True) if set(s) <= present]
    ors = [float(v) for s, v in zip(disjunctions.sets, disjunctions.values, strict=True) if set(s) & present]
    return conjunctions.baseline_value + sum(ands) + sum(ors)


def test_the_two_files_are_the_whole_logical_model():
    atoms = sparse_atoms()
    table = table_of(atoms, bias=-1.5)

    found = json.loads(json.dumps(documents(atoms, -1.5, (), evaluations=64)))

    for state in range(1 << N):
        present = {player for player in range(N) if state >> player & 1}
        assert predicted(found, present) == pytest.approx(float(table[state]), abs=EXACT)
    assert found["moebius"]["metadata"]["estimation_budget"] == 64
    assert "at least one player is present" in found["moebius"]["description"]
    assert "No index of shapiq means this" in found["or"]["description"]


def test_every_document_has_a_name_that_a_job_can_have():
    atoms = sparse_atoms()
    indices = [index_values(table_of(atoms, 0.0), index) for index in Index.__args__]

    found = documents(atoms, 0.0, indices, evaluations=64)

    assert {f"{name}.json" for name in found} <= set(DOCUMENTS)


def test_shapiq_reads_the_and_part_and_converts_it(tmp_path):
    """Of a model of ANDs alone, shapiq's own converter must give the indices that we give."""
    shapiq = pytest.importorskip("shapiq")
    from shapiq.game_theory.moebius_converter import MoebiusConverter

    atoms = sparse_atoms()
    atoms[1] = 0
    table = table_of(atoms, bias=0.5)
    (tmp_path / "moebius.json").write_text(json.dumps(documents(atoms, 0.5, (), evaluations=64)["moebius"]))

    read = shapiq.InteractionValues.load(tmp_path / "moebius.json")
    read.save(tmp_path / "again.json")

    assert (read.index, read.n_players, read.baseline_value) == ("Moebius", N, 0.5)
    ours = index_values(table, "k-SII", order=2)
    theirs = MoebiusConverter(read)("k-SII", 2)
    np.testing.assert_allclose([theirs[members] for members in ours.sets], ours.values, rtol=0, atol=EXACT)
    back = from_shapiq(json.loads((tmp_path / "again.json").read_text()))
    first = from_shapiq(json.loads((tmp_path / "moebius.json").read_text()))
    assert (back.sets, back.values.tolist()) == (first.sets, first.values.tolist())


def test_shapiq_reads_the_or_part_but_takes_it_for_no_index_of_its_own(tmp_path):
    shapiq = pytest.importorskip("shapiq")
    atoms = sparse_atoms()
    (tmp_path / "or.json").write_text(json.dumps(documents(atoms, 0.5, (), evaluations=64)["or"]))

    with pytest.warns(UserWarning, match="`OR` is not a valid interaction index"):
        read = shapiq.InteractionValues.load(tmp_path / "or.json")

    assert read.index == "OR"
    assert () not in read.interactions
    for state in range(1 << N):
        members = tuple(player for player in range(N) if state >> player & 1)
        assert read[members] == float(atoms[1, state])


def test_what_is_zero_is_left_out_and_sets_come_by_size():
    atoms = torch.zeros(2, 8, dtype=torch.float64)
    atoms[0, [1, 6, 7]] = torch.tensor([3.0, -1.0, 2.0], dtype=torch.float64)

    found = documents(atoms, 0.25, (), evaluations=8)

    assert list(found["moebius"]["data"].items()) == [("Empty", 0.25), ("0", 3.0), ("1,2", -1.0), ("0,1,2", 2.0)]
    assert found["or"]["data"] == {}
    assert from_shapiq(found["or"]).sets == ()


def test_of_too_many_sets_the_strongest_are_written_and_the_rest_is_told(monkeypatch):
    monkeypatch.setattr(interchange, "MOST_SETS", 3)
    atoms = torch.zeros(2, 16, dtype=torch.float64)
    atoms[0, 1:6] = torch.tensor([1.0, -5.0, 0.5, 4.0, -3.0], dtype=torch.float64)

    found = documents(atoms, 0.0, (), evaluations=16)

    assert found["moebius"]["data"] == {"Empty": 0.0, "1": -5.0, "2": 4.0, "0,2": -3.0}
    assert "Only the 3 strongest are here; 2 others have a total strength of 1.5" in found["moebius"]["description"]
    assert "Only the" not in found["or"]["description"]


def test_the_or_transform_of_a_table_is_not_what_shapiq_calls_co_moebius():
    """The reason for an index of its own: as Co-Möbius values these numbers would be wrong."""
    shapiq = pytest.importorskip("shapiq")
    table = torch.from_numpy(np.random.default_rng(0).normal(size=8))
    powers = 1 << np.arange(3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = shapiq.ExactComputer(lambda x: table.numpy()[x @ powers], n_players=3)("Co-Moebius", order=3)

    ours = or_mobius(table)

    assert abs(float(ours[3]) - theirs[(0, 1)]) > 0.1
    assert abs(float(mobius(table)[3]) - theirs[(0, 1)]) > 0.1
