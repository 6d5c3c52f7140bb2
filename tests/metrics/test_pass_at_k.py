"""pass@k is the share of subsets of k programs of which one passes."""

from __future__ import annotations

from itertools import combinations
from math import comb

import pytest

from wenlu.errors import DataError
from wenlu.metrics import pass_at_k, pass_at_k_columns


def test_it_is_the_share_of_all_subsets_that_hold_a_program_that_passes() -> None:
    for samples in range(1, 9):
        for passed in range(samples + 1):
            for k in range(1, samples + 1):
                subsets = list(combinations([True] * passed + [False] * (samples - passed), k))
                expected = sum(map(any, subsets)) / len(subsets)
                found = pass_at_k(k).compute(pass_at_k_columns([samples], [passed], k))
                assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("samples", "passed", "k"), [(200, 3, 100), (2000, 1, 1000), (5000, 17, 10)])
def test_many_samples_neither_overflow_nor_lose_digits(samples: int, passed: int, k: int) -> None:
    exact = 1 - comb(samples - passed, k) / comb(samples, k)  # Python's integers are as long as they need
    assert pass_at_k_columns([samples], [passed], k)[f"pass@{k}"][0] == pytest.approx(exact, rel=1e-9)


def test_the_score_is_the_mean_over_problems() -> None:
    columns = pass_at_k_columns([10, 10, 4], [0, 10, 1], 1)
    assert pass_at_k(1).compute(columns) == pytest.approx((0 + 1 + 1 / 4) / 3)
    assert pass_at_k(1).signature == "pass@1|unbiased|mean:problems|v1"


def test_too_few_programs_are_an_error_that_says_which_problem() -> None:
    with pytest.raises(DataError, match="problem 2 has 3 programs, too few for pass@5; sample more or lower k"):
        pass_at_k_columns([5, 3], [1, 1], 5)
    with pytest.raises(DataError, match="the split is empty"):
        pass_at_k_columns([], [], 1)
