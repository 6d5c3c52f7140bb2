"""Whose turn it is: chances by temperature, and draws that depend on nothing but the seed and the step."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chisquare

from wenlu.corpus.turns import BLOCK, Turns, chances


@pytest.mark.parametrize(
    ("temperature", "most", "expected"),
    [
        (1.0, None, [100 / 1000, 900 / 1000]),
        (2.0, None, [10 / 40, 30 / 40]),  # square roots
        (1e9, None, [0.5, 0.5]),
        (1.0, 300, [100 / 400, 300 / 400]),
        (2.0, 100, [0.5, 0.5]),
    ],
    ids=["in-proportion", "square-roots", "alike", "capped", "capped-and-flattened"],
)
def test_chances_are_as_computed_by_hand(temperature: float, most: int | None, expected: list[float]) -> None:
    np.testing.assert_allclose(chances([100, 900], temperature, most), expected, rtol=1e-8)


def test_turns_come_as_often_as_their_chances_say() -> None:
    expected, steps = chances([50, 450, 8000], 2.0), 20_000
    found = Turns(expected.tolist(), seed=3).counts(steps)
    assert found.sum() == steps
    assert chisquare(found, expected * steps).pvalue > 0.01


def test_a_turn_depends_on_the_seed_and_the_step_alone() -> None:
    forward, far = Turns([0.3, 0.7], seed=1), Turns([0.3, 0.7], seed=1)
    last = far.at(2 * BLOCK + 5)  # asked for first
    assert [forward.at(step) for step in range(2 * BLOCK + 6)][-1] == last
    assert [far.at(step) for step in range(100)] == [forward.at(step) for step in range(100)]
    assert [Turns([0.3, 0.7], seed=2).at(step) for step in range(100)] != [forward.at(step) for step in range(100)]


def test_a_turn_knows_how_many_its_member_had_before() -> None:
    turns = Turns([0.2, 0.5, 0.3], seed=0)
    had = [0, 0, 0]
    for step in range(BLOCK + 50):
        member, earlier = turns.at(step)
        assert earlier == had[member]
        had[member] += 1
    assert turns.counts(BLOCK + 50).tolist() == had
