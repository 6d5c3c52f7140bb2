"""Adam."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import PositiveFloat

from wenlu.training.optimizers.config import Decay, OptimizerConfig
from wenlu.training.optimizers.groups import Weights, groups


class AdamConfig(OptimizerConfig):
    """Each weight at its own rate, by the running size of its gradients (Kingma & Ba 2015, arXiv:1412.6980)."""

    name: Literal["adam"] = "adam"
    lr: PositiveFloat = 2e-3
    betas: tuple[Decay, Decay] = (0.9, 0.999)
    eps: PositiveFloat = 1e-8

    def parts(self, weights: Weights) -> list[torch.optim.Optimizer]:
        return [
            torch.optim.Adam(
                groups(weights, lr=self.lr, layer_decay=self.layer_decay), betas=self.betas, eps=self.eps, fused=True
            )
        ]
