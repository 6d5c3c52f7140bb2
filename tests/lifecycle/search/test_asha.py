from __future__ import annotations

import math

import pytest

from wenlu.lifecycle.search.asha import promotable, rungs


@pytest.mark.parametrize(
    ("most", "reduction", "expected"),
    [(1, 3, [1]), (3, 3, [1, 3]), (10, 3, [1, 3, 9, 10]), (8, 2, [1, 2, 4, 8]), (2, 4, [1, 2])],
)
def test_rungs_are_powers_of_the_reduction_and_the_end(most: int, reduction: int, expected: list[int]) -> None:
    assert rungs(most, reduction) == expected


def test_nobody_is_promoted_before_a_rung_has_as_many_trials_as_one_stands_for() -> None:
    assert promotable([{0: 0.1, 1: 0.2}, {}], 3) is None
    assert promotable([{0: 0.1, 1: 0.2, 2: 0.3}, {}], 3) == (0, 1)


def test_a_trial_that_was_behind_is_promoted_once_the_rung_is_larger() -> None:
    """With 3 trials one is promoted, the best; with 6 the second best of all, though it came first."""
    early = {0: 0.2, 1: 0.1, 2: 0.3}
    assert promotable([early, {}], 3) == (1, 1)
    assert promotable([early, {1: 0.1}], 3) is None
    assert promotable([{**early, 3: 0.5, 4: 0.6, 5: 0.7}, {1: 0.1}], 3) == (0, 1)


def test_the_highest_rung_is_looked_at_first() -> None:
    bottom = {trial: float(trial) for trial in range(6)}
    assert promotable([bottom, {0: 0.1, 1: 0.2}, {}], 2) == (0, 2)


def test_trials_on_their_way_to_a_rung_are_neither_counted_nor_promoted_twice() -> None:
    assert promotable([{0: 0.1, 1: math.nan}, {}], 2) is None
    assert promotable([{0: 0.1, 1: 0.2}, {0: math.nan}], 2) is None
