"""Orthogonal updates: what is kept of a matrix, and torch's Muon."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from wenlu.kernels import orthogonal
from wenlu.kernels.orthogonal import orthogonalised
from wenlu.training.optimizers import MuonConfig
from wenlu.training.optimizers.muon import Muon

SHAPES = [(24, 24), (16, 40), (40, 16)]


@pytest.mark.parametrize("shape", SHAPES)
def test_singular_vectors_stay_and_values_come_near_one(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    update = torch.randn(shape, dtype=torch.float64)
    found = orthogonalised(update, 8)
    u, _, vt = torch.linalg.svd(update, full_matrices=False)
    inside = u.T @ found @ vt.T  # diagonal, of values near 1
    assert (inside - torch.diag(inside.diagonal())).abs().max() < 1e-9
    assert 0.65 < inside.diagonal().min() < inside.diagonal().max() < 1.25


@pytest.mark.parametrize("shape", SHAPES)
def test_steps_in_bfloat16_are_those_of_torch(shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orthogonal, "_is_narrow_faster", lambda _: True)
    torch.manual_seed(0)
    ours, theirs = (nn.Parameter(torch.linspace(-1, 1, shape[0] * shape[1]).view(shape)) for _ in range(2))
    groups = [{"params": [ours], "lr": 0.02, "weight_decay": 0.1}]
    one, other = Muon(groups, 0.95, 5), torch.optim.Muon([theirs], lr=0.02, weight_decay=0.1, momentum=0.95)
    for _ in range(10):
        ours.grad = torch.randn(shape)
        theirs.grad = ours.grad.clone()
        one.step()
        other.step()
    torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_the_default_is_five_iterations() -> None:
    assert MuonConfig().muon_iterations == 5
