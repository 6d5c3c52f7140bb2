"""Muon for the matrices, AdamW for the rest."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat

from wenlu.kernels.orthogonal import orthogonalised
from wenlu.training.optimizers.config import Decay, OptimizerConfig
from wenlu.training.optimizers.groups import Weights, groups, is_hidden_matrix


class MuonConfig(OptimizerConfig):
    """Updates of hidden matrices made orthogonal (Jordan et al. 2024, kellerjordan.github.io/posts/muon).

    AdamW moves what is no such matrix: embeddings, tables of positions, heads and vectors.
    """

    is_elementwise: ClassVar[bool] = False

    name: Literal["muon"] = "muon"
    lr: PositiveFloat = 2e-3
    """Peak rate of AdamW."""
    muon_lr: PositiveFloat = 0.02
    """Peak rate of Muon, per unit of spectral norm of an update."""
    betas: tuple[Decay, Decay] = (0.9, 0.95)
    eps: PositiveFloat = 1e-8
    weight_decay: NonNegativeFloat = 0.1
    """Of AdamW."""
    muon_momentum: Decay = 0.95
    muon_weight_decay: NonNegativeFloat = 0.0
    muon_iterations: Annotated[int, Field(ge=1, le=20)] = 5
    """Newton–Schulz iterations that orthogonalise an update."""

    def parts(self, weights: Weights) -> list[torch.optim.Optimizer]:
        matrices = {name: weight for name, weight in weights.items() if is_hidden_matrix(name, weight)}
        rest = {name: weight for name, weight in weights.items() if name not in matrices}
        of_adamw, of_muon = (
            groups(some, lr=lr, weight_decay=decay, layer_decay=self.layer_decay, among=weights)
            for some, lr, decay in (
                (rest, self.lr, self.weight_decay),
                (matrices, self.muon_lr, self.muon_weight_decay),
            )
        )
        parts: list[torch.optim.Optimizer] = []
        if of_adamw:
            parts.append(torch.optim.AdamW(of_adamw, betas=self.betas, eps=self.eps, fused=True))
        if of_muon:
            parts.append(Muon(of_muon, self.muon_momentum, self.muon_iterations))
        return parts


class Muon(torch.optim.Optimizer):
    """torch's Muon, with Nesterov momentum and steps √(M / N) larger of matrices (M, N) that are higher than wide, but
    for the number format of `orthogonalised`; remembers one number a weight."""

    def __init__(self, params: list[dict[str, Any]], momentum: float, iterations: int) -> None:
        super().__init__(params, {"momentum": momentum, "iterations": iterations})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        assert closure is None, "the gradients are there before the step"
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                if not self.state[weight]:
                    self.state[weight]["momentum_buffer"] = torch.zeros_like(weight.grad)
                momentum = self.state[weight]["momentum_buffer"]
                momentum.lerp_(weight.grad, 1 - group["momentum"])
                update = orthogonalised(weight.grad.lerp(momentum, group["momentum"]), group["iterations"])
                rows, columns = weight.shape
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                weight.add_(update, alpha=-group["lr"] * math.sqrt(max(1, rows / columns)))
