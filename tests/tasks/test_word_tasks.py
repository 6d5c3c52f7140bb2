"""Similarity and analogies as tasks: what columns the answers give, and that nothing trains for them."""

from __future__ import annotations

import numpy as np
import pytest

from wenlu.metrics import ACCURACY, COVERAGE, SPEARMAN
from wenlu.models.vectors import Analogy, WordPair, WordVectors
from wenlu.tasks import SCORED_TASKS, Predictor, ScoredTask, WordAnalogy, WordSimilarity

VECTORS = WordVectors(
    ("man", "king", "woman", "queen", "boy"), np.array([[1, 0], [1, 1], [-1, 0.2], [-1, 1.2], [0.9, -0.1]], np.float32)
)


def test_word_vectors_answer_pairs_that_are_scored_by_rank() -> None:
    predictor: Predictor = VECTORS
    golds = {"boy": 9.0, "king": 5, "girl": 7, "woman": 1}
    pairs = [WordPair("man", other, gold) for other, gold in golds.items()]
    columns = WordSimilarity().columns(pairs, predictor.answer(pairs))
    assert columns["known"].tolist() == [1, 1, 0, 1]
    assert np.isnan(columns["predicted"]).tolist() == [False, False, True, False]
    known = {name: column[columns["known"] == 1] for name, column in columns.items()}
    assert SPEARMAN.compute(known) == pytest.approx(1.0)
    assert COVERAGE.compute(columns) == 3 / 4


def test_word_vectors_complete_analogies_whatever_the_case() -> None:
    questions = [
        Analogy("man", "king", "woman", "Queen", "royal"),
        Analogy("man", "king", "woman", "boy"),
        Analogy("man", "king", "woman", "girl"),
    ]
    answers = VECTORS.answer(questions)
    assert answers == ["queen", "queen", None]
    columns = WordAnalogy().columns(questions, answers)
    assert columns["correct"].tolist() == [1, 0, 0]
    assert COVERAGE.compute(columns) == 2 / 3
    assert ACCURACY.compute({"correct": columns["correct"][:2]}) == 1 / 2


@pytest.mark.parametrize("row", SCORED_TASKS)
def test_the_columns_are_what_the_metrics_need(row: type[ScoredTask]) -> None:
    for metric in row.metrics:
        assert set(metric.needs) <= row().columns([], []).keys()
