"""T5: an encoder–decoder that knows only relative positions, with norms before each part and no biases.

Raffel et al. 2020, arXiv:1910.10683; version 1.1 and FLAN (Chung et al. 2022, arXiv:2210.11416) have a gated
feed-forward and a head of their own.
"""

from __future__ import annotations

from typing import Any

from pydantic import model_validator

from wenlu.models.family import Ability, Family
from wenlu.models.layers.encoder_decoder import GENERATION_KEYS
from wenlu.models.layers.relative_encoder_decoder import RelativeConfig, RelativeEncoderDecoder
from wenlu.models.weights.rules import Duplicate, OwnCopy, Rename, Rule, Tie, When


class T5Config(RelativeConfig):
    tie_word_embeddings: bool = True
    """A tied head reads hidden states divided by √hidden_size; an untied one does not."""

    @model_validator(mode="before")
    @classmethod
    def _newer_spelling(cls, data: Any) -> Any:
        """What was `tie_word_embeddings` transformers 5 writes as `scale_decoder_outputs`, beside an empty true."""
        if not isinstance(data, dict) or "scale_decoder_outputs" not in data:
            return data
        rest = {key: value for key, value in data.items() if key != "scale_decoder_outputs"}
        return rest | {"tie_word_embeddings": data["scale_decoder_outputs"]}

    @property
    def head_scale(self) -> float:
        return self.hidden_size**-0.5 if self.tie_word_embeddings else 1.0

    @property
    def has_tied_head(self) -> bool:
        return self.tie_word_embeddings


class T5(RelativeEncoderDecoder):
    config: T5Config


def _tied(config: T5Config) -> bool:
    return config.tie_word_embeddings


def _gated(config: RelativeConfig) -> bool:
    return config.is_gated


def _plain(config: RelativeConfig) -> bool:
    return not config.is_gated


def _stack_rules(stack: str, sublayers: tuple[tuple[str, str, str], ...]) -> tuple[Rule, ...]:
    """Each of `sublayers`: its name in the checkpoint, ours, and that of the norm before it."""
    theirs, ours = f"{stack}.block.{{i}}.layer", f"{stack}.layers.{{i}}"
    first = f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
    rules: list[Rule] = [Rename(first, f"{stack}.relative_bias.weight")]
    for index, (name, part, norm) in enumerate(sublayers):
        rules.append(Rename(f"{theirs}.{index}.layer_norm.weight", f"{ours}.{norm}.weight"))
        place = f"{theirs}.{index}.{name}"
        if part == "mlp":
            rules += (
                When(_plain, Rename(f"{place}.wi.weight", f"{ours}.mlp.up_proj.weight")),
                When(_gated, Rename(f"{place}.wi_0.weight", f"{ours}.mlp.gate_proj.weight")),
                When(_gated, Rename(f"{place}.wi_1.weight", f"{ours}.mlp.up_proj.weight")),
                Rename(f"{place}.wo.weight", f"{ours}.mlp.down_proj.weight"),
            )
        else:
            rules += (Rename(f"{place}.{each}.weight", f"{ours}.{part}.{each}_proj.weight") for each in "qkvo")
    return (*rules, Rename(f"{stack}.final_layer_norm.weight", f"{stack}.norm.weight"))


_ATTENTION = ("SelfAttention", "self_attn", "input_layernorm")
_CROSS_ATTENTION = ("EncDecAttention", "cross_attn", "cross_attn_layernorm")
_FEED_FORWARD = ("DenseReluDense", "mlp", "post_attention_layernorm")

RULES: tuple[Rule, ...] = (
    Duplicate("encoder.embed_tokens.weight", "shared.weight"),
    Duplicate("decoder.embed_tokens.weight", "shared.weight"),
    Rename("shared.weight", "embed_tokens.weight"),
    *_stack_rules("encoder", (_ATTENTION, _FEED_FORWARD)),
    *_stack_rules("decoder", (_ATTENTION, _CROSS_ATTENTION, _FEED_FORWARD)),
)

IGNORED = ("decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight",)
"""The first checkpoints hold it; the attention over the source knows no positions."""

HARMLESS = GENERATION_KEYS | {"classifier_dropout", "is_decoder", "n_positions", "output_past"}

PROPORTIONS = {"hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 4, "num_attention_heads": 4}

FAMILY = Family(
    name="t5",
    hf_types=("t5",),
    heads={"seq2seq-lm": "T5ForConditionalGeneration"},
    reference="t5",
    abilities=frozenset({Ability.ENCODER_DECODER}),
    config=T5Config,
    model=T5,
    proportions=PROPORTIONS,
    rules=(
        When(_tied, Duplicate("lm_head.weight", "shared.weight")),
        *RULES,
        Tie("lm_head.weight", "embed_tokens.weight", when="tie_word_embeddings"),
        OwnCopy("lm_head.weight", "embed_tokens.weight"),
    ),
    ignored=IGNORED,
    harmless=HARMLESS,
)
