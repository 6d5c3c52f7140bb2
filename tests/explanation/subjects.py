"""Subjects whose every attribution is known by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wenlu.evaluation.linear import learners, stored
from wenlu.evaluation.linear.features import Features
from wenlu.evaluation.linear.predictor import LinearModel, fitted, item_of, targets_of
from wenlu.evaluation.linear.settings import FeaturesConfig
from wenlu.explanation.subject import Asked, Bools, Floats, Part, Piece, Told
from wenlu.explanation.units import Unit
from wenlu.tasks.text_classification import LabelledText, TextClassification, TextClassificationConfig

TOLD = Told("game", {"prediction": "yes"}, "yes", None, "value", "probability")


@dataclass(frozen=True)
class Game:
    """What a set of letters is worth, by a function of who is there (n, P)."""

    worth: Callable[[Bools], Floats]
    size: int
    told: Told = TOLD
    removal: str = "left out"
    model_digest: str = "sha256:0"
    tokenizer_digest: str | None = None

    @property
    def parts(self) -> tuple[Part, ...]:
        return (Part("text", "abcdefghijklmnopqrstuvwxyz"[: self.size]),)

    @property
    def pieces(self) -> tuple[Piece, ...]:
        return tuple(Piece(0, place, place + 1) for place in range(self.size))

    @property
    def units(self) -> list[Unit]:
        return [Unit(0, place, place + 1, (place,)) for place in range(self.size)]

    def ask(self, kept: Bools) -> Asked:
        values = self.worth(kept).astype(np.float64)
        return Asked(values, 1 / (1 + np.exp(-values)))

    def randomised(self, seed: int) -> Game:
        """The letters change places."""
        order = np.random.default_rng(seed).permutation(self.size)
        return Game(lambda kept: self.worth(kept[:, order]), self.size)


def additive(*amounts: float) -> Game:
    return Game(lambda kept: kept @ np.array(amounts), len(amounts))


def fitted_svm(examples: Sequence[LabelledText], **features: Any) -> LinearModel:
    """Linear support vectors over the features that are named."""
    labels = tuple(sorted({label for example in examples for label in example.labels or ()}))
    task = TextClassification(TextClassificationConfig(labels=labels), stored.no_tokenizer())
    found, rows = Features.fit(FeaturesConfig(fewest_texts=1, **features), [item_of(each) for each in examples])
    return fitted(learners.CLASSIFIERS[0], task, found, rows, targets_of(task, examples), 1.0)
