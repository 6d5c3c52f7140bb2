"""Language models and encoders of pictures: one file per family, composed from shared layers."""

from wenlu.config import did_you_mean
from wenlu.errors import ConfigError
from wenlu.models import (
    bart,
    bert,
    clip,
    distilbert,
    gemma3,
    gpt2,
    gru,
    llama,
    lstm,
    lstm_encoder_decoder,
    marian,
    mistral,
    modernbert,
    mt5,
    phi3,
    qwen2,
    qwen3,
    rnn,
    roberta,
    siglip,
    smolvlm,
    t5,
    transformer,
    vit,
)
from wenlu.models.family import Ability, DecodeState, Family, LanguageModel, ModelConfig
from wenlu.models.layers.image_encoder import ImageEncoder, ImageFamily

FAMILIES: tuple[Family, ...] = (
    gpt2.FAMILY,
    llama.FAMILY,
    mistral.FAMILY,
    qwen2.FAMILY,
    qwen3.FAMILY,
    gemma3.FAMILY,
    phi3.FAMILY,
    bert.FAMILY,
    roberta.FAMILY,
    distilbert.FAMILY,
    modernbert.FAMILY,
    t5.FAMILY,
    mt5.FAMILY,
    bart.FAMILY,
    marian.FAMILY,
    transformer.FAMILY,
    lstm_encoder_decoder.FAMILY,
    rnn.FAMILY,
    lstm.FAMILY,
    gru.FAMILY,
    clip.FAMILY,
    siglip.FAMILY,
    smolvlm.FAMILY,
)
"""Of language models."""
IMAGE_FAMILIES: tuple[ImageFamily, ...] = (vit.FAMILY,)
"""Of encoders of pictures alone."""


def family(name: str) -> Family:
    """The family of that name; raises ConfigError with the nearest known one."""
    for row in FAMILIES:
        if row.name == name:
            return row
    raise ConfigError(f"{name!r} is no model family; {did_you_mean(name, [row.name for row in FAMILIES])}")


def family_of(model: LanguageModel) -> Family:
    """The family that built `model`."""
    return next(row for row in FAMILIES if row.model is type(model))


__all__ = [
    "FAMILIES",
    "IMAGE_FAMILIES",
    "Ability",
    "DecodeState",
    "Family",
    "ImageEncoder",
    "ImageFamily",
    "LanguageModel",
    "ModelConfig",
    "family",
    "family_of",
]
