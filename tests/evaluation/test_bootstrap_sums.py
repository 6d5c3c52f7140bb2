"""What is resampled by sums, or by counts of draws, is what whole examples would give, draw for draw."""

from __future__ import annotations

from dataclasses import replace
from operator import attrgetter

import numpy as np
import pytest

from wenlu import metrics
from wenlu.evaluation import interval, paired_difference
from wenlu.metrics import METRICS, Columns, Metric, OfDraws, OfSums, mean_by_group, ndcg, quadratic_kappa, recall_at

KAPPA = quadratic_kappa(0, 4)
FAST = [
    metric
    for metric in (*METRICS, ndcg(3), KAPPA, mean_by_group(KAPPA), recall_at(2))
    if isinstance(metric.compute, OfSums | OfDraws) and metric not in (metrics.AUROC, metrics.AUPRC)
]
OF_FRACTIONS = (metrics.MULTILABEL_SAMPLES_F1, metrics.PEARSON)
OF_COUNTS = [
    metric
    for metric in FAST
    if {"predicted", "predicted_labels", "entities_gold", "tags_gold"} & {*metric.needs} and metric not in OF_FRACTIONS
]
CLUSTERS = [str(i) for i in np.random.default_rng(9).integers(0, 25, 60)]


def columns(seed: int) -> Columns:
    """60 examples of 5 classes and 4 labels; the last class is rare, so that many draws lack it."""
    rng = np.random.default_rng(seed)
    gold = rng.choice(5, 60, p=[0.4, 0.3, 0.2, 0.08, 0.02])
    counts = np.sort(rng.integers(0, 4, (2, 60)), axis=0)
    return {
        "gold": gold,
        "predicted": np.where(rng.random(60) < 0.6, gold, rng.choice(5, 60)),
        "probabilities": rng.dirichlet(np.ones(5), 60),
        "group": rng.integers(0, 3, 60),
        "gold_labels": rng.integers(0, 2, (60, 4)),
        "predicted_labels": rng.integers(0, 2, (60, 4)),
        "entities_right": counts[0],
        "entities_predicted": counts[1],
        "entities_gold": counts[1] + rng.integers(0, 2, 60),
        "ranks": np.stack([rng.choice([1.0, 2.0], 60), rng.choice([4.0, np.inf, np.nan], 60)], axis=1),
        "gains": rng.integers(1, 3, (60, 2)).astype(float),
        **dict(zip(("tags_right", "tags_gold", "tags_predicted"), _nested_counts(rng), strict=True)),
        "margins": rng.normal(size=60),
    }


def _nested_counts(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(60, 3) each: what is right, and no fewer that are gold and that are predicted."""
    right = rng.integers(0, 3, (60, 3))
    return right, right + rng.integers(0, 2, (60, 3)), right + rng.integers(0, 2, (60, 3))


def by_examples(metric: Metric) -> Metric:
    """The same metric, which a bootstrap cannot tell to be one of sums."""
    return replace(metric, compute=metric.compute.__call__)


@pytest.mark.parametrize("clusters", [None, CLUSTERS], ids=["alone", "clustered"])
@pytest.mark.parametrize("metric", FAST, ids=attrgetter("name"))
def test_an_interval_by_sums_is_the_interval_by_examples(metric: Metric, clusters: list[str] | None) -> None:
    fast = interval(metric, columns(0), clusters, resamples=200)
    slow = interval(by_examples(metric), columns(0), clusters, resamples=200)
    if metric in OF_COUNTS:
        assert fast == slow
    else:  # sums of fractions, in another order
        assert (fast.value, fast.low, fast.high) == pytest.approx((slow.value, slow.low, slow.high), rel=1e-12)


@pytest.mark.parametrize("metric", FAST, ids=attrgetter("name"))
def test_a_paired_difference_by_sums_is_that_by_examples(metric: Metric) -> None:
    fast = paired_difference(metric, columns(0), columns(1), CLUSTERS, resamples=100)
    slow = paired_difference(by_examples(metric), columns(0), columns(1), CLUSTERS, resamples=100)
    assert (fast.verdict, fast.p_value) == (slow.verdict, slow.p_value)
    assert (fast.low, fast.high) == pytest.approx((slow.low, slow.high), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("metric", [metrics.AUROC, metrics.AUPRC], ids=attrgetter("name"))
def test_areas_of_two_classes_by_draws_are_those_by_examples(metric: Metric) -> None:
    rng = np.random.default_rng(2)
    score = rng.integers(0, 8, 60) / 8  # many are equal
    two = {"gold": (rng.random(60) < 0.1).astype(np.int64), "probabilities": np.stack([1 - score, score], axis=1)}
    fast, slow = (interval(form, two, CLUSTERS, resamples=200) for form in (metric, by_examples(metric)))
    assert (fast.value, fast.low, fast.high) == pytest.approx((slow.value, slow.low, slow.high), rel=1e-12)


def test_the_size_of_a_batch_of_draws_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    first = interval(metrics.MACRO_F1, columns(0), CLUSTERS, resamples=100)
    monkeypatch.setattr("wenlu.evaluation.groups._DRAWS_AT_ONCE", 100)
    assert interval(metrics.MACRO_F1, columns(0), CLUSTERS, resamples=100) == first


def test_an_infinite_cost_that_is_not_drawn_leaves_the_others_finite() -> None:
    probabilities = np.array([[0.5, 0.5], [1.0, 0.0], [0.25, 0.75], [0.5, 0.5]])
    costs = {"gold": np.array([0, 1, 1, 0]), "probabilities": probabilities}
    found = interval(metrics.NEGATIVE_LOG_LIKELIHOOD, costs)
    assert found.value == found.high == np.inf
    of_three_and_one = (3 * -np.log(0.75) + np.log(2)) / 4  # drawn by 3 % of the resamples; cheaper ones by 0.4 %
    assert found.low == pytest.approx(of_three_and_one)
