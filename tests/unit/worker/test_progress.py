"""Progress: often enough to watch, seldom enough to store, and the door through which a cancel comes."""

from __future__ import annotations

import pytest

from jobs.schemas import Progress
from worker.progress import INTERVAL_SECONDS, JobCanceled, Meter


class Scene:
    """A meter with a clock to turn."""

    def __init__(self) -> None:
        self.now = 100.0
        self.sent: list[Progress] = []
        self.canceled = False
        self.report = Meter(self.sent.append, lambda: self.canceled, clock=lambda: self.now)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_tight_loop_is_reported_at_the_interval(scene: Scene) -> None:
    for done in range(1000):
        scene.report("rows", done, 1000)
        scene.now += INTERVAL_SECONDS / 10

    assert 99 <= len(scene.sent) <= 101


def test_a_new_stage_is_reported_at_once(scene: Scene) -> None:
    scene.report("rows", 1, 2)
    scene.report("subsets", 0, 9)

    assert [progress.stage for progress in scene.sent] == ["rows", "subsets"]


def test_the_remaining_time_follows_the_pace_of_the_stage(scene: Scene) -> None:
    scene.report("rows", 0, 10)
    scene.now += 4.0
    scene.report("rows", 2, 10)

    assert scene.sent[0].eta_seconds is None
    assert scene.sent[1] == Progress(fraction=0.2, stage="rows", done=2, total=10, eta_seconds=16.0)


def test_an_unknown_total_gives_no_fraction_and_no_remaining_time(scene: Scene) -> None:
    scene.report("growing", 7, 0)

    assert scene.sent == [Progress(fraction=0.0, stage="growing", done=7, total=0, eta_seconds=None)]


def test_a_cancel_takes_effect_at_the_next_report(scene: Scene) -> None:
    scene.report("rows", 0, 10)
    scene.canceled = True

    with pytest.raises(JobCanceled):
        scene.report("rows", 1, 10)
