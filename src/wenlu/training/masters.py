"""Full-precision copies of low-precision weights.

A bfloat16 weight holds 8 significant bits: an update below 1/256 of it would vanish. The optimizer therefore
moves float32 masters, and the model's weights are the masters rounded (Micikevicius et al. 2018,
arXiv:1710.03740). Weights of 32 bits or more, and those that are frozen, are their own masters.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class Masters:
    """The weights that the optimizer moves, by the model's names."""

    def __init__(self, weights: Mapping[str, nn.Parameter]) -> None:
        self._weights = dict(weights)
        rounded = (torch.bfloat16, torch.float16)
        self._rounded = {k: w for k, w in self._weights.items() if w.requires_grad and w.dtype in rounded}
        self.parameters: dict[str, nn.Parameter] = {
            k: nn.Parameter(w.detach().float()) if k in self._rounded else w for k, w in self._weights.items()
        }

    def pull_gradients(self) -> None:
        """Add the gradients of the rounded weights to those of their masters, and clear them."""
        for name, weight in self._rounded.items():
            if weight.grad is None:
                continue
            master = self.parameters[name]
            if master.grad is None:
                master.grad = weight.grad.float()
            else:
                master.grad.add_(weight.grad)
            weight.grad = None

    def push_weights(self) -> None:
        """Round the masters into the model."""
        with torch.no_grad():
            for name, weight in self._rounded.items():
                weight.copy_(self.parameters[name])

    def gradients(self) -> list[Tensor]:
        return [w.grad for w in self.parameters.values() if w.grad is not None]

    def clear_gradients(self) -> None:
        for weight in self.parameters.values():
            weight.grad = None
