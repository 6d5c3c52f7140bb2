"""Lion."""

from __future__ import annotations

from typing import Any, Literal

import torch
from pydantic import NonNegativeFloat, PositiveFloat

from wenlu.training.optimizers.config import Decay, OptimizerConfig
from wenlu.training.optimizers.groups import Weights, groups


class LionConfig(OptimizerConfig):
    """Only the sign of a momentum: every number moves equally far (Chen et al. 2023, arXiv:2302.06675).

    The authors advise a rate 3 to 10 times smaller than AdamW's, and a decay as many times larger.
    """

    name: Literal["lion"] = "lion"
    lr: PositiveFloat = 7e-4
    betas: tuple[Decay, Decay] = (0.9, 0.99)
    weight_decay: NonNegativeFloat = 0.3

    def parts(self, weights: Weights) -> list[torch.optim.Optimizer]:
        return [
            Lion(groups(weights, lr=self.lr, layer_decay=self.layer_decay, weight_decay=self.weight_decay), self.betas)
        ]


class Lion(torch.optim.Optimizer):
    """Algorithm 2 of the paper; remembers one number a weight."""

    def __init__(self, params: list[dict[str, Any]], betas: tuple[float, float]) -> None:
        super().__init__(params, {"betas": betas})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        assert closure is None, "the gradients are there before the step"
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if not weights:
                continue
            gradients = [weight.grad for weight in weights]
            for weight in weights:
                if not self.state[weight]:
                    self.state[weight]["exp_avg"] = torch.zeros_like(weight)
            momenta = [self.state[weight]["exp_avg"] for weight in weights]
            of_update, of_momentum = group["betas"]
            update = torch._foreach_lerp(momenta, gradients, 1.0 - of_update)
            torch._foreach_sign_(update)
            torch._foreach_mul_(weights, 1.0 - group["lr"] * group["weight_decay"])
            torch._foreach_add_(weights, update, alpha=-group["lr"])
            torch._foreach_lerp_(momenta, gradients, 1.0 - of_momentum)
