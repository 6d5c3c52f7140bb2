"""Why a linear model answers as it does: what each feature of a text adds to a score, which is all there is to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wenlu.evaluation.linear.groups import Item
from wenlu.evaluation.linear.predictor import LinearModel


@dataclass(frozen=True)
class Contribution:
    """What one feature adds: its value times its weight."""

    group: str
    feature: str
    value: float
    weight: float

    @property
    def amount(self) -> float:
        return self.value * self.weight


@dataclass(frozen=True)
class Explained:
    """A score as a sum: bias + Σ value · weight, over the features that the text has, the largest amount first."""

    output: str
    score: float
    bias: float
    parts: tuple[Contribution, ...]


def explain(model: LinearModel, item: Item) -> list[Explained]:
    """The score of each output, taken apart."""
    rows = model.features.rows([item])
    values = model.weights.values(rows)
    values.sort_indices()
    names = model.features.names
    found = []
    scores = model.weights.scores(rows)[0]
    for number, output in enumerate(model.outputs):
        own = model.weights.weights[number]
        parts = [
            Contribution(names[place][0], names[place][1], float(value), float(own[place]))
            for place, value in zip(values.indices.tolist(), values.data.tolist(), strict=True)
        ]
        parts.sort(key=lambda part: -abs(part.amount))
        found.append(Explained(output, float(scores[number]), float(model.weights.bias[number]), tuple(parts)))
    return found


def strongest(model: LinearModel, count: int = 10) -> dict[str, list[tuple[str, float]]]:
    """For each output the features with the largest weights, words before parts of words."""
    names = model.features.names
    places = next(
        (model.features.places[name] for name in ("words", "characters") if name in model.features.places), None
    )
    if places is None:
        return {}
    found = {}
    for output, weights in zip(model.outputs, model.weights.weights, strict=True):
        best = np.argsort(-weights[places], kind="stable")[:count] + places.start
        found[output] = [(names[place][1], round(float(weights[place]), 4)) for place in best if weights[place] > 0]
    return found
