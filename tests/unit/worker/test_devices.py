import platform

import pytest
import torch

from jobs.errors import OutOfMemory
from worker.devices import MAX_CHUNK, chunk_size, describe, memory_errors_translated, pick, set_up, versions


@pytest.fixture
def settings_restored():
    """`set_up` is for a process of its own; put back what it changes in this one."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize(
    ("count", "setting", "expected"),
    [(0, "auto", "cpu"), (2, "auto", "cuda:0"), (2, "cpu", "cpu"), (1, "cuda", "cuda:0"), (2, "cuda:1", "cuda:1")],
)
def test_a_setting_names_a_device(monkeypatch, count, setting, expected):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)

    assert pick(setting) == torch.device(expected)


@pytest.mark.parametrize(
    ("setting", "message"), [("cuda", "below 0"), ("cuda:7", "below 0"), ("gpu", "got 'gpu'"), ("cuda:x", "auto, cpu")]
)
def test_a_device_that_is_not_there_is_no_other_device(monkeypatch, setting, message):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)

    with pytest.raises(ValueError, match=message):
        pick(setting)


@pytest.mark.parametrize(
    ("activation", "budget", "expected"), [(100, 1000, 10), (100, 99, 1), (1, 10**9, MAX_CHUNK), (0, 100, MAX_CHUNK)]
)
def test_a_chunk_fits_the_budget_and_is_never_empty(activation, budget, expected):
    assert chunk_size(activation, budget) == expected


def test_versions_name_what_numbers_depend_on():
    found = versions()

    assert found.keys() == {"interplay", "python", "torch", "torchvision", "numpy"}
    assert found["python"] == platform.python_version()
    assert found["torch"] == torch.__version__


def test_set_up_makes_a_process_deterministic(settings_restored):
    set_up(torch.device("cpu"), threads=1)

    assert torch.are_deterministic_algorithms_enabled()
    assert not torch.is_deterministic_algorithms_warn_only_enabled()
    assert torch.get_num_threads() == 1


def test_the_cpu_is_described_by_its_name():
    assert describe(torch.device("cpu")) == "cpu"


def test_a_failed_allocation_is_out_of_memory():
    with pytest.raises(OutOfMemory), memory_errors_translated():
        torch.empty(2**60, dtype=torch.uint8)


def test_other_errors_are_not_translated():
    with pytest.raises(RuntimeError, match="other"), memory_errors_translated():
        raise RuntimeError("other")
