"""Encoder–decoders that normalise the sum of each part with what it read: the original Transformer and its heirs."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any, Self

from pydantic import Field, model_validator
from torch import Tensor, nn

from wenlu.models.family import Size
from wenlu.models.layers.attention import Attention, CrossAttention, LayerMemory
from wenlu.models.layers.encoder_decoder import (
    DecoderLayer,
    DecoderStack,
    EncoderDecoderConfig,
    EncoderStack,
    TransformerEncoderDecoder,
)
from wenlu.models.layers.mask import Mask
from wenlu.models.layers.mlp import Activation, PlainMLP
from wenlu.models.layers.norm import LayerNorm


class PostNormEncoderDecoderConfig(EncoderDecoderConfig):
    """Keys of Hugging Face's `BartConfig` and `MarianConfig`, under the names of `LlamaConfig`."""

    hidden_size: Size = Field(alias="d_model")
    intermediate_size: Size = Field(alias="encoder_ffn_dim")
    decoder_intermediate_size: Size = Field(
        default_factory=lambda known: known["intermediate_size"], alias="decoder_ffn_dim"
    )
    num_hidden_layers: int = Field(alias="encoder_layers", ge=1, le=1000)
    num_decoder_layers: int = Field(
        default_factory=lambda known: known["num_hidden_layers"], alias="decoder_layers", ge=1, le=1000
    )
    num_attention_heads: Size = Field(alias="encoder_attention_heads")
    decoder_attention_heads: Size = Field(default_factory=lambda known: known["num_attention_heads"])
    hidden_act: Activation = Field(default="gelu", alias="activation_function")
    max_position_embeddings: Size = 1024
    scale_embedding: bool = False
    """Multiply embeddings of tokens by √hidden_size."""
    dropout: float = Field(default=0.1, ge=0, lt=1)
    attention_dropout: float = Field(default=0.0, ge=0, lt=1)
    activation_dropout: float = Field(default=0.0, ge=0, lt=1)
    initializer_range: float = Field(default=0.02, ge=0, le=1, alias="init_std")
    tie_word_embeddings: bool = True

    @model_validator(mode="after")
    def _heads_fit(self) -> Self:
        for name in ("num_attention_heads", "decoder_attention_heads"):
            if self.hidden_size % getattr(self, name):
                raise ValueError(f"hidden_size {self.hidden_size} is not a multiple of {name} {getattr(self, name)}")
        return self

    @property
    def embed_scale(self) -> float:
        return math.sqrt(self.hidden_size) if self.scale_embedding else 1.0

    @property
    def target_vocab_size(self) -> int:
        return self.vocab_size

    def at_width(self, step: int) -> Self:
        """The smallest heads twice as large at each step; their number stays, the feed-forward's ratio too."""
        hidden_size = 2 * step * math.lcm(self.num_attention_heads, self.decoder_attention_heads)
        ratio = hidden_size / self.hidden_size
        names = ("intermediate_size", "decoder_intermediate_size")
        inner = {name: max(8, round(ratio * getattr(self, name) / 8) * 8) for name in names}
        return self.model_copy(update={"hidden_size": hidden_size, **inner})


class PostNormEncoderLayer(nn.Module):
    """Attention, then feed-forward."""

    def __init__(self, config: PostNormEncoderDecoderConfig) -> None:
        super().__init__()
        size = config.hidden_size
        self.self_attn = _self_attention(config, config.num_attention_heads)
        self.attention_norm = LayerNorm(size)
        self.mlp = PlainMLP(
            size, config.intermediate_size, activation=config.hidden_act, dropout=config.activation_dropout
        )
        self.mlp_norm = LayerNorm(size)
        self.dropout = config.dropout

    def forward(self, x: Tensor, mask: Mask) -> Tensor:
        dropout = self.dropout if self.training else 0.0
        x = self.attention_norm.of_sum(x, self.self_attn(x, None, mask), dropout=dropout)
        return self.mlp_norm.of_sum(x, self.mlp(x), dropout=dropout)


class PostNormDecoderLayer(DecoderLayer):
    """Attention, attention over the source, then feed-forward."""

    def __init__(self, config: PostNormEncoderDecoderConfig) -> None:
        super().__init__()
        size, heads = config.hidden_size, config.decoder_attention_heads
        self.self_attn = _self_attention(config, heads)
        self.attention_norm = LayerNorm(size)
        self.cross_attn = CrossAttention(
            hidden_size=size, num_heads=heads, head_dim=size // heads, bias=True, dropout=config.attention_dropout
        )
        self.cross_attention_norm = LayerNorm(size)
        self.mlp = PlainMLP(
            size, config.decoder_intermediate_size, activation=config.hidden_act, dropout=config.activation_dropout
        )
        self.mlp_norm = LayerNorm(size)
        self.dropout = config.dropout

    def forward(
        self, x: Tensor, mask: Mask, memory: LayerMemory | None, source: tuple[Tensor, Tensor], source_mask: Mask
    ) -> Tensor:
        dropout = self.dropout if self.training else 0.0
        x = self.attention_norm.of_sum(x, self.self_attn(x, None, mask, memory), dropout=dropout)
        x = self.cross_attention_norm.of_sum(x, self.cross_attn(x, *source, source_mask), dropout=dropout)
        return self.mlp_norm.of_sum(x, self.mlp(x), dropout=dropout)


class PostNormEncoderDecoder(TransformerEncoderDecoder):
    """A family gives its positions and, where it differs, a norm of what each stack begins with."""

    config: PostNormEncoderDecoderConfig
    decoder_embed_tokens: nn.Embedding | None
    """None: source and target share one embedding."""

    def __init__(
        self, config: PostNormEncoderDecoderConfig, *, head_bias: bool, embed_norm: bool = False, shared: bool = True
    ) -> None:
        super().__init__()
        size = config.hidden_size
        self.config = config
        self.embed_tokens = nn.Embedding(config.vocab_size, size)
        self.decoder_embed_tokens = None if shared else nn.Embedding(config.target_vocab_size, size)
        encoder = [PostNormEncoderLayer(config) for _ in range(config.num_hidden_layers)]
        decoder = [PostNormDecoderLayer(config) for _ in range(config.num_decoder_layers)]
        norms = (LayerNorm(size), LayerNorm(size)) if embed_norm else (None, None)
        self.encoder = EncoderStack(encoder, embed_norm=norms[0], dropout=config.dropout)
        self.decoder = DecoderStack(decoder, embed_norm=norms[1], dropout=config.dropout)
        self.lm_head: nn.Linear = nn.Linear(size, config.target_vocab_size, bias=head_bias)
        self.draw()
        if config.tie_word_embeddings:
            self.lm_head.weight = (self.decoder_embed_tokens or self.embed_tokens).weight

    @abstractmethod
    def source_positions(self, positions: Tensor) -> Tensor:
        """What is added to the embeddings at `positions` (B or 1, S): (B or 1, S, D)."""

    @abstractmethod
    def target_positions(self, positions: Tensor) -> Tensor:
        """The same for the decoder."""

    def embed_source(self, input_ids: Tensor, positions: Tensor) -> Tensor:
        return self._embed(self.embed_tokens, input_ids) + self.source_positions(positions)

    def embed_target(self, input_ids: Tensor, positions: Tensor) -> Tensor:
        embedding = self.decoder_embed_tokens or self.embed_tokens
        return self._embed(embedding, input_ids) + self.target_positions(positions)

    def _embed(self, embedding: nn.Embedding, input_ids: Tensor) -> Tensor:
        out: Tensor = embedding(input_ids) * self.config.embed_scale
        return out


def _self_attention(config: PostNormEncoderDecoderConfig, num_heads: int) -> Attention:
    settings: dict[str, Any] = {"qkv_bias": True, "o_bias": True, "dropout": config.attention_dropout}
    return Attention(
        hidden_size=config.hidden_size,
        num_heads=num_heads,
        num_kv_heads=num_heads,
        head_dim=config.hidden_size // num_heads,
        **settings,
    )
