"""Qwen3: queries and keys are normalised head by head; the head size is a setting of its own, biases are optional.

Yang et al. 2025, arXiv:2505.09388.
"""

from __future__ import annotations

from functools import partial

from wenlu.models.family import Ability, Family, Size
from wenlu.models.layers.attention import Attention
from wenlu.models.layers.decoder import IGNORED, RULES, Block, Decoder
from wenlu.models.layers.mlp import MLP
from wenlu.models.layers.norm import RMSNorm
from wenlu.models.qwen2 import Qwen2Config


class Qwen3Config(Qwen2Config):
    """Keys of Hugging Face's `Qwen3Config`; layers see as in Qwen2."""

    head_dim: Size = 128
    attention_bias: bool = False


class Qwen3(Decoder):
    def make_layer(self, config: Qwen3Config, index: int) -> Block:  # noqa: ARG002
        return Block(
            Attention(
                hidden_size=config.hidden_size,
                num_heads=config.num_attention_heads,
                num_kv_heads=config.num_key_value_heads,
                head_dim=config.head_dim,
                qkv_bias=config.attention_bias,
                o_bias=config.attention_bias,
                q_norm=RMSNorm(config.head_dim, config.rms_norm_eps),
                k_norm=RMSNorm(config.head_dim, config.rms_norm_eps),
            ),
            MLP(config.hidden_size, config.intermediate_size, activation=config.hidden_act),
            norm=partial(RMSNorm, config.hidden_size, config.rms_norm_eps),
        )

    def make_norm(self, config: Qwen3Config) -> RMSNorm:
        return RMSNorm(config.hidden_size, config.rms_norm_eps)


FAMILY = Family(
    name="qwen3",
    hf_types=("qwen3",),
    heads={"causal-lm": "Qwen3ForCausalLM"},
    reference="qwen3",
    abilities=frozenset({Ability.CAUSAL}),
    config=Qwen3Config,
    model=Qwen3,
    proportions={
        "hidden_size": 256,
        "intermediate_size": 704,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "head_dim": 64,
    },
    rules=RULES,
    ignored=IGNORED,
    harmless=frozenset({"attention_dropout"}),
)
