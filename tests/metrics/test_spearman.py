"""Spearman's correlation is scipy's, ties included."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from wenlu.errors import DataError
from wenlu.evaluation import interval
from wenlu.metrics import SPEARMAN


@given(st.lists(st.tuples(st.integers(-3, 3), st.floats(-1, 1)), min_size=2, max_size=40))
def test_it_equals_scipys(pairs: list[tuple[int, float]]) -> None:
    gold, predicted = (np.array(column) for column in zip(*pairs, strict=True))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scipy warns of constant columns
        expected = spearmanr(gold, predicted).statistic
    found = SPEARMAN.compute({"gold": gold, "predicted": predicted})
    assert found == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_a_column_of_one_value_has_no_correlation() -> None:
    assert math.isnan(SPEARMAN.compute({"gold": np.array([1.0, 1.0]), "predicted": np.array([0.1, 0.2])}))


def test_without_examples_it_says_that_no_word_may_be_known() -> None:
    with pytest.raises(DataError, match="the set is empty, or none of its words is known"):
        SPEARMAN.compute({"gold": np.array([]), "predicted": np.array([])})


def test_its_interval_holds_it_and_narrows_with_more_examples() -> None:
    rng = np.random.default_rng(0)
    widths = []
    for count in (50, 800):
        gold = rng.normal(size=count)
        found = interval(SPEARMAN, {"gold": gold, "predicted": gold + rng.normal(size=count)}, resamples=300)
        assert found.low is not None
        assert found.high is not None
        assert found.low < found.value < found.high
        widths.append(found.high - found.low)
    assert widths[1] < widths[0] / 2
