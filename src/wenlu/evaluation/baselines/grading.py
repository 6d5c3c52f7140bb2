"""Ridge regression on TF-IDF of words and characters: what a model that grades has to beat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wenlu.evaluation.baselines.tfidf import words_and_characters
from wenlu.tasks.grades.graded import Graded
from wenlu.tasks.grades.settings import ScoredText
from wenlu.tasks.grading import Grading


@dataclass(frozen=True)
class LinearGrader:
    """A Predictor of `Grading`, with answers clipped and rounded as the model's are."""

    task: Grading
    vectoriser: Any
    model: Any

    def answer(self, examples: Sequence[ScoredText]) -> list[Graded]:
        shares = self.model.predict(self.vectoriser.transform([example.text for example in examples]))
        return self.task.graded(np.reshape(shares, (len(examples), -1))).each()


def fit(task: Grading, examples: Sequence[ScoredText]) -> LinearGrader:
    """Raises ResourceError where scikit-learn is not installed."""
    vectoriser = words_and_characters()
    from sklearn.linear_model import Ridge

    features = vectoriser.fit_transform([example.text for example in examples])
    return LinearGrader(task, vectoriser, Ridge(alpha=1.0).fit(features, task.shares(examples)))
