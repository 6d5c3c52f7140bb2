"""Metrics of rankings are those of scikit-learn and of plain counting; what scores strictly higher stands before."""

from __future__ import annotations

import math
import os
from itertools import permutations

import numpy as np
import pytest
from sklearn.metrics import ndcg_score

from wenlu.metrics import MRR, ndcg, rank_columns, recall_at

CASES = 1000 if os.environ.get("WENLU_PROOF") == "1" else 60

Ranking = list[float]


def recall_by_hand(gains: Ranking, k: int) -> float:
    return sum(gain > 0 for gain in gains[:k]) / sum(gain > 0 for gain in gains)


def reciprocal_by_hand(gains: Ranking, k: int) -> float:
    return next(1 / place for place, gain in enumerate(gains, start=1) if gain > 0)


def ndcg_by_hand(gains: Ranking, k: int) -> float:
    def total(ordered: Ranking) -> float:
        return sum(gain / math.log2(place + 1) for place, gain in enumerate(ordered[:k], start=1))

    return total(gains) / total(sorted(gains, reverse=True))


def test_without_ties_ndcg_is_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    for queries, candidates, k in rng.integers([1, 2, 1], [5, 12, 14], size=(CASES, 3)):
        scores = rng.permuted(np.tile(np.arange(candidates, dtype=np.float64), (queries, 1)), axis=1)
        gains = rng.integers(0, 4, (queries, candidates))
        gains[:, 0] = 1
        found = ndcg(int(k)).compute(rank_columns(list(scores), list(gains)))
        assert found == pytest.approx(ndcg_score(gains, scores, k=int(k)), abs=1e-12)


def test_with_ties_each_metric_is_that_of_the_best_order_of_equals() -> None:
    rng = np.random.default_rng(1)
    for _ in range(CASES):
        k = int(rng.integers(1, 6))
        scores, gains = rng.integers(0, 3, size=(2, 5)).astype(float)
        gains[rng.integers(5)] = 1
        orders = [order for order in map(list, permutations(range(5))) if (np.diff(scores[order]) <= 0).all()]
        columns = rank_columns([scores], [gains])
        for metric, by_hand in ((recall_at(k), recall_by_hand), (ndcg(k), ndcg_by_hand), (MRR, reciprocal_by_hand)):
            expected = max(by_hand(gains[order].tolist(), k) for order in orders)
            assert metric.compute(columns) == pytest.approx(expected, abs=1e-12)


def test_the_rank_of_one_relevant_thing_is_one_more_than_what_scores_strictly_higher() -> None:
    rng = np.random.default_rng(2)
    scores = list(rng.integers(0, 4, (20, 9)).astype(float))
    gains = [np.eye(9)[rng.integers(9)] for _ in scores]
    expected = [1 + int((score > score[gain.argmax()]).sum()) for score, gain in zip(scores, gains, strict=True)]
    assert rank_columns(scores, gains)["ranks"][:, 0].tolist() == expected


def test_what_was_not_retrieved_is_never_found() -> None:
    columns = rank_columns([np.array([0.5, -np.inf, 0.1])], [np.array([1.0, 1.0, 0.0])])
    assert columns["ranks"].tolist() == [[1.0, np.inf]]
    assert recall_at(100).compute(columns) == 0.5
    assert ndcg(100).compute(columns) == pytest.approx(1 / (1 + 1 / math.log2(3)))
    missed = rank_columns([np.array([0.5, -np.inf])], [np.array([0.0, 1.0])])
    assert (MRR.compute(missed), ndcg(5).compute(missed)) == (0, 0)


def test_queries_to_which_nothing_is_relevant_are_left_out() -> None:
    scores, gains = [np.array([2.0, 1.0])] * 2, [np.array([0.0, 1.0]), np.array([0.0, 0.0])]
    columns = rank_columns(scores, gains)
    assert MRR.compute(columns) == 0.5
    assert recall_at(2).compute(columns) == 1
    assert math.isnan(MRR.compute({name: column[1:] for name, column in columns.items()}))


def test_queries_may_have_different_numbers_of_candidates_and_of_relevant_things() -> None:
    columns = rank_columns([np.array([3.0, 2.0, 1.0]), np.array([1.0])], [np.array([0.0, 2.0, 1.0]), np.array([1.0])])
    np.testing.assert_array_equal(columns["ranks"], [[2, 3], [1, np.nan]])
    np.testing.assert_array_equal(columns["gains"], [[2, 1], [1, 0]])
    assert recall_at(2).compute(columns) == pytest.approx((1 / 2 + 1) / 2)
