"""Attention rollout (Abnar & Zuidema 2020, arXiv:2005.00928): how much of each token is left in the positions that the
head reads, were attention all that mixes: Â = ½ A + ½ I, A the mean over heads, multiplied in the order of layers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from wenlu.explanation.methods.attention import weights_of
from wenlu.explanation.methods.method import Attribution, EffortConfig, Method
from wenlu.explanation.neural import NeuralSubject
from wenlu.explanation.subject import Subject
from wenlu.explanation.units import Unit, on_grid, summed


def rollout(layers: Sequence[Tensor]) -> Tensor:
    """(T, T) of weights (N, T, T) of each layer; rows sum to 1."""
    whole = torch.eye(layers[0].size(-1), dtype=torch.float64, device=layers[0].device)
    for weights in layers:
        mixed = weights.double().mean(dim=0)
        mixed = 0.5 * mixed + 0.5 * torch.eye(len(mixed), dtype=mixed.dtype, device=mixed.device)
        whole = (mixed / mixed.sum(dim=1, keepdim=True)) @ whole
    return whole


def attribute(subject: Subject, units: Sequence[Unit], config: EffortConfig) -> Attribution:  # noqa: ARG001
    assert isinstance(subject, NeuralSubject), "asked of models with attention"
    amounts = np.zeros(len(subject.pieces))
    for row in subject.rows:
        reached = row.read_at.double() @ rollout(weights_of(subject, row))
        amounts += subject.by_piece(row, reached) / len(subject.rows)
    return Attribution(summed(on_grid(amounts), units))


METHOD = Method("attention-rollout", "attention rollout", "attention", attribute, is_signed=False)
