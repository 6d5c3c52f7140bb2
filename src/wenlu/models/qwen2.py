"""Qwen2 and Qwen2.5: a Llama with biases on queries, keys and values, whose upper layers may see only a window.

Yang et al. 2024, arXiv:2407.10671; Qwen2.5, arXiv:2412.15115.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Self

from pydantic import Field, model_validator

from wenlu.models.family import Ability, Family, Size
from wenlu.models.layers.attention import Attention
from wenlu.models.layers.decoder import IGNORED, RULES, Block, Decoder, RotaryDecoderConfig, View
from wenlu.models.layers.layer_types import LayerType, check_layer_types
from wenlu.models.layers.mlp import MLP
from wenlu.models.layers.norm import RMSNorm


class Qwen2Config(RotaryDecoderConfig):
    """Keys of Hugging Face's `Qwen2Config`.

    Only with `use_sliding_window` has a layer a window; unless `layer_types` says which, those from
    `max_window_layers` on.
    """

    use_sliding_window: bool = False
    sliding_window: Size | None = 4096
    max_window_layers: int = Field(default=28, ge=0)
    layer_types: tuple[LayerType, ...] = Field(default_factory=lambda known: _layer_types(known))

    @model_validator(mode="after")
    def _layers_fit(self) -> Self:
        window = self.sliding_window if self.use_sliding_window else None
        check_layer_types(self.layer_types, num_layers=self.num_hidden_layers, window=window)
        return self

    def views(self) -> tuple[View, ...]:
        windows = {"full_attention": None, "sliding_attention": self.sliding_window}
        return tuple(View(windows[each], self.rope_parameters) for each in self.layer_types)


def _layer_types(known: dict[str, Any]) -> tuple[LayerType, ...]:
    slides = known["use_sliding_window"] and known["sliding_window"] is not None
    full = known["max_window_layers"] if slides else known["num_hidden_layers"]
    return tuple(
        "full_attention" if index < full else "sliding_attention" for index in range(known["num_hidden_layers"])
    )


class Qwen2(Decoder):
    def make_layer(self, config: Qwen2Config, index: int) -> Block:  # noqa: ARG002
        return Block(
            Attention(
                hidden_size=config.hidden_size,
                num_heads=config.num_attention_heads,
                num_kv_heads=config.num_key_value_heads,
                head_dim=config.head_dim,
                qkv_bias=True,
            ),
            MLP(config.hidden_size, config.intermediate_size, activation=config.hidden_act),
            norm=partial(RMSNorm, config.hidden_size, config.rms_norm_eps),
        )

    def make_norm(self, config: Qwen2Config) -> RMSNorm:
        return RMSNorm(config.hidden_size, config.rms_norm_eps)


FAMILY = Family(
    name="qwen2",
    hf_types=("qwen2",),
    heads={"causal-lm": "Qwen2ForCausalLM"},
    reference="qwen2",
    abilities=frozenset({Ability.CAUSAL}),
    config=Qwen2Config,
    model=Qwen2,
    proportions={
        "hidden_size": 256,
        "intermediate_size": 704,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
    },
    rules=RULES,
    ignored=IGNORED,
    harmless=frozenset({"attention_dropout"}),
)
