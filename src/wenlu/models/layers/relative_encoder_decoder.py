"""Encoder–decoders with relative positions alone, norms before each part and no biases: T5 and its heirs."""

from __future__ import annotations

from functools import partial
from typing import Any, Literal, Self, get_args

from pydantic import Field, PositiveFloat, model_validator
from torch import Tensor, nn

from wenlu.models.family import Size
from wenlu.models.layers.attention import Attention, CrossAttention
from wenlu.models.layers.encoder_decoder import (
    DecoderStack,
    EncoderDecoderConfig,
    EncoderStack,
    TransformerEncoderDecoder,
)
from wenlu.models.layers.head import ScaledHead
from wenlu.models.layers.mlp import MLP, Activation, PlainMLP
from wenlu.models.layers.norm import RMSNorm
from wenlu.models.layers.pre_norm_encoder_decoder import PreNormDecoderLayer, PreNormEncoderLayer
from wenlu.models.layers.relative_bias import RelativeBias

FeedForward = Literal["relu", "gelu", "gelu_new", "silu", "gated-relu", "gated-gelu", "gated-gelu_new", "gated-silu"]


class RelativeConfig(EncoderDecoderConfig):
    """Keys of Hugging Face's `T5Config` and `MT5Config`, under the names of `LlamaConfig`."""

    may_be_null = frozenset({"num_decoder_layers"})

    hidden_size: Size = Field(alias="d_model")
    intermediate_size: Size = Field(alias="d_ff")
    num_hidden_layers: int = Field(alias="num_layers", ge=1, le=1000)
    num_attention_heads: Size = Field(alias="num_heads")
    head_dim: Size = Field(
        default_factory=lambda known: known["hidden_size"] // known["num_attention_heads"], alias="d_kv"
    )
    feed_forward_proj: FeedForward = "relu"
    """`gated-gelu` means the tanh form, `gelu` alone the exact one, as in Hugging Face's."""
    relative_attention_num_buckets: Size = 32
    relative_attention_max_distance: Size = 128
    rms_norm_eps: PositiveFloat = Field(default=1e-6, alias="layer_norm_epsilon")
    dropout_rate: float = Field(default=0.1, ge=0, lt=1)
    initializer_range: float = Field(default=1.0, ge=0, alias="initializer_factor")
    """Times the deviation that each weight's fan-in asks for."""
    eos_token_id: int | list[int] | None = 1
    pad_token_id: int | None = 0

    @model_validator(mode="before")
    @classmethod
    def _says_its_activation_once(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        given = data.get("feed_forward_proj", cls.model_fields["feed_forward_proj"].default)
        if given in get_args(FeedForward):
            derived = {"dense_act_fn": _activation(given), "is_gated_act": given.startswith("gated-")}
            for key, value in derived.items():
                if data.get(key, value) != value:
                    raise ValueError(f"{key}={data[key]!r}, but feed_forward_proj={given!r}: say the latter alone")
        return {key: value for key, value in data.items() if key not in ("dense_act_fn", "is_gated_act")}

    @model_validator(mode="after")
    def _buckets_fit(self) -> Self:
        count, most = self.relative_attention_num_buckets, self.relative_attention_max_distance
        if count < 4 or count % 2 or most <= count // 2:
            raise ValueError(
                f"relative_attention_num_buckets {count} must be even, at least 4, and half of it below "
                f"relative_attention_max_distance {most}"
            )
        return self

    @property
    def is_gated(self) -> bool:
        return self.feed_forward_proj.startswith("gated-")

    @property
    def head_scale(self) -> float:
        """What the head multiplies hidden states with."""
        return 1.0

    @property
    def has_tied_head(self) -> bool:
        return False

    def at_width(self, step: int) -> Self:
        """Hidden states of 8 × `step`; the heads' number stays, their size and the feed-forward's keep their ratio."""
        hidden_size = 8 * step
        ratio = hidden_size / self.hidden_size
        return self.model_copy(
            update={
                "hidden_size": hidden_size,
                "head_dim": max(1, round(ratio * self.head_dim)),
                "intermediate_size": max(8, round(ratio * self.intermediate_size / 8) * 8),
            }
        )


class RelativeEncoderDecoder(TransformerEncoderDecoder):
    config: RelativeConfig

    def __init__(self, config: RelativeConfig) -> None:
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        encoder = [PreNormEncoderLayer(**_parts(config)) for _ in range(config.num_hidden_layers)]
        decoder = [
            PreNormDecoderLayer(cross_attn=CrossAttention(**_heads(config)), **_parts(config))
            for _ in range(config.num_decoder_layers)
        ]
        self.encoder = EncoderStack(encoder, **_around(config, is_causal=False))
        self.decoder = DecoderStack(decoder, **_around(config, is_causal=True))
        self.lm_head = ScaledHead(config.hidden_size, config.vocab_size, config.head_scale)
        self._draw()
        if config.has_tied_head:
            self.lm_head.weight = self.embed_tokens.weight

    def embed_source(self, input_ids: Tensor, positions: Tensor) -> Tensor:  # noqa: ARG002  (relative ones only)
        out: Tensor = self.embed_tokens(input_ids)
        return out

    embed_target = embed_source

    def _draw(self) -> None:
        """Normal, each by its fan-in; queries by the head's size too, as scores are not divided by its root."""
        factor, size = self.config.initializer_range, self.config.hidden_size
        for name, weight in self.named_parameters():
            kind = name.rpartition(".weight")[0].rpartition(".")[2]
            if kind in ("embed_tokens", "lm_head"):
                nn.init.normal_(weight, std=factor)
            elif kind == "relative_bias":
                nn.init.normal_(weight, std=factor * size**-0.5)
            elif kind == "q_proj":
                nn.init.normal_(weight, std=factor * (size * self.config.head_dim) ** -0.5)
            elif weight.ndim == 2:
                nn.init.normal_(weight, std=factor * weight.size(1) ** -0.5)


def _parts(config: RelativeConfig) -> dict[str, Any]:
    """What each layer of both stacks is made of."""
    kind = MLP if config.is_gated else PlainMLP
    return {
        "self_attn": Attention(num_kv_heads=config.num_attention_heads, **_heads(config)),
        "mlp": kind(
            config.hidden_size,
            config.intermediate_size,
            activation=_activation(config.feed_forward_proj),
            bias=False,
            dropout=config.dropout_rate,
        ),
        "norm": partial(RMSNorm, config.hidden_size, config.rms_norm_eps),
        "dropout": config.dropout_rate,
    }


def _heads(config: RelativeConfig) -> dict[str, Any]:
    """Scores are not divided by the root of the head's size."""
    return {
        "hidden_size": config.hidden_size,
        "num_heads": config.num_attention_heads,
        "head_dim": config.head_dim,
        "scale": 1.0,
        "dropout": config.dropout_rate,
    }


def _activation(feed_forward: FeedForward) -> Activation:
    if feed_forward == "gated-gelu":
        return "gelu_new"
    name: Activation = feed_forward.removeprefix("gated-")  # type: ignore[assignment]
    return name


def _around(config: RelativeConfig, *, is_causal: bool) -> dict[str, Any]:
    return {
        "norm": RMSNorm(config.hidden_size, config.rms_norm_eps),
        "relative_bias": RelativeBias(
            num_heads=config.num_attention_heads,
            num_buckets=config.relative_attention_num_buckets,
            max_distance=config.relative_attention_max_distance,
            is_causal=is_causal,
        ),
        "dropout": config.dropout_rate,
        "last_dropout": config.dropout_rate,
    }
