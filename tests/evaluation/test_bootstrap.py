"""Intervals cover what they claim to, clusters widen them, and the paired test agrees with its interval."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wenlu.evaluation.bootstrap import Interval, interval, paired_difference
from wenlu.metrics import ACCURACY, BITS_PER_BYTE, PERPLEXITY, Columns

NAT = np.log(2)


def documents(rng: np.random.Generator, count: int, bits: float = 1.5) -> dict[str, np.ndarray]:
    """Documents of unequal size whose bits per byte scatter around `bits`, independently of the size."""
    size = rng.integers(50, 500, count)
    return {"nll_nats": size * NAT * rng.normal(bits, 0.3, count), "bytes": size}


def test_an_interval_of_95_percent_covers_the_truth_in_about_95_percent_of_the_samples() -> None:
    rng = np.random.default_rng(1)
    hits = 0
    for trial in range(400):
        found = interval(BITS_PER_BYTE, documents(rng, 80), resamples=400, seed=trial)
        hits += found.low <= 1.5 <= found.high
    assert 0.92 <= hits / 400 <= 0.975


def test_a_paired_test_of_equal_systems_is_wrong_in_about_5_percent_of_the_samples() -> None:
    rng = np.random.default_rng(2)
    wrong = 0
    for trial in range(400):
        a = documents(rng, 80)
        b = {**a, "nll_nats": a["nll_nats"] + a["bytes"] * NAT * rng.normal(0, 0.02, 80)}
        wrong += paired_difference(BITS_PER_BYTE, a, b, resamples=400, seed=trial).verdict != "undecided"
    assert 0.025 <= wrong / 400 <= 0.085


def test_clusters_that_repeat_themselves_do_not_narrow_the_interval() -> None:
    rng = np.random.default_rng(3)
    once = documents(rng, 40)
    many = {name: np.tile(column, 25) for name, column in once.items()}
    clusters = [f"c{i}" for i in range(40)] * 25
    alone = interval(BITS_PER_BYTE, once, [f"c{i}" for i in range(40)])
    together = interval(BITS_PER_BYTE, many, clusters)
    pretending = interval(BITS_PER_BYTE, many)
    assert (together.low, together.high) == pytest.approx((alone.low, alone.high), rel=1e-9)
    assert width(pretending) < width(together) / 3


def width(found: Interval) -> float:
    assert found.low is not None
    assert found.high is not None
    return found.high - found.low


def test_pairing_finds_a_difference_that_separate_intervals_hide() -> None:
    rng = np.random.default_rng(4)
    a = documents(rng, 40)
    b = {**a, "nll_nats": a["nll_nats"] + a["bytes"] * NAT * rng.normal(0.05, 0.02, 40)}
    apart_a, apart_b = interval(BITS_PER_BYTE, a), interval(BITS_PER_BYTE, b)
    assert apart_b.low < apart_a.high  # they overlap
    found = paired_difference(BITS_PER_BYTE, a, b)
    assert found.verdict == "better"
    assert found.high < 0
    assert found.value == pytest.approx(BITS_PER_BYTE.compute(a) - BITS_PER_BYTE.compute(b))
    assert paired_difference(BITS_PER_BYTE, b, a).verdict == "worse"


@settings(max_examples=50, deadline=None)
@given(shift=st.floats(-0.1, 0.1), seed=st.integers(0, 10**6), resamples=st.integers(60, 500))
def test_the_interval_leaves_out_zero_exactly_where_p_is_small(shift: float, seed: int, resamples: int) -> None:
    rng = np.random.default_rng(seed)
    a = documents(rng, 12)
    b = {**a, "nll_nats": a["nll_nats"] + a["bytes"] * NAT * rng.normal(shift, 0.1, 12)}
    found = paired_difference(BITS_PER_BYTE, a, b, resamples=resamples, seed=seed)
    assert (found.p_value <= 0.05) == (found.verdict != "undecided")
    assert (found.verdict != "undecided") == (not found.low <= 0 <= found.high)


def test_a_system_does_not_differ_from_itself() -> None:
    a = documents(np.random.default_rng(5), 30)
    found = paired_difference(BITS_PER_BYTE, a, a)
    assert (found.value, found.low, found.high, found.p_value, found.verdict) == (0, 0, 0, 1, "undecided")


def test_higher_is_better_for_accuracy() -> None:
    good = {"correct": np.array([1, 1, 1, 1, 1, 1, 1, 0])}
    bad = {"correct": np.array([0, 0, 1, 0, 0, 0, 0, 0])}
    assert paired_difference(ACCURACY, good, bad).verdict == "better"
    assert paired_difference(ACCURACY, bad, good).verdict == "worse"


def test_any_metric_is_resampled_as_a_ratio_would_be() -> None:
    """Accuracy draws whole examples; the same question put as a ratio draws sums: the intervals are one."""
    rng = np.random.default_rng(6)
    correct = rng.integers(0, 2, 60)
    clusters = [str(i // 3) for i in range(60)]
    drawn = interval(ACCURACY, {"correct": correct}, clusters, resamples=300)
    ratio: Columns = {"nll_nats": correct, "tokens": np.ones(60)}
    summed = interval(PERPLEXITY, ratio, clusters, resamples=300)
    assert np.exp([drawn.value, drawn.low, drawn.high]) == pytest.approx([summed.value, summed.low, summed.high])


def test_the_seed_decides_and_the_chunking_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    a = documents(np.random.default_rng(7), 30)
    first = interval(BITS_PER_BYTE, a, seed=1)
    assert interval(BITS_PER_BYTE, a, seed=1) == first
    assert interval(BITS_PER_BYTE, a, seed=2) != first
    monkeypatch.setattr("wenlu.evaluation.groups._DRAWS_AT_ONCE", 100)
    assert interval(BITS_PER_BYTE, a, seed=1) == first


def test_a_higher_confidence_is_wider() -> None:
    a = documents(np.random.default_rng(8), 30)
    widths = [width(interval(BITS_PER_BYTE, a, confidence=c)) for c in (0.5, 0.9, 0.99)]
    assert widths == sorted(widths)
    assert widths[0] < widths[2] / 2


def test_one_cluster_shows_no_spread() -> None:
    one = {"nll_nats": np.array([3.0, 4.0]), "bytes": np.array([5, 6])}
    found = interval(BITS_PER_BYTE, one, ["same", "same"])
    assert (found.low, found.high) == (None, None)
    assert found.value == pytest.approx(7 / 11 / NAT)
    difference = paired_difference(BITS_PER_BYTE, one, one, ["same", "same"])
    assert (difference.low, difference.p_value, difference.verdict) == (None, None, "undecided")


def test_draws_of_empty_texts_alone_are_left_out() -> None:
    columns = {"nll_nats": np.array([1.0, 1.0, 8.0]), "bytes": np.array([0, 0, 10])}
    found = interval(BITS_PER_BYTE, columns)
    assert found.low is not None
    assert found.low <= found.value <= found.high
    assert found.low == pytest.approx(0.8 / NAT)


def test_an_infinite_cost_stays_infinite_without_a_warning() -> None:
    columns = {"nll_nats": np.array([1.0, np.inf, 2.0]), "bytes": np.array([1, 1, 1])}
    assert interval(BITS_PER_BYTE, columns).high == np.inf
    assert paired_difference(BITS_PER_BYTE, columns, columns).verdict == "undecided"
