from __future__ import annotations

import pytest
import torch
from torch import nn

from wenlu.training.optimizers import Optimizer, OptimizerConfig


def weights() -> dict[str, nn.Parameter]:
    torch.manual_seed(1)
    shapes = {
        "embed_tokens.weight": (5, 4),
        "layers.0.q_proj.weight": (4, 4),
        "norm.weight": (4,),
        "lm_head.weight": (5, 4),
    }
    return {name: nn.Parameter(torch.randn(shape)) for name, shape in shapes.items()}


def step(optimizer: Optimizer, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for weight in optimizer.weights.values():
        weight.grad = torch.randn(weight.shape, generator=generator)
    optimizer.step(1.0)


def test_muon_takes_the_hidden_matrices_and_adamw_the_rest() -> None:
    optimizer = Optimizer(OptimizerConfig(name="muon"), weights())
    step(optimizer, 0)
    kinds = {key.rpartition(".")[0] for key in optimizer.tensors() if key.endswith("momentum_buffer")}
    assert kinds == {"layers.0.q_proj.weight"}
    assert {key.rpartition(".")[0] for key in optimizer.tensors()} == set(optimizer.weights)


def test_adamw_equals_the_published_update_on_its_first_step() -> None:
    config = OptimizerConfig(name="adamw", lr=0.01, weight_decay=0.1, eps=1e-8)
    optimizer = Optimizer(config, weights())
    before = {name: weight.detach().clone() for name, weight in optimizer.weights.items()}
    step(optimizer, 0)
    for name, weight in optimizer.weights.items():
        assert weight.grad is not None
        decay = 0.1 if name in ("layers.0.q_proj.weight", "lm_head.weight") else 0.0
        expected = before[name] * (1 - 0.01 * decay) - 0.01 * weight.grad / (weight.grad.abs() + 1e-8)
        torch.testing.assert_close(weight.detach(), expected, rtol=1e-5, atol=1e-6)


def test_a_muon_update_is_nearly_orthogonal() -> None:
    config = OptimizerConfig(name="muon", muon_lr=1.0)
    optimizer = Optimizer(config, weights())
    name = "layers.0.q_proj.weight"
    before = optimizer.weights[name].detach().clone()
    step(optimizer, 0)
    values = torch.linalg.svdvals(before - optimizer.weights[name].detach())
    assert 0.5 < values.min() < values.max() < 1.3


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_a_restored_optimizer_goes_on_bit_for_bit(name: str) -> None:
    config = OptimizerConfig(name=name)  # type: ignore[arg-type]
    first = Optimizer(config, weights())
    step(first, 0)
    second = Optimizer(config, {k: nn.Parameter(w.detach().clone()) for k, w in first.weights.items()})
    second.restore(first.tensors())
    step(first, 1)
    step(second, 1)
    for key, weight in first.weights.items():
        assert torch.equal(weight, second.weights[key])


def test_the_factor_scales_every_rate() -> None:
    still = Optimizer(OptimizerConfig(name="muon", weight_decay=0.0), weights())
    before = {name: weight.detach().clone() for name, weight in still.weights.items()}
    for weight in still.weights.values():
        weight.grad = torch.ones_like(weight)
    still.step(0.0)
    assert all(torch.equal(weight.detach(), before[name]) for name, weight in still.weights.items())
