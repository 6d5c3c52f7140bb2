"""A linear model as a Predictor of texts with labels or with scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wenlu.errors import DataError
from wenlu.evaluation.calibration import fit_label_temperature, fit_temperature
from wenlu.evaluation.linear.features import Features
from wenlu.evaluation.linear.groups import Floats, Item, Sparse
from wenlu.evaluation.linear.learners import Learner, Targets
from wenlu.evaluation.linear.weights import Weights
from wenlu.tasks.grades.settings import ScoredText
from wenlu.tasks.grading import Grading
from wenlu.tasks.text_classification import LabelledText, TextClassification

LinearTask = TextClassification | Grading
FEWEST = 20
"""Validation examples that a temperature is found on, as for neural models."""


@dataclass(frozen=True)
class LinearModel:
    """A Predictor of `TextClassification` or `Grading`, whose temperature is the task's."""

    task: LinearTask
    features: Features
    weights: Weights

    def answer(self, examples: Sequence[Any]) -> list[Any]:
        """Raises DataError where columns are features, which examples do not have: ask `answer_items`."""
        if self.features.config.columns:
            raise DataError(
                f"columns {', '.join(self.features.config.columns)} are features of this model; give records with them"
            )
        return self.answer_items([item_of(example) for example in examples])

    def answer_items(self, items: Sequence[Item]) -> list[Any]:
        return self.read(self.weights.scores(self.features.rows(items)))

    def read(self, scores: Floats) -> list[Any]:
        """The answers that scores (n, L) are."""
        if isinstance(self.task, TextClassification):
            return self.task.decided(scores)
        return self.task.graded(scores).each()

    @property
    def outputs(self) -> tuple[str, ...]:
        """What each score is of."""
        return self.task.names


def item_of(example: LabelledText | ScoredText, columns: Mapping[str, str] | None = None) -> Item:
    """The text of an example, of a pair both, with the columns of its record."""
    second = example.second if isinstance(example, LabelledText) else None
    text = example.text if second is None else f"{example.text}\n{second}"
    return Item(text, columns or {})


def targets_of(task: LinearTask, examples: Sequence[Any]) -> Targets:
    """(n, L) whether each label holds, or shares (n, T) of the scales; raises DataError for an example without."""
    if isinstance(task, Grading):
        return task.shares(examples)
    holds = np.zeros((len(examples), len(task.config.labels)))
    for row, example in zip(holds, examples, strict=True):
        row[[task.numbers[label] for label in example.labels or ()]] = 1
    return holds


def seen_by(learner: Learner, features: Features) -> Features:
    """The features that a learner counts: of one that counts words alone these, or characters where there are none."""
    if not learner.words_only:
        return features
    name = next((name for name in ("words", "characters") if name in features.places), None)
    return features if name is None else features.only({name})


def fitted(
    learner: Learner, task: LinearTask, features: Features, rows: Sparse, targets: Targets, strength: float
) -> LinearModel:
    """The model that a learner makes of training rows."""
    several = isinstance(task, TextClassification) and task.config.several
    seen = seen_by(learner, features)
    return LinearModel(task, seen, learner.fit(seen.of_whole(features, rows), targets, strength, several))


def calibrated(model: LinearModel, rows: Sparse, targets: Targets) -> LinearModel:
    """The model with the temperature that held-out rows of its features tell, where they are enough; scores of grades
    have none."""
    task = model.task
    if not isinstance(task, TextClassification) or len(targets) < FEWEST:
        return model
    scores = model.weights.scores(rows)
    several = task.config.several
    found = fit_label_temperature(scores, targets) if several else fit_temperature(scores, targets.argmax(axis=1))
    return LinearModel(task.with_settings(temperature=round(found, 4)), model.features, model.weights)
