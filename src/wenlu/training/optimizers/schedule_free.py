"""Schedule-free AdamW."""

from __future__ import annotations

from typing import Any, Literal

import torch
from pydantic import NonNegativeFloat, PositiveFloat
from torch import Tensor

from wenlu.training.optimizers.config import Decay, OptimizerConfig
from wenlu.training.optimizers.groups import Weights, groups


class ScheduleFreeConfig(OptimizerConfig):
    """AdamW that averages its weights rather than let the rate fall (Defazio et al. 2024, arXiv:2405.15682).

    It needs no end in advance: validation, samples and the saved model use the average at any time. It remembers three
    numbers a weight. The schedule must be "constant"; its warm-up counts.
    """

    name: Literal["schedule-free"] = "schedule-free"
    lr: PositiveFloat = 5e-3
    """The authors advise 1 to 10 times that of AdamW with a schedule."""
    betas: tuple[Decay, Decay] = (0.9, 0.99)
    """The first says how near to the average the gradient is taken, rather than to the weights that move."""
    eps: PositiveFloat = 1e-8
    weight_decay: NonNegativeFloat = 0.1

    def parts(self, weights: Weights) -> list[torch.optim.Optimizer]:
        params = groups(weights, lr=self.lr, layer_decay=self.layer_decay, weight_decay=self.weight_decay)
        return [ScheduleFreeAdamW(params, self.betas, self.eps)]


class ScheduleFreeAdamW(torch.optim.Optimizer):
    """Algorithm 1 of the paper.

    The weights are y, where gradients are taken: between z, which moves as AdamW's weights do, and x, the average of
    all z, each counted by its squared rate.
    """

    def __init__(self, params: list[dict[str, Any]], betas: tuple[float, float], eps: float) -> None:
        super().__init__(params, {"betas": betas, "eps": eps})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        assert closure is None, "the gradients are there before the step"
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if not weights:
                continue
            gradients = [weight.grad for weight in weights]
            states = [self._state(weight) for weight in weights]
            z, x, squares = ([state[kind] for state in states] for kind in ("z", "average", "exp_avg_sq"))
            near, beta = group["betas"]
            torch._foreach_mul_(squares, beta)
            torch._foreach_addcmul_(squares, gradients, gradients, 1.0 - beta)
            sizes = torch._foreach_sqrt(squares)
            torch._foreach_add_(sizes, group["eps"])
            update = torch._foreach_div(gradients, sizes)
            torch._foreach_add_(update, weights, alpha=group["weight_decay"])
            rates, shares = zip(*(_advance(state, group["lr"], beta) for state in states), strict=True)
            torch._foreach_mul_(update, [-rate for rate in rates])
            torch._foreach_add_(z, update)
            torch._foreach_lerp_(x, z, list(shares))
            torch._foreach_copy_(weights, z)
            torch._foreach_lerp_(weights, x, near)

    def _state(self, weight: Tensor) -> dict[str, Tensor]:
        state: dict[str, Tensor] = self.state[weight]
        if not state:
            state["z"], state["average"] = weight.clone(), weight.clone()
            state["exp_avg_sq"] = torch.zeros_like(weight)
            state["step"] = torch.zeros((), dtype=torch.float64)
            state["squared_rates"] = torch.zeros((), dtype=torch.float64)
        return state


def _advance(state: dict[str, Tensor], lr: float, beta: float) -> tuple[float, float]:
    """This step's rate, free of the bias of a young `exp_avg_sq`, and the share of the average that its z gets."""
    state["step"] += 1
    rate = lr * (1.0 - beta ** state["step"].item()) ** 0.5
    state["squared_rates"] += rate**2
    total = state["squared_rates"].item()
    return rate, rate**2 / total if total else 0.0
