"""Gemma 3, the text model: norms before and after each half, local layers between global ones.

Gemma 3, arXiv:2503.19786; soft caps are of Gemma 2, arXiv:2408.00118.
"""

from __future__ import annotations

from typing import Any, Literal, Self

import torch
from pydantic import Field, PositiveFloat, model_validator
from torch import Tensor, nn

from wenlu.config import Config
from wenlu.models.family import Ability, Family, Size
from wenlu.models.layers.attention import Attention, LayerMemory
from wenlu.models.layers.decoder import IGNORED, RULES, Decoder, GroupedDecoderConfig, View
from wenlu.models.layers.head import CappedHead
from wenlu.models.layers.layer_types import LayerType, check_layer_types
from wenlu.models.layers.mask import Mask
from wenlu.models.layers.mlp import MLP, Activation
from wenlu.models.layers.norm import ZeroCentredRMSNorm
from wenlu.models.layers.rope import Rope, RopeConfig, with_rope_parameters


class RopeByLayerType(Config):
    """Local layers turn faster than global ones."""

    sliding_attention: RopeConfig = RopeConfig(rope_theta=1e4)
    full_attention: RopeConfig = RopeConfig(rope_theta=1e6)


class Gemma3Config(GroupedDecoderConfig):
    """Keys of Hugging Face's `Gemma3TextConfig`.

    `sliding_window_pattern` = n, which older configs write, makes each n-th layer global.
    """

    may_be_null = GroupedDecoderConfig.may_be_null | {"use_bidirectional_attention"}

    max_position_embeddings: Size = 131072
    head_dim: Size = 256
    hidden_act: Activation = Field(default="gelu_pytorch_tanh", alias="hidden_activation")
    rope_parameters: RopeByLayerType = RopeByLayerType()
    attention_bias: bool = False
    query_pre_attn_scalar: Size = 256
    """Scores are divided by its root."""
    sliding_window: Size | None = 4096
    layer_types: tuple[LayerType, ...] = Field(default_factory=lambda known: _layer_types(known["num_hidden_layers"]))
    attn_logit_softcapping: PositiveFloat | None = None
    final_logit_softcapping: PositiveFloat | None = None
    use_bidirectional_attention: Literal[False] = False
    tie_word_embeddings: bool = True

    @model_validator(mode="before")
    @classmethod
    def _older_spellings(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        pattern = data.get("sliding_window_pattern") or data.get("_sliding_window_pattern")
        data = {key: value for key, value in data.items() if key not in _PATTERN}
        if pattern is not None and data.get("layer_types") is None and isinstance(data.get("num_hidden_layers"), int):
            data["layer_types"] = _layer_types(data["num_hidden_layers"], pattern)
        return _with_ropes(data)

    @model_validator(mode="after")
    def _layers_fit(self) -> Self:
        check_layer_types(self.layer_types, num_layers=self.num_hidden_layers, window=self.sliding_window)
        return self

    def views(self) -> tuple[View, ...]:
        ropes = self.rope_parameters
        views = {
            "full_attention": View(None, ropes.full_attention),
            "sliding_attention": View(self.sliding_window, ropes.sliding_attention),
        }
        return tuple(views[each] for each in self.layer_types)

    def at_width(self, step: int) -> Self:
        wider = super().at_width(step)
        return wider.model_copy(update={"query_pre_attn_scalar": wider.head_dim})


_PATTERN = ("sliding_window_pattern", "_sliding_window_pattern")


def _layer_types(num_layers: int, pattern: int = 6) -> tuple[LayerType, ...]:
    return tuple("sliding_attention" if (index + 1) % pattern else "full_attention" for index in range(num_layers))


def _with_ropes(data: dict[str, Any]) -> dict[str, Any]:
    """Older configs have `rope_theta` and `rope_scaling` for global layers, `rope_local_base_freq` for local ones."""
    older = {key: data[key] for key in ("rope_theta", "rope_scaling") if data.get(key) is not None}
    local = data.get("rope_local_base_freq")
    rest = {key: value for key, value in data.items() if key not in (*older, "rope_scaling", "rope_local_base_freq")}
    ropes = rest.get("rope_parameters") or {}
    if not isinstance(ropes, dict) or not (older or local):
        return rest
    if older:
        given = {"rope_theta": 1e6} | with_rope_parameters(older)["rope_parameters"]
        ropes = {"full_attention": given, **ropes}
    if local is not None:
        ropes = {"sliding_attention": {"rope_theta": local}, **ropes}
    return {**rest, "rope_parameters": ropes}


class Gemma3Block(nn.Module):
    """One decoder layer; what a half adds to the residual stream is normalised too."""

    def __init__(self, config: Gemma3Config) -> None:
        super().__init__()
        self.input_layernorm = ZeroCentredRMSNorm(config.hidden_size, config.rms_norm_eps)
        self.self_attn = Attention(
            hidden_size=config.hidden_size,
            num_heads=config.num_attention_heads,
            num_kv_heads=config.num_key_value_heads,
            head_dim=config.head_dim,
            qkv_bias=config.attention_bias,
            o_bias=config.attention_bias,
            scale=config.query_pre_attn_scalar**-0.5,
            softcap=config.attn_logit_softcapping,
            q_norm=ZeroCentredRMSNorm(config.head_dim, config.rms_norm_eps),
            k_norm=ZeroCentredRMSNorm(config.head_dim, config.rms_norm_eps),
        )
        self.post_attention_layernorm = ZeroCentredRMSNorm(config.hidden_size, config.rms_norm_eps)
        self.pre_feedforward_layernorm = ZeroCentredRMSNorm(config.hidden_size, config.rms_norm_eps)
        self.mlp = MLP(config.hidden_size, config.intermediate_size, activation=config.hidden_act)
        self.post_feedforward_layernorm = ZeroCentredRMSNorm(config.hidden_size, config.rms_norm_eps)

    def forward(self, x: Tensor, rope: Rope | None, mask: Mask, memory: LayerMemory | None = None) -> Tensor:
        x = x + self.post_attention_layernorm(self.self_attn(self.input_layernorm(x), rope, mask, memory))
        out: Tensor = x + self.post_feedforward_layernorm(self.mlp(self.pre_feedforward_layernorm(x)))
        return out


class Gemma3(Decoder):
    def make_layer(self, config: Gemma3Config, index: int) -> Gemma3Block:  # noqa: ARG002
        return Gemma3Block(config)

    def make_norm(self, config: Gemma3Config) -> ZeroCentredRMSNorm:
        return ZeroCentredRMSNorm(config.hidden_size, config.rms_norm_eps)

    def make_head(self, config: Gemma3Config) -> nn.Linear:
        if config.final_logit_softcapping is None:
            return super().make_head(config)
        return CappedHead(config.hidden_size, config.vocab_size, config.final_logit_softcapping)

    def embed(self, input_ids: Tensor, positions: Tensor) -> Tensor:
        """Scaled by the root of the width, which Hugging Face rounds to fp32 and then to the weights' dtype."""
        x = super().embed(input_ids, positions)
        return x * torch.tensor(self.config.hidden_size**0.5, dtype=torch.float32, device=x.device).to(x.dtype)


FAMILY = Family(
    name="gemma3",
    hf_types=("gemma3_text",),
    heads={"causal-lm": "Gemma3ForCausalLM"},
    reference="gemma3_text",
    abilities=frozenset({Ability.CAUSAL}),
    config=Gemma3Config,
    model=Gemma3,
    proportions={
        "hidden_size": 256,
        "intermediate_size": 704,
        "num_hidden_layers": 6,
        "num_attention_heads": 2,
        "head_dim": 128,
        "query_pre_attn_scalar": 128,
    },
    rules=RULES,
    ignored=IGNORED,
    harmless=frozenset({"attention_dropout", "cache_implementation"}),
)
