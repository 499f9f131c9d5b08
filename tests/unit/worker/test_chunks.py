import pytest
import torch

from jobs.errors import OutOfMemory
from worker.methods._chunks import is_out_of_memory, map_chunks


def limited_to(capacity, error):
    """Return a function that doubles its input, and raises `error` when more than `capacity` samples come."""

    def double(part):
        if len(part) > capacity:
            raise error
        return 2 * part

    return double


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 100])
def test_chunks_together_give_what_one_call_would(chunk):
    items = torch.arange(7)

    results = map_chunks(lambda part: 2 * part, items, chunk=chunk)

    assert torch.cat(results).tolist() == [0, 2, 4, 6, 8, 10, 12]
    assert max(len(result) for result in results) == min(chunk, 7)


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1.00 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:128] . DefaultCPUAllocator: can't allocate memory: you tried"),
        MemoryError(),
    ],
)
def test_a_chunk_that_does_not_fit_is_halved_and_that_is_told(error):
    told = []

    results = map_chunks(limited_to(2, error), torch.arange(9), chunk=8, on_halved=told.append)

    assert torch.cat(results).tolist() == [2 * i for i in range(9)]
    assert told == [4, 2]


def test_a_single_sample_that_does_not_fit_is_out_of_memory():
    with pytest.raises(OutOfMemory, match="one input at a time"):
        map_chunks(limited_to(0, torch.OutOfMemoryError()), torch.arange(3), chunk=2)


def test_other_errors_pass_through_unchanged():
    error = RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1"):
        map_chunks(limited_to(0, error), torch.arange(3), chunk=2)


def test_no_items_give_no_results():
    assert map_chunks(len, torch.empty(0, 3), chunk=4) == []


def test_a_chunk_below_one_is_a_programming_mistake():
    with pytest.raises(ValueError, match="got 0"):
        map_chunks(len, torch.empty(3), chunk=0)


def test_a_real_failed_allocation_is_recognised():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)

    assert is_out_of_memory(caught.value)
