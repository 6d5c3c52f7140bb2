"""Input × gradient (Shrikumar et al. 2016, arXiv:1605.01713): Σ_d x_d · ∂F/∂x_d, what a first-order change would do.

One backward pass; it promises no sum, and saturates where the model does.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wenlu.explanation.methods.method import Attribution, EffortConfig, Method
from wenlu.explanation.neural import NeuralSubject
from wenlu.explanation.subject import Subject
from wenlu.explanation.units import Unit, on_grid, summed


def attribute(subject: Subject, units: Sequence[Unit], config: EffortConfig) -> Attribution:  # noqa: ARG001
    assert isinstance(subject, NeuralSubject), "asked of models with gradients"
    amounts = np.zeros(len(subject.pieces))
    for row in subject.rows:
        own = subject.embedded(row)
        amounts += subject.by_piece(row, (own * subject.slope(row, own[None])[0]).sum(dim=1))
    return Attribution(summed(on_grid(amounts), units), steps=1)


METHOD = Method("input-x-gradient", "input × gradient", "gradient", attribute)
