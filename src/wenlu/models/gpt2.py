"""GPT-2: learned positions, layer normalisation, biases everywhere, a plain feed-forward.

Radford et al. 2019, "Language Models are Unsupervised Multitask Learners".
"""

from __future__ import annotations

from functools import partial
from typing import Literal

from pydantic import Field, PositiveFloat
from torch import Tensor, nn

from wenlu.models.family import Ability, Family, Size
from wenlu.models.layers.attention import Attention
from wenlu.models.layers.decoder import Block, Decoder, DecoderConfig, View
from wenlu.models.layers.mlp import Activation, PlainMLP
from wenlu.models.layers.norm import LayerNorm
from wenlu.models.weights.rules import Formerly, Rename, Split, Tie, Transpose


class GPT2Config(DecoderConfig):
    """Keys of Hugging Face's `GPT2Config`, under the names of `LlamaConfig`."""

    may_be_null = frozenset({"n_inner"})

    hidden_size: Size = Field(alias="n_embd")
    intermediate_size: Size = Field(default_factory=lambda known: 4 * known["hidden_size"], alias="n_inner")
    num_hidden_layers: int = Field(ge=1, le=1000, alias="n_layer")
    num_attention_heads: Size = Field(alias="n_head")
    max_position_embeddings: Size = Field(default=1024, alias="n_positions")
    hidden_act: Activation = Field(default="gelu_new", alias="activation_function")
    layer_norm_eps: PositiveFloat = Field(default=1e-5, alias="layer_norm_epsilon")
    scale_attn_weights: bool = True
    """Divide scores by √head size."""
    scale_attn_by_inverse_layer_idx: bool = False
    """Divide those of the i-th layer by i too."""
    add_cross_attention: Literal[False] = False
    tie_word_embeddings: bool = True

    def key_heads(self) -> tuple[int, int]:
        return self.num_attention_heads, self.hidden_size // self.num_attention_heads

    def views(self) -> tuple[View, ...]:
        return (View(),) * self.num_hidden_layers


class GPT2(Decoder):
    def __init__(self, config: GPT2Config) -> None:
        super().__init__(config)
        self.embed_positions = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        nn.init.normal_(self.embed_positions.weight, std=config.initializer_range)

    def make_layer(self, config: GPT2Config, index: int) -> Block:
        num_heads, head_dim = config.key_heads()
        scale = head_dim**-0.5 if config.scale_attn_weights else 1.0
        return Block(
            Attention(
                hidden_size=config.hidden_size,
                num_heads=num_heads,
                num_kv_heads=num_heads,
                head_dim=head_dim,
                qkv_bias=True,
                o_bias=True,
                scale=scale / (index + 1) if config.scale_attn_by_inverse_layer_idx else scale,
            ),
            PlainMLP(config.hidden_size, config.intermediate_size, activation=config.hidden_act),
            norm=partial(LayerNorm, config.hidden_size, config.layer_norm_eps),
        )

    def make_norm(self, config: GPT2Config) -> LayerNorm:
        return LayerNorm(config.hidden_size, config.layer_norm_eps)

    def embed(self, input_ids: Tensor, positions: Tensor) -> Tensor:
        out: Tensor = self.embed_tokens(input_ids) + self.embed_positions(positions)
        return out


_LAYER = "transformer.h.{layer}."
_OURS = "layers.{layer}."

FAMILY = Family(
    name="gpt2",
    hf_types=("gpt2",),
    heads={"causal-lm": "GPT2LMHeadModel"},
    reference="gpt2",
    abilities=frozenset({Ability.CAUSAL}),
    config=GPT2Config,
    model=GPT2,
    proportions={
        "hidden_size": 256,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
    },
    rules=(
        *(Formerly(f"{part}.{{rest}}", f"transformer.{part}.{{rest}}") for part in ("wte", "wpe", "h", "ln_f")),
        Transpose(_LAYER + "{block}.{name}.weight"),
        Split(
            _LAYER + "attn.c_attn.{kind}",
            tuple(f"{_OURS}self_attn.{name}_proj.{{kind}}" for name in ("q", "k", "v")),
        ),
        Rename(_LAYER + "attn.c_proj.{rest}", _OURS + "self_attn.o_proj.{rest}"),
        Rename(_LAYER + "mlp.c_fc.{rest}", _OURS + "mlp.up_proj.{rest}"),
        Rename(_LAYER + "mlp.c_proj.{rest}", _OURS + "mlp.down_proj.{rest}"),
        Rename(_LAYER + "ln_1.{rest}", _OURS + "input_layernorm.{rest}"),
        Rename(_LAYER + "ln_2.{rest}", _OURS + "post_attention_layernorm.{rest}"),
        Rename("transformer.wte.{rest}", "embed_tokens.{rest}"),
        Rename("transformer.wpe.{rest}", "embed_positions.{rest}"),
        Rename("transformer.ln_f.{rest}", "norm.{rest}"),
        Tie("lm_head.weight", "embed_tokens.weight", when="tie_word_embeddings"),
    ),
    ignored=tuple(
        f"{prefix}h.{{layer}}.attn.{name}" for prefix in ("", "transformer.") for name in ("bias", "masked_bias")
    ),
    harmless=frozenset(
        {
            "attn_pdrop",
            "embd_pdrop",
            "n_ctx",
            "reorder_and_upcast_attn",
            "resid_pdrop",
            "summary_activation",
            "summary_first_dropout",
            "summary_proj_to_labels",
            "summary_type",
            "summary_use_proj",
            "task_specific_params",
        }
    ),
)
