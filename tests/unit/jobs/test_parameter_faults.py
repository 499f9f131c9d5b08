"""What a caller is told of parameters that do not fit."""

from __future__ import annotations

import pytest

from jobs.catalog import complete, training_spec
from jobs.errors import InvalidParameters


@pytest.mark.parametrize(
    ("given", "detail"),
    [
        ({"lambda1": "auto"}, "'auto' is not of type 'number'; or 'search' was expected"),
        ({"lambda1": -1}, "-1 is less than the minimum of 0"),
        ({"batch_size": "x"}, "'x' is not of type 'integer'"),
        ({"lambda1_grid": [1, -1]}, "-1 is less than the minimum of 0"),
        ({"compare": ["fm", "fm"]}, "['fm', 'fm'] has non-unique elements"),
    ],
)
def test_a_union_says_all_that_it_takes_unless_one_branch_nearly_fits(given, detail):
    with pytest.raises(InvalidParameters) as refused:
        complete(training_spec("l0-sign"), given)

    assert refused.value.errors[0].detail == detail
