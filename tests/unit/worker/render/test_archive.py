"""values.npz: what NumPy reads back, and nothing that changes from run to run."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest

from tests.explanations import signed_map
from worker.render import values


def test_arrays_are_read_back_without_pickle():
    arrays = {"attribution": np.arange(6.0).reshape(1, 2, 3), "sets": np.array([True, False]), "labels": np.int64(3)}
    explanation = signed_map().model_copy(update={"arrays": arrays})

    with np.load(BytesIO(values(explanation)), allow_pickle=False) as read:
        assert sorted(read) == sorted(arrays)
        for name, array in arrays.items():
            np.testing.assert_array_equal(read[name], array)
            assert read[name].dtype == array.dtype


def test_the_order_of_names_does_not_matter():
    arrays = {"b": np.ones(3), "a": np.zeros(2)}
    explanation = signed_map()

    one = values(explanation.model_copy(update={"arrays": arrays}))
    other = values(explanation.model_copy(update={"arrays": dict(reversed(arrays.items()))}))

    assert one == other


def test_objects_are_refused():
    explanation = signed_map().model_copy(update={"arrays": {"x": np.array([object()])}})

    with pytest.raises(ValueError, match="allow_pickle"):
        values(explanation)
