"""A metric of sums sees sums of examples and nothing else."""

import numpy as np
import pytest

from wenlu.errors import DataError
from wenlu.metrics import OfSums


def test_each_column_is_summed_over_the_examples_and_handed_over_in_order() -> None:
    columns = {"b": np.array([[1, 2], [3, 4], [5, 6]]), "a": np.array([1.0, 0.5, 0.5]), "other": np.zeros(3)}
    metric = OfSums(("a", "b"), lambda a, b: a + 10 * b[0] + 100 * b[1])
    assert metric(columns) == 2 + 10 * 9 + 100 * 12


def test_no_examples_are_an_error() -> None:
    with pytest.raises(DataError, match="no examples to sum a over: the split is empty"):
        OfSums(("a",), float)({"a": np.zeros(0)})
