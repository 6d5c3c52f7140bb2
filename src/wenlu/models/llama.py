"""Llama: a decoder with rotary positions, RMS normalisation, grouped queries and a gated feed-forward.

Touvron et al. 2023, arXiv:2302.13971; Llama 2, arXiv:2307.09288; Llama 3, arXiv:2407.21783. SmolLM and TinyLlama are
Llamas too.
"""

from __future__ import annotations

from functools import partial

from wenlu.models.family import Ability, Family
from wenlu.models.layers.attention import Attention
from wenlu.models.layers.decoder import IGNORED, RULES, Block, Decoder, RotaryDecoderConfig
from wenlu.models.layers.mlp import MLP
from wenlu.models.layers.norm import RMSNorm


class LlamaConfig(RotaryDecoderConfig):
    """Keys of Hugging Face's `LlamaConfig`."""

    attention_bias: bool = False
    mlp_bias: bool = False


class Llama(Decoder):
    def make_layer(self, config: LlamaConfig, index: int) -> Block:  # noqa: ARG002
        return Block(
            Attention(
                hidden_size=config.hidden_size,
                num_heads=config.num_attention_heads,
                num_kv_heads=config.num_key_value_heads,
                head_dim=config.head_dim,
                qkv_bias=config.attention_bias,
                o_bias=config.attention_bias,
            ),
            MLP(config.hidden_size, config.intermediate_size, activation=config.hidden_act, bias=config.mlp_bias),
            norm=partial(RMSNorm, config.hidden_size, config.rms_norm_eps),
        )

    def make_norm(self, config: LlamaConfig) -> RMSNorm:
        return RMSNorm(config.hidden_size, config.rms_norm_eps)


FAMILY = Family(
    name="llama",
    hf_types=("llama",),
    heads={"causal-lm": "LlamaForCausalLM"},
    reference="llama",
    abilities=frozenset({Ability.CAUSAL}),
    config=LlamaConfig,
    model=Llama,
    proportions={
        "hidden_size": 256,
        "intermediate_size": 704,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
    },
    rules=RULES,
    ignored=IGNORED,
    harmless=frozenset({"pretraining_tp", "attention_dropout"}),
)
