"""One vector of a picture, by attention."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from wenlu.models.layers.attention import CrossAttention
from wenlu.models.layers.mask import EVERYTHING
from wenlu.models.layers.mlp import Activation, PlainMLP
from wenlu.models.layers.norm import LayerNorm


class PoolingHead(nn.Module):
    """A learned query looks at all positions; a feed-forward follows (Zhai et al. 2022, arXiv:2106.04560).

    It is known as MAP, multi-head attention pooling.
    """

    def __init__(
        self, *, hidden_size: int, num_heads: int, intermediate_size: int, activation: Activation, eps: float
    ) -> None:
        super().__init__()
        self.probe = nn.Parameter(torch.zeros(hidden_size))
        self.attention = CrossAttention(
            hidden_size=hidden_size, num_heads=num_heads, head_dim=hidden_size // num_heads, bias=True
        )
        self.norm = LayerNorm(hidden_size, eps)
        self.mlp = PlainMLP(hidden_size, intermediate_size, activation=activation)

    def forward(self, x: Tensor) -> Tensor:
        """(M, D) of (M, S, D)."""
        probe = self.probe.expand(len(x), 1, -1)
        pooled = self.attention(probe, *self.attention.project(x), EVERYTHING)[:, 0]
        out: Tensor = pooled + self.mlp(self.norm(pooled))
        return out
