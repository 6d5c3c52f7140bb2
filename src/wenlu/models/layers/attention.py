"""Multi-head attention with fewer heads for keys and values than for queries."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor, nn

from wenlu.kernels.attention import attention
from wenlu.models.layers.linear import Linear, side_by_side
from wenlu.models.layers.mask import Mask
from wenlu.models.layers.rope import Rope


class LayerMemory(Protocol):
    """One layer's part of a `DecodeState` during one call: all that attention knows of memory."""

    def extend(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Store the new (B, N, T, H) keys and values; return the (B, N, S, H) that the mask speaks of."""


class Attention(nn.Module):
    """Grouped-query attention (Ainslie et al. 2023, arXiv:2305.13245).

    Args:
        scale: of the scores; 1 / √head_dim unless given.
        softcap: bound of the scores, see `kernels.attention`.
        q_norm: normalises each query head before it is turned (Henry et al. 2020, arXiv:2010.04245).
        k_norm: the same for keys.
        dropout: share of the weights dropped in training; not together with a soft cap.
    """

    def __init__(
        self,
        *,
        hidden_size: int,
        num_heads: int,
        num_kv_heads: int,
        head_dim: int,
        qkv_bias: bool = False,
        o_bias: bool = False,
        scale: float | None = None,
        softcap: float | None = None,
        q_norm: nn.Module | None = None,
        k_norm: nn.Module | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        assert not (dropout and softcap), "attention with a soft cap drops no weights"
        self.head_dim = head_dim
        self.dropout = dropout
        self.scale = scale
        self.softcap = softcap
        self.q_proj = Linear(hidden_size, num_heads * head_dim, bias=qkv_bias)
        self.k_proj = Linear(hidden_size, num_kv_heads * head_dim, bias=qkv_bias)
        self.v_proj = Linear(hidden_size, num_kv_heads * head_dim, bias=qkv_bias)
        self.o_proj = Linear(num_heads * head_dim, hidden_size, bias=o_bias)
        self.q_norm = q_norm or nn.Identity()
        self.k_norm = k_norm or nn.Identity()

    def forward(self, x: Tensor, rope: Rope | None, mask: Mask, memory: LayerMemory | None = None) -> Tensor:
        """Mix each position with those that `mask` lets it see.

        Args:
            x: (B, T, D) hidden states.
            rope: angles of the positions in `x`; None where something else tells them apart.
            mask: over the T queries and the S keys of the memory (of `x` itself without one).
            memory: earlier keys and values; the new ones are appended to it.

        Returns:
            (B, T, D), same dtype as `x`.
        """
        B, T, _ = x.shape
        projected = side_by_side(x, self.q_proj, self.k_proj, self.v_proj)
        q, k, v = (each.view(B, T, -1, self.head_dim) for each in projected)  # (B, T, N, H)
        q, k = self.q_norm(q), self.k_norm(k)
        if rope is not None:
            q, k = rope.rotate(q), rope.rotate(k)
        q, k, v = (each.transpose(1, 2) for each in (q, k, v))  # (B, N, T, H)
        if memory is not None:
            k, v = memory.extend(k, v)
        mixed = attention(
            q,
            k,
            v,
            bias=mask.bias,
            is_causal=mask.is_causal,
            scale=self.scale,
            softcap=self.softcap,
            stretches=mask.stretches,
            dropout=self.dropout if self.training else 0.0,
        )
        out: Tensor = self.o_proj(mixed.transpose(1, 2).reshape(B, T, -1))
        return out


class CrossAttention(nn.Module):
    """Attention of a decoder over what an encoder has read (Bahdanau et al. 2015, Vaswani et al. 2017).

    Its keys and values depend on the source alone: `project` computes them once for all tokens to come.

    Args:
        scale: of the scores; 1 / √head_dim unless given.
        dropout: share of the weights dropped in training.
    """

    def __init__(
        self,
        *,
        hidden_size: int,
        num_heads: int,
        head_dim: int,
        bias: bool = False,
        scale: float | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.head_dim = head_dim
        self.scale = scale
        self.dropout = dropout
        self.q_proj = Linear(hidden_size, num_heads * head_dim, bias=bias)
        self.k_proj = Linear(hidden_size, num_heads * head_dim, bias=bias)
        self.v_proj = Linear(hidden_size, num_heads * head_dim, bias=bias)
        self.o_proj = Linear(num_heads * head_dim, hidden_size, bias=bias)

    def project(self, encoded: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values (B, N, S, H) of an encoder's output (B, S, D)."""
        B, S, _ = encoded.shape
        keys, values = (
            proj(encoded).view(B, S, -1, self.head_dim).transpose(1, 2) for proj in (self.k_proj, self.v_proj)
        )
        return keys, values

    def forward(self, x: Tensor, keys: Tensor, values: Tensor, mask: Mask) -> Tensor:
        """Mix for each position of `x` (B, T, D) the source's values; `mask` is over T queries and S keys."""
        B, T, _ = x.shape
        q = self.q_proj(x).view(B, T, -1, self.head_dim).transpose(1, 2)  # (B, N, T, H)
        dropout = self.dropout if self.training else 0.0
        mixed = attention(q, keys, values, bias=mask.bias, scale=self.scale, dropout=dropout)
        out: Tensor = self.o_proj(mixed.transpose(1, 2).reshape(B, T, -1))
        return out
