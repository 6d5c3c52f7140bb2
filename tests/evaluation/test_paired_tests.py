"""Two systems on the same examples: exact where all ways can be counted, and wrong as often as is claimed."""

from __future__ import annotations

import os
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from scipy.stats import binom

from wenlu.evaluation.paired_tests import holm, mcnemar, randomisation
from wenlu.metrics import ACCURACY, MACRO_F1, Columns

TRIALS = 4000 if os.environ.get("WENLU_PROOF") else 300


def answers(rng: np.random.Generator, truth: np.ndarray, right: float) -> Columns:
    """A system that is right with that chance, of three labels."""
    wrong = (truth + rng.integers(1, 3, len(truth))) % 3
    return judged(np.where(rng.random(len(truth)) < right, truth, wrong), truth)


def judged(predicted: np.ndarray, truth: np.ndarray) -> Columns:
    return {"predicted": predicted, "gold": truth, "correct": (predicted == truth).astype(float)}


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 0), (1, 0), (5, 5), (2, 9), (30, 14), (400, 380)])
def test_mcnemar_is_the_mid_p_of_a_fair_coin(only_a: int, only_b: int) -> None:
    a = np.array([True] * only_a + [False] * only_b + [True] * 7 + [False] * 3)
    b = np.array([False] * only_a + [True] * only_b + [True] * 7 + [False] * 3)
    found = mcnemar(a, b)
    assert (found.only_a, found.only_b) == (only_a, only_b)
    n, fewer = only_a + only_b, min(only_a, only_b)
    wanted = min(1.0, 2 * binom.cdf(fewer, n, 0.5) - binom.pmf(fewer, n, 0.5)) if n else 1.0
    assert found.p_value == pytest.approx(wanted, rel=1e-9)


def test_randomisation_comes_near_the_share_of_all_ways_to_swap() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 10)
    a, b = answers(rng, truth, 0.9), answers(rng, truth, 0.4)
    for metric in (ACCURACY, MACRO_F1):
        differences = []
        for ways in product([False, True], repeat=10):
            swap = np.array(ways)
            first = judged(np.where(swap, b["predicted"], a["predicted"]), truth)
            second = judged(np.where(swap, a["predicted"], b["predicted"]), truth)
            differences.append(abs(metric.compute(first) - metric.compute(second)))
        observed = abs(metric.compute(a) - metric.compute(b))
        exact = np.mean([difference >= observed - 1e-12 for difference in differences])
        assert randomisation(metric, a, b, resamples=20_000) == pytest.approx(exact, abs=0.012)


def test_clusters_are_swapped_whole() -> None:
    """Ten copies of one example say as much as that example."""
    truth = np.zeros(40, int)
    a, b = judged(truth, truth), judged(np.r_[np.ones(10, int), np.zeros(30, int)], truth)
    clusters = ["same"] * 10 + [str(n) for n in range(30)]
    assert randomisation(ACCURACY, a, b, clusters) == 1.0
    assert randomisation(ACCURACY, a, b) < 0.01


@pytest.mark.parametrize("metric", [ACCURACY, MACRO_F1])
def test_equal_systems_are_told_apart_in_5_percent_of_the_samples(metric) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(1)
    wrong, by_mcnemar = 0, 0
    for trial in range(TRIALS):
        truth = rng.integers(0, 3, 120)
        a, b = answers(rng, truth, 0.7), answers(rng, truth, 0.7)
        wrong += randomisation(metric, a, b, resamples=199, seed=trial) <= 0.05
        by_mcnemar += mcnemar(a["correct"], b["correct"]).p_value <= 0.05
    spread = 2.6 * np.sqrt(0.05 * 0.95 / TRIALS)
    assert abs(wrong / TRIALS - 0.05) < spread
    assert by_mcnemar / TRIALS < 0.05 + spread


def test_a_real_difference_is_found() -> None:
    rng = np.random.default_rng(2)
    found = 0
    for trial in range(50):
        truth = rng.integers(0, 3, 300)
        a, b = answers(rng, truth, 0.85), answers(rng, truth, 0.7)
        found += randomisation(ACCURACY, a, b, resamples=199, seed=trial) <= 0.05
    assert found >= 48


def test_a_metric_that_is_no_sum_is_swapped_alike() -> None:
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 3, 60)
    a, b = answers(rng, truth, 0.8), answers(rng, truth, 0.6)
    whole = replace(ACCURACY, compute=lambda columns: float(columns["correct"].mean()))
    assert randomisation(whole, a, b, resamples=300) == randomisation(ACCURACY, a, b, resamples=300)


def test_many_pairs_are_held_to_more() -> None:
    assert holm([]) == []
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.6]) == [1.0, 1.0]
