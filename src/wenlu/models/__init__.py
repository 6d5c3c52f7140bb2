"""Language models: one file per family, composed from shared layers."""

from wenlu.config import did_you_mean
from wenlu.errors import ConfigError
from wenlu.models import (
    bart,
    bert,
    distilbert,
    gemma3,
    gpt2,
    gru,
    llama,
    lstm,
    marian,
    mistral,
    modernbert,
    mt5,
    phi3,
    qwen2,
    qwen3,
    rnn,
    roberta,
    t5,
)
from wenlu.models.family import Ability, DecodeState, Family, LanguageModel, ModelConfig

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
    rnn.FAMILY,
    lstm.FAMILY,
    gru.FAMILY,
)


def family(name: str) -> Family:
    """The family of that name; raises ConfigError with the nearest known one."""
    for row in FAMILIES:
        if row.name == name:
            return row
    raise ConfigError(f"{name!r} is no model family; {did_you_mean(name, [row.name for row in FAMILIES])}")


__all__ = ["FAMILIES", "Ability", "DecodeState", "Family", "LanguageModel", "ModelConfig", "family"]
