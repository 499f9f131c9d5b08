"""The invented log of app usage, and what is printed of it."""

from __future__ import annotations

import csv

import pytest

from examples import app_log


def test_a_log_is_drawn_by_its_seed_and_written_as_csv(tmp_path):
    rows = app_log.log(50, seed=1)

    app_log.write(rows, tmp_path / "log.csv")

    with (tmp_path / "log.csv").open() as file:
        assert list(csv.DictReader(file)) == rows
    assert rows == app_log.log(50, seed=1) != app_log.log(50, seed=2)
    assert list(rows[0]) == [*app_log.COLUMNS, "used"]


def test_mail_is_used_more_on_workdays_as_planted():
    rows = [row for row in app_log.log(4000) if row["app"] == "mail" and row["place"] != "home"]
    shares = [
        sum(row["used"] == "yes" for row in rows if row["day"] == day) / sum(row["day"] == day for row in rows)
        for day in ("workday", "weekend")
    ]

    assert shares == pytest.approx([0.881, 0.269], abs=0.1)  # sigmoid of 2 and of -1; some 250 rows each
    assert app_log.planted(["day=workday", "app=mail"])
    assert not app_log.planted(["day=weekend", "app=mail"])


def test_a_prediction_is_told_as_a_sum(capsys):
    result = {
        "metrics": {"test_auc": 0.8, "test_edges_kept": 0.25},
        "details": {"compare": [{"name": "sign", "auc": 0.79}]},
        "players": {"names": ["app=maps", "weather=rain"]},
        "interactions": [{"members": [0, 1], "strength": 0.5}, {"members": [0], "strength": -0.1}],
    }
    edge = {"contribution": 1.5, "features": ["app=maps", "weather=rain"]}
    row = {"margin": 1.0, "bias": -0.25, "edges": [edge], "remainder": -0.25}

    app_log.tell(result, {"rows": [row]})

    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "AUC 0.800 with 25% of the edges",
        "AUC 0.790 of sign",
        "+0.500  app=maps and weather=rain  (planted)",
        "-0.100  app=maps",
        "1.00 = -0.25 +1.50 (app=maps and weather=rain) -0.25 (others)",
    ]
