"""Normalisation."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from wenlu.kernels.norms import layer_norm, residual_norm, rms_norm


class LayerNorm(nn.LayerNorm):
    """torch's over the last dimension, computed by a kernel of our own where there is one."""

    def forward(self, input: Tensor) -> Tensor:
        return layer_norm(input, self.weight, self.bias, self.eps)

    def of_sum(self, x: Tensor, y: Tensor, *, dropout: float = 0.0) -> Tensor:
        """That of x + y, of whose `y` a share is dropped and the rest made larger for it."""
        return residual_norm(x, y, self.weight, self.bias, self.eps, dropout=dropout)


class RMSNorm(nn.Module):
    """Root mean square normalisation over the last dimension, with a learned scale."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, x: Tensor) -> Tensor:
        return rms_norm(x, self.weight, self.eps)


class ZeroCentredRMSNorm(nn.Module):
    """Root mean square normalisation that multiplies by 1 + weight, as in Gemma; computed in fp32 (fp64 for fp64)."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.zeros(size))

    def forward(self, x: Tensor) -> Tensor:
        wide = torch.float64 if x.dtype == torch.float64 else torch.float32
        return rms_norm(x.to(wide), 1 + self.weight.to(wide), self.eps).to(x.dtype)
