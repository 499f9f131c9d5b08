import threading
from collections.abc import Callable, Iterator

import pytest
import torch

from worker.methods.nid.crew import Crew


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_tasks_are_done_side_by_side_and_answer_in_order():
    meeting = threading.Barrier(2, timeout=30)  # nobody passes alone

    def task(number: int) -> Callable[[Callable[[], None]], tuple[int, int]]:
        def work(check: Callable[[], None]) -> tuple[int, int]:
            check()
            meeting.wait()
            return number, torch.get_num_threads()

        return work

    with Crew() as crew:
        answers = crew.run([task(0), task(1)], lambda: None)

    assert answers == [(0, 1), (1, 1)]
    assert torch.get_num_threads() == 2


def test_tasks_hear_that_the_caller_gave_up():
    heard: list[bool] = []

    def work(check: Callable[[], None]) -> None:
        try:
            while True:
                check()
        except InterruptedError:
            heard.append(True)
            raise

    def cancel() -> None:
        raise KeyError("canceled")

    with pytest.raises(KeyError, match="canceled"), Crew() as crew:
        crew.run([work], cancel)

    assert heard == [True]


def test_what_a_task_raises_is_raised():
    def work(check: Callable[[], None]) -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"), Crew() as crew:
        crew.run([work], lambda: None)
