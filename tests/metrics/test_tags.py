"""Scores of tags are those of scikit-learn over all words."""

from __future__ import annotations

import numpy as np
import pytest

from wenlu.metrics.tags import TAG_MACRO_F1, WORD_ACCURACY, tag_columns, word_columns


def test_scores_of_tags_are_those_of_the_words_of_all_texts() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    generator = np.random.default_rng(3)
    for _ in range(60):
        sizes = generator.integers(1, 8, generator.integers(1, 6))
        gold, found = ([[*generator.choice(["N", "V", "ADJ", "X"], size)] for size in sizes] for _ in range(2))
        flat = [tag for tags in gold for tag in tags], [tag for tags in found for tag in tags]
        assert WORD_ACCURACY.compute(word_columns(gold, found)) == pytest.approx(metrics.accuracy_score(*flat))
        expected = metrics.f1_score(*flat, average="macro", zero_division=0)
        assert TAG_MACRO_F1.compute(tag_columns(gold, found)) == pytest.approx(expected)
