"""The encoder of BERT and its heirs: learned positions, each half of a layer normalised after its addition."""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from wenlu.models.layers.bidirectional_attention import BidirectionalAttention
from wenlu.models.layers.encoder import Encoder, EncoderConfig, MaskedHead, Texts, Transform
from wenlu.models.layers.linear import Linear
from wenlu.models.layers.mask import Mask, bidirectional_mask
from wenlu.models.layers.mlp import ACTIVATIONS, Activation
from wenlu.models.layers.norm import LayerNorm


class PostNormConfig(EncoderConfig):
    hidden_dropout_prob: float = Field(default=0.1, ge=0, lt=1)
    attention_probs_dropout_prob: float = Field(default=0.1, ge=0, lt=1)

    @property
    def norm_eps(self) -> float:
        raise NotImplementedError

    @property
    def num_token_types(self) -> int:
        """Texts that can be told apart; 0: the family has no embedding for it."""
        return 0


class FeedForward(nn.Module):
    """Two linear layers with an activation between them."""

    def __init__(self, hidden_size: int, intermediate_size: int, activation: Activation) -> None:
        super().__init__()
        self.up_proj = Linear(hidden_size, intermediate_size)
        self.down_proj = Linear(intermediate_size, hidden_size)
        self.activation = ACTIVATIONS[activation]

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.down_proj(self.activation(self.up_proj(x)))
        return out


class Block(nn.Module):
    """One layer; the sum of each half with what it read is normalised."""

    def __init__(self, config: PostNormConfig) -> None:
        super().__init__()
        self.self_attn = BidirectionalAttention(
            hidden_size=config.hidden_size,
            num_heads=config.num_attention_heads,
            bias=True,
            dropout=config.attention_probs_dropout_prob,
        )
        self.attention_norm = LayerNorm(config.hidden_size, config.norm_eps)
        self.mlp = FeedForward(config.hidden_size, config.intermediate_size, config.hidden_act)
        self.mlp_norm = LayerNorm(config.hidden_size, config.norm_eps)
        self.dropout = config.hidden_dropout_prob

    def forward(self, x: Tensor, mask: Mask) -> Tensor:
        dropout = self.dropout if self.training else 0.0
        x = self.attention_norm.of_sum(x, self.self_attn(x, mask), dropout=dropout)
        return self.mlp_norm.of_sum(x, self.mlp(x), dropout=dropout)


class PostNormEncoder(Encoder):
    config: PostNormConfig
    transform_activation: ClassVar[Activation | None] = None
    """Of the masked head; None: the config's."""

    def __init__(self, config: PostNormConfig) -> None:
        super().__init__(config)
        size, types = config.hidden_size, config.num_token_types
        self.embed_tokens = nn.Embedding(config.vocab_size, size)
        self.embed_positions = nn.Embedding(config.max_position_embeddings, size)
        self.embed_types = nn.Embedding(types, size) if types else None
        self.embed_norm = LayerNorm(size, config.norm_eps)
        self.dropout = nn.Dropout(config.hidden_dropout_prob)
        self.layers = nn.ModuleList(Block(config) for _ in range(config.num_hidden_layers))
        if config.head in ("masked-lm", "pretraining"):
            norm = LayerNorm(size, config.norm_eps)
            activation = self.transform_activation or config.hidden_act
            self.lm_head = MaskedHead(Transform(size, activation, norm), config.vocab_size)

    @property
    def reads_token_types(self) -> bool:
        return self.embed_types is not None

    def encode(self, texts: Texts) -> Tensor:
        x = self.embed_tokens(texts.input_ids) + self.embed_positions(texts.positions)
        if self.embed_types is not None:
            types = torch.zeros_like(texts.input_ids) if texts.token_types is None else texts.token_types
            x = x + self.embed_types(types)
        x = self.dropout(self.embed_norm(x))
        mask = bidirectional_mask(x, attention_mask=texts.attention_mask, segments=texts.segments)
        for layer in self.layers:
            x = layer(x, mask)
        out: Tensor = x
        return out
