"""Multi-head attention that looks both ways."""

from __future__ import annotations

from torch import Tensor, nn

from wenlu.kernels.attention import attention
from wenlu.models.layers.linear import Linear, side_by_side
from wenlu.models.layers.mask import Mask
from wenlu.models.layers.rope import Rope


class BidirectionalAttention(nn.Module):
    """Attention without a memory (Vaswani et al. 2017, arXiv:1706.03762), its weights dropped at random in training."""

    def __init__(self, *, hidden_size: int, num_heads: int, bias: bool, dropout: float) -> None:
        super().__init__()
        self.head_dim = hidden_size // num_heads
        self.dropout = dropout
        self.q_proj = Linear(hidden_size, hidden_size, bias=bias)
        self.k_proj = Linear(hidden_size, hidden_size, bias=bias)
        self.v_proj = Linear(hidden_size, hidden_size, bias=bias)
        self.o_proj = Linear(hidden_size, hidden_size, bias=bias)

    def forward(self, x: Tensor, mask: Mask, rope: Rope | None = None) -> Tensor:
        """Mix each position of `x` (B, T, D) with those that `mask` lets it see."""
        B, T, _ = x.shape
        projected = side_by_side(x, self.q_proj, self.k_proj, self.v_proj)
        q, k, v = (each.view(B, T, -1, self.head_dim) for each in projected)
        if rope is not None:
            q, k = rope.rotate(q), rope.rotate(k)
        q, k, v = (each.transpose(1, 2) for each in (q, k, v))  # (B, N, T, H)
        dropout = self.dropout if self.training else 0.0
        mixed = attention(q, k, v, bias=mask.bias, stretches=mask.stretches, dropout=dropout)
        out: Tensor = self.o_proj(mixed.transpose(1, 2).reshape(B, T, -1))
        return out
