"""Layers of an encoder–decoder whose parts read a normalised copy and add to the residual stream."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from wenlu.models.layers.attention import Attention, CrossAttention, LayerMemory
from wenlu.models.layers.encoder_decoder import DecoderLayer
from wenlu.models.layers.mask import Mask


class PreNormEncoderLayer(nn.Module):
    """Attention, then feed-forward."""

    def __init__(self, *, self_attn: Attention, mlp: nn.Module, norm: Callable[[], nn.Module], dropout: float) -> None:
        super().__init__()
        self.input_layernorm = norm()
        self.self_attn = self_attn
        self.post_attention_layernorm = norm()
        self.mlp = mlp
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Mask) -> Tensor:
        x = x + self.dropout(self.self_attn(self.input_layernorm(x), None, mask))
        out: Tensor = x + self.dropout(self.mlp(self.post_attention_layernorm(x)))
        return out


class PreNormDecoderLayer(DecoderLayer):
    """Attention, attention over the source, then feed-forward."""

    def __init__(
        self,
        *,
        self_attn: Attention,
        cross_attn: CrossAttention,
        mlp: nn.Module,
        norm: Callable[[], nn.Module],
        dropout: float,
    ) -> None:
        super().__init__()
        self.input_layernorm = norm()
        self.self_attn = self_attn
        self.cross_attn_layernorm = norm()
        self.cross_attn = cross_attn
        self.post_attention_layernorm = norm()
        self.mlp = mlp
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Tensor, mask: Mask, memory: LayerMemory | None, source: tuple[Tensor, Tensor], source_mask: Mask
    ) -> Tensor:
        x = x + self.dropout(self.self_attn(self.input_layernorm(x), None, mask, memory))
        x = x + self.dropout(self.cross_attn(self.cross_attn_layernorm(x), *source, source_mask))
        out: Tensor = x + self.dropout(self.mlp(self.post_attention_layernorm(x)))
        return out
