"""Adafactor."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import NonNegativeFloat, PositiveFloat

from wenlu.training.optimizers.config import OptimizerConfig
from wenlu.training.optimizers.groups import Weights, groups

EPS = (1e-15, 1e-3)
"""Of a gradient (its square is the paper's 1e-30) and of a weight. Torch's default for the first, 1e-7, is compared
with mean squares of gradients, which are often smaller, and would then take their place."""


class AdafactorConfig(OptimizerConfig):
    """Steps relative to the weight, by gradients' sizes in rows and columns only.

    Shazeer & Stern 2018, arXiv:1804.04235. A matrix of n × m needs n + m numbers beside it. The rate is the share of
    its own root mean square by which a weight moves; it also never exceeds 1 / √steps.
    """

    is_elementwise: ClassVar[bool] = False

    name: Literal["adafactor"] = "adafactor"
    lr: PositiveFloat = 5e-2
    """The paper takes 1e-2, which is slow for weights that begin at zero, as `train.zero_outputs` has them."""
    weight_decay: NonNegativeFloat = 0.0

    def parts(self, weights: Weights) -> list[torch.optim.Optimizer]:
        params = groups(weights, lr=self.lr, layer_decay=self.layer_decay, weight_decay=self.weight_decay)
        return [torch.optim.Adafactor(params, eps=EPS)]
