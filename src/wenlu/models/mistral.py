"""Mistral: a Llama whose layers see a window of the last tokens.

Jiang et al. 2023, arXiv:2310.06825.
"""

from __future__ import annotations

from functools import partial

from wenlu.models.family import Ability, Family, Size
from wenlu.models.layers.attention import Attention
from wenlu.models.layers.decoder import IGNORED, RULES, Block, Decoder, RotaryDecoderConfig, View
from wenlu.models.layers.mlp import MLP
from wenlu.models.layers.norm import RMSNorm


class MistralConfig(RotaryDecoderConfig):
    """Keys of Hugging Face's `MistralConfig`; without a `sliding_window` every layer sees all."""

    sliding_window: Size | None = 4096

    def views(self) -> tuple[View, ...]:
        return (View(self.sliding_window, self.rope_parameters),) * self.num_hidden_layers


class Mistral(Decoder):
    def make_layer(self, config: MistralConfig, index: int) -> Block:  # noqa: ARG002
        return Block(
            Attention(
                hidden_size=config.hidden_size,
                num_heads=config.num_attention_heads,
                num_kv_heads=config.num_key_value_heads,
                head_dim=config.head_dim,
            ),
            MLP(config.hidden_size, config.intermediate_size, activation=config.hidden_act),
            norm=partial(RMSNorm, config.hidden_size, config.rms_norm_eps),
        )

    def make_norm(self, config: MistralConfig) -> RMSNorm:
        return RMSNorm(config.hidden_size, config.rms_norm_eps)


FAMILY = Family(
    name="mistral",
    hf_types=("mistral",),
    heads={"causal-lm": "MistralForCausalLM"},
    reference="mistral",
    abilities=frozenset({Ability.CAUSAL}),
    config=MistralConfig,
    model=Mistral,
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
