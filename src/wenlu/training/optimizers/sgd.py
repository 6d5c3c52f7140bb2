"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Literal, Self

import torch
from pydantic import NonNegativeFloat, PositiveFloat, model_validator

from wenlu.training.optimizers.config import Decay, OptimizerConfig
from wenlu.training.optimizers.groups import Weights, groups


class SGDConfig(OptimizerConfig):
    """Along the gradient (Robbins & Monro 1951), with momentum (Polyak 1964), or Nesterov's (Sutskever et al. 2013)."""

    name: Literal["sgd"] = "sgd"
    lr: PositiveFloat = 0.1
    momentum: Decay = 0.9
    nesterov: bool = False
    """Look ahead: move by the momentum that comes after this gradient."""
    weight_decay: NonNegativeFloat = 0.0

    @model_validator(mode="after")
    def _has_momentum_to_look_ahead(self) -> Self:
        if self.nesterov and not self.momentum:
            raise ValueError("nesterov=true looks ahead along the momentum; set momentum above 0")
        return self

    def parts(self, weights: Weights) -> list[torch.optim.Optimizer]:
        return [
            SGDW(
                groups(weights, lr=self.lr, layer_decay=self.layer_decay, weight_decay=self.weight_decay),
                self.momentum,
                self.nesterov,
            )
        ]


class SGDW(torch.optim.SGD):
    """Torch's SGD, with decay of the weights in place of a term in the gradient (arXiv:1711.05101, algorithm 1)."""

    def __init__(self, params: list[dict[str, object]], momentum: float, nesterov: bool) -> None:
        self.decays = [group.pop("weight_decay") for group in params]
        super().__init__(params, momentum=momentum, nesterov=nesterov, fused=True)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        assert closure is None, "the gradients are there before the step"
        for group, decay in zip(self.param_groups, self.decays, strict=True):
            moving = [weight for weight in group["params"] if weight.grad is not None]
            if decay and moving:
                torch._foreach_mul_(moving, 1.0 - group["lr"] * decay)
        super().step()
