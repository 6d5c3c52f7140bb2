"""The threshold for no answer scores highest of all there are."""

from __future__ import annotations

import numpy as np
import pytest

from wenlu.tasks.spans.threshold import best_threshold


def total(threshold: float, margins: list[float], answered: list[float], unanswered: list[float]) -> float:
    parts = zip(margins, answered, unanswered, strict=True)
    return sum(no if margin > threshold else yes for margin, yes, no in parts)


def test_no_other_threshold_scores_higher() -> None:
    generator = np.random.default_rng(11)
    for _ in range(200):
        size = int(generator.integers(1, 9))
        margins = generator.choice([-2.0, -1.0, 0.0, 0.5, 3.0, np.inf], size).tolist()
        answered = generator.random(size).round(1).tolist()
        unanswered = generator.integers(0, 2, size).astype(float).tolist()
        found = total(best_threshold(margins, answered, unanswered), margins, answered, unanswered)
        others = [total(x, margins, answered, unanswered) for x in (-3, -2, -1.5, -1, -0.5, 0, 0.2, 0.5, 1, 3, 4)]
        assert found == pytest.approx(max(others))


def test_of_equal_ones_the_nearest_to_zero_is_taken() -> None:
    assert best_threshold([-4.0, 2.0], [1.0, 1.0], [0.0, 0.0]) == 3.0
    assert best_threshold([-4.0, -2.0, 6.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]) == 2.0
    assert best_threshold([float("inf")], [0.0], [1.0]) == 0.0
