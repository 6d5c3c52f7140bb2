"""BART: an encoder–decoder with learned positions, pretrained to undo noise.

Lewis et al. 2020, arXiv:1910.13461.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor, nn

from wenlu.models.family import Ability, Family
from wenlu.models.layers.encoder_decoder import GENERATION_KEYS
from wenlu.models.layers.post_norm_encoder_decoder import PostNormEncoderDecoder, PostNormEncoderDecoderConfig
from wenlu.models.weights.bart import IGNORED, LAYERS
from wenlu.models.weights.rules import Duplicate, Rename, Tie, When

OFFSET = 2
"""Rows of the table of positions that stand before the first one's, once meant for padding."""


class BartConfig(PostNormEncoderDecoderConfig):
    """Keys of Hugging Face's `BartConfig`."""

    fixed: ClassVar[Mapping[str, object]] = {
        "add_final_layer_norm": False,
        "extra_pos_embeddings": OFFSET,
        "normalize_before": False,
        "normalize_embedding": True,
        "static_position_embeddings": False,
    }

    bos_token_id: int | None = 0
    pad_token_id: int | None = 1
    eos_token_id: int | list[int] | None = 2
    decoder_start_token_id: int | None = 2


class Bart(PostNormEncoderDecoder):
    """Its head has a bias, which transformers keeps as `final_logits_bias` and does not train."""

    config: BartConfig

    def __init__(self, config: BartConfig) -> None:
        super().__init__(config, head_bias=True, embed_norm=True)
        self.embed_positions = nn.Embedding(config.max_position_embeddings + OFFSET, config.hidden_size)
        self.decoder_embed_positions = nn.Embedding(config.max_position_embeddings + OFFSET, config.hidden_size)
        for table in (self.embed_positions, self.decoder_embed_positions):
            nn.init.normal_(table.weight, std=config.initializer_range)

    def source_positions(self, positions: Tensor) -> Tensor:
        out: Tensor = self.embed_positions(positions + OFFSET)
        return out

    def target_positions(self, positions: Tensor) -> Tensor:
        out: Tensor = self.decoder_embed_positions(positions + OFFSET)
        return out


def _tied(config: BartConfig) -> bool:
    return config.tie_word_embeddings


def _untied(config: BartConfig) -> bool:
    return not config.tie_word_embeddings


FAMILY = Family(
    name="bart",
    hf_types=("bart",),
    heads={"seq2seq-lm": "BartForConditionalGeneration"},
    reference="bart",
    abilities=frozenset({Ability.ENCODER_DECODER}),
    config=BartConfig,
    model=Bart,
    proportions={"hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 3, "num_attention_heads": 4},
    rules=(
        *LAYERS,
        Duplicate("model.encoder.embed_tokens.weight", "model.shared.weight", written=_untied),
        Duplicate("model.decoder.embed_tokens.weight", "model.shared.weight", written=_untied),
        When(_tied, Duplicate("lm_head.weight", "model.shared.weight")),
        Rename("model.shared.weight", "embed_tokens.weight"),
        Rename("model.encoder.embed_positions.weight", "embed_positions.weight"),
        Rename("model.decoder.embed_positions.weight", "decoder_embed_positions.weight"),
        Rename("model.{stack}.layernorm_embedding.{kind}", "{stack}.embed_norm.{kind}"),
        Tie("lm_head.weight", "embed_tokens.weight", when="tie_word_embeddings"),
    ),
    ignored=IGNORED,
    harmless=GENERATION_KEYS
    | {
        "add_bias_logits",
        "classif_dropout",
        "classifier_dropout",
        "decoder_layerdrop",
        "encoder_layerdrop",
        "force_bos_token_to_be_generated",
        "gradient_checkpointing",
        "is_decoder",
        "unk_token_id",
    },
)
