"""Marian: the encoder–decoder of the OPUS-MT translation models, with sinusoidal positions.

Junczys-Dowmunt et al. 2018, arXiv:1804.00344; Tiedemann & Thottingal 2020, "OPUS-MT".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Self

from pydantic import Field, model_validator
from torch import Tensor

from wenlu.models.family import Ability, Family, Size
from wenlu.models.layers.encoder_decoder import GENERATION_KEYS
from wenlu.models.layers.post_norm_encoder_decoder import PostNormEncoderDecoder, PostNormEncoderDecoderConfig
from wenlu.models.layers.sinusoids import sinusoids
from wenlu.models.weights.bart import IGNORED, LAYERS
from wenlu.models.weights.rules import Duplicate, Rename, Tie, When


class MarianConfig(PostNormEncoderDecoderConfig):
    """Keys of Hugging Face's `MarianConfig`; every target begins with the padding token."""

    may_be_null = frozenset({"decoder_vocab_size"})
    fixed: ClassVar[Mapping[str, object]] = {
        "add_final_layer_norm": False,
        "normalize_before": False,
        "normalize_embedding": False,
        "static_position_embeddings": True,
    }

    share_encoder_decoder_embeddings: bool = True
    decoder_vocab_size: Size = Field(default_factory=lambda known: known["vocab_size"])
    """Of the target, where it has an embedding of its own."""
    eos_token_id: int | list[int] | None = 0
    pad_token_id: int | None = Field(default_factory=lambda known: known["vocab_size"] - 1)
    decoder_start_token_id: int | None = Field(default_factory=lambda known: known["pad_token_id"])

    @model_validator(mode="after")
    def _one_vocabulary_if_shared(self) -> Self:
        if self.share_encoder_decoder_embeddings and self.decoder_vocab_size != self.vocab_size:
            raise ValueError(
                f"decoder_vocab_size {self.decoder_vocab_size} differs from vocab_size {self.vocab_size}; "
                f"set share_encoder_decoder_embeddings=false"
            )
        return self

    @property
    def target_vocab_size(self) -> int:
        return self.decoder_vocab_size


class Marian(PostNormEncoderDecoder):
    """Its head has a bias, which transformers keeps as `final_logits_bias` and does not train."""

    config: MarianConfig

    def __init__(self, config: MarianConfig) -> None:
        super().__init__(config, head_bias=True, shared=config.share_encoder_decoder_embeddings)

    def source_positions(self, positions: Tensor) -> Tensor:
        return sinusoids(positions, self.config.hidden_size, self.embed_tokens.weight.dtype)

    target_positions = source_positions


def _shared(config: MarianConfig) -> bool:
    return config.share_encoder_decoder_embeddings


def _separate(config: MarianConfig) -> bool:
    return not _shared(config)


def _shared_and_tied(config: MarianConfig) -> bool:
    return _shared(config) and config.tie_word_embeddings


def _shared_and_untied(config: MarianConfig) -> bool:
    return _shared(config) and not config.tie_word_embeddings


_SOURCE, _TARGET = "model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight"

FAMILY = Family(
    name="marian",
    hf_types=("marian",),
    heads={"seq2seq-lm": "MarianMTModel"},
    reference="marian",
    abilities=frozenset({Ability.ENCODER_DECODER}),
    config=MarianConfig,
    model=Marian,
    proportions={"hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 3, "num_attention_heads": 4},
    rules=(
        *LAYERS,
        When(_shared, Duplicate(_SOURCE, "model.shared.weight", written=_shared_and_untied)),
        When(_shared, Duplicate(_TARGET, "model.shared.weight", written=_shared_and_untied)),
        When(_shared_and_tied, Duplicate("lm_head.weight", "model.shared.weight")),
        When(_shared, Rename("model.shared.weight", "embed_tokens.weight")),
        When(_shared, Tie("lm_head.weight", "embed_tokens.weight", when="tie_word_embeddings")),
        When(_separate, Rename(_SOURCE, "embed_tokens.weight")),
        When(_separate, Rename(_TARGET, "decoder_embed_tokens.weight")),
        When(_separate, Tie("lm_head.weight", "decoder_embed_tokens.weight", when="tie_word_embeddings")),
    ),
    ignored=(*IGNORED, "model.encoder.embed_positions.weight", "model.decoder.embed_positions.weight"),
    harmless=GENERATION_KEYS
    | {
        "add_bias_logits",
        "classif_dropout",
        "classifier_dropout",
        "decoder_layerdrop",
        "encoder_layerdrop",
        "extra_pos_embeddings",
        "gradient_checkpointing",
        "is_decoder",
    },
)
