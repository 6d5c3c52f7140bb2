"""Integrated gradients (Sundararajan et al. 2017, arXiv:1703.01365): (x - b) · ∫₀¹ ∇F(b + α (x - b)) dα.

The path is a straight line from the baseline's vectors to the text's. Stretches of it are integrated by Gauss–Legendre
sums. What a stretch adds to F is known from its ends, so one whose attributions do not add up to that is halved, until
the whole adds up to F(x) - F(b) or `max_steps` nodes are spent: models bend sharply near the baseline, where all tokens
are alike, and hardly anywhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from wenlu.explanation.methods.method import COMPLETE, Attribution, EffortConfig, Method, completeness_error
from wenlu.explanation.neural import NeuralSubject
from wenlu.explanation.subject import Floats, Subject
from wenlu.explanation.units import Unit, on_grid, summed

NODES = 8
"""Of a stretch."""


@dataclass(frozen=True, eq=False)
class _Stretch:
    """From share `start` to `end` of the path, where F rises by `rise`; `amounts` (P,) should add up to that."""

    start: float
    end: float
    rise: float
    amounts: Floats

    @property
    def miss(self) -> float:
        return abs(float(self.amounts.sum()) - self.rise)


def attribute(subject: Subject, units: Sequence[Unit], config: EffortConfig) -> Attribution:
    assert isinstance(subject, NeuralSubject), "asked of models with gradients"
    base, value = (subject.value_at(share) for share in (0.0, 1.0))
    difference = value - base
    stretches = [_Stretch(0.0, 1.0, difference, along_path(subject, NODES))]
    while True:
        amounts = on_grid(np.sum([stretch.amounts for stretch in stretches], axis=0))
        error = completeness_error(amounts, difference)
        missed = sum(stretch.miss for stretch in stretches)
        coarse = [stretch for stretch in stretches if stretch.miss * 2 * len(stretches) >= missed > 0]
        steps = NODES * len(stretches)
        if error < COMPLETE or not coarse or steps + NODES * len(coarse) > config.max_steps:
            return Attribution(summed(amounts, units), completeness_error=error, steps=steps)
        for stretch in coarse:
            stretches.remove(stretch)
            stretches += _halves(subject, stretch)


def _halves(subject: NeuralSubject, whole: _Stretch) -> list[_Stretch]:
    middle = (whole.start + whole.end) / 2
    first = subject.value_at(middle) - subject.value_at(whole.start)
    return [
        _Stretch(start, end, rise, along_path(subject, NODES, start, end))
        for start, end, rise in ((whole.start, middle, first), (middle, whole.end, whole.rise - first))
    ]


def along_path(subject: NeuralSubject, nodes: int, start: float = 0.0, end: float = 1.0) -> Floats:
    """(P,) of a stretch of the path, by a Gauss–Legendre sum."""
    places, weights = np.polynomial.legendre.leggauss(nodes)
    shares, sums = start + (end - start) * (places + 1) / 2, (end - start) * weights / 2
    amounts = np.zeros(len(subject.pieces))
    for row in subject.rows:
        way, points = subject.path(row, shares)
        weight = torch.tensor(sums, dtype=way.dtype, device=way.device)
        slopes = (weight[:, None, None] * subject.slope(row, points)).sum(dim=0)
        amounts += subject.by_piece(row, (way * slopes).sum(dim=1))
    return amounts


METHOD = Method("integrated-gradients", "integrated gradients", "gradient", attribute)
