"""Adam with decoupled weight decay."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import NonNegativeFloat, PositiveFloat

from wenlu.training.optimizers.config import Decay, OptimizerConfig
from wenlu.training.optimizers.groups import Weights, groups


class AdamWConfig(OptimizerConfig):
    """Adam whose weight decay is no part of the gradient (Loshchilov & Hutter 2019, arXiv:1711.05101)."""

    name: Literal["adamw"] = "adamw"
    lr: PositiveFloat = 2e-3
    betas: tuple[Decay, Decay] = (0.9, 0.95)
    eps: PositiveFloat = 1e-8
    weight_decay: NonNegativeFloat = 0.1

    def parts(self, weights: Weights) -> list[torch.optim.Optimizer]:
        params = groups(weights, lr=self.lr, layer_decay=self.layer_decay, weight_decay=self.weight_decay)
        return [torch.optim.AdamW(params, betas=self.betas, eps=self.eps, fused=True)]
