"""How a score of two classes becomes one of many: each class against the rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from wenlu.metrics.metric import Column, Columns, OfDraws, quotient

Area = Callable[[Column, Column, Column], Column]
"""Of (n,) scores, (n,) 0 or 1, and (n, R) how often each counts, to (R,); nan where it is not defined."""


@dataclass(frozen=True)
class OfSecondClass(OfDraws):
    """The area of class 1 against class 0, from `gold` (n,) and `probabilities` (n, 2)."""

    area: Area

    def of_draws(self, columns: Columns, times: Column) -> Column:
        probabilities = columns["probabilities"]
        assert probabilities.shape[1] == 2, f"{probabilities.shape[1]} classes where two are meant"
        return self.area(probabilities[:, 1], columns["gold"] == 1, times)


@dataclass(frozen=True)
class MacroOneVersusRest(OfDraws):
    """The mean of the areas of the classes, from `gold` (n,) and `probabilities` (n, L).

    A class whose area is not defined, as it is never gold, is left out; nan where that leaves none.
    """

    area: Area

    def of_draws(self, columns: Columns, times: Column) -> Column:
        scores = columns["probabilities"].T
        areas = np.stack([self.area(score, columns["gold"] == label, times) for label, score in enumerate(scores)])
        return quotient(np.nansum(areas, axis=0), (~np.isnan(areas)).sum(axis=0))
