"""Raw attention: how much the positions that the head reads look at each token in the last layer.

Weights say where a model looks, not what it makes of what is there (Jain & Wallace 2019, arXiv:1902.10186); the
certificate says whether they tell what mattered.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from wenlu.errors import UsageError
from wenlu.explanation.methods.method import Attribution, EffortConfig, Method
from wenlu.explanation.neural import NeuralSubject, Row
from wenlu.explanation.subject import Subject
from wenlu.explanation.units import Unit, on_grid, summed
from wenlu.kernels.attention import observed


@torch.no_grad()
def weights_of(subject: NeuralSubject, row: Row) -> list[Tensor]:
    """(N, T, T) of each layer in order, rows summing to 1; raises UsageError where the model has no attention."""
    with observed() as seen:
        subject.read_row(row)
    if not seen:
        raise UsageError(f"{type(subject.body).__name__} has no attention to look at; use method=integrated-gradients")
    return [weights[0] for weights in seen]


def attribute(subject: Subject, units: Sequence[Unit], config: EffortConfig) -> Attribution:  # noqa: ARG001
    """The mean over heads of the last layer."""
    assert isinstance(subject, NeuralSubject), "asked of models with attention"
    amounts = np.zeros(len(subject.pieces))
    for row in subject.rows:
        last = weights_of(subject, row)[-1].mean(dim=0)
        amounts += subject.by_piece(row, row.read_at.to(last.dtype) @ last) / len(subject.rows)
    return Attribution(summed(on_grid(amounts), units))


METHOD = Method("attention", "attention of the last layer", "attention", attribute, is_signed=False)
