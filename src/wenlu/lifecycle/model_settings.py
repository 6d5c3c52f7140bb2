"""The section `[model]` of a recipe: a family, its settings, and what the program fills in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import ConfigDict, PositiveInt, model_validator

from wenlu.config import Config, check, did_you_mean
from wenlu.errors import ConfigError
from wenlu.models import FAMILIES, Ability, Family, ModelConfig, family
from wenlu.models.sizing import scaled
from wenlu.models.weights.parts import VISION
from wenlu.tasks import CausalLMConfig, TaskConfig


def check_family(name: str, task: TaskConfig | None = None) -> None:
    """Raise ValueError for a name that is no family, or one that the task cannot train."""
    names = [row.name for row in FAMILIES]
    if name not in names:
        raise ValueError(f"family {name!r} is unknown; {did_you_mean(name, names)}")
    if task is None or task.accepts(family(name)):
        return
    able = ", ".join(row.name for row in FAMILIES if task.accepts(row))
    raise ValueError(f"family {name!r} {_reason(family(name), task)}; {task.suits}: {able}")


def _reason(chosen: Family, task: TaskConfig) -> str:
    if not isinstance(task, CausalLMConfig):
        return f"is not made for {task.name}"
    if Ability.ENCODER_DECODER in chosen.abilities:
        return "reads one text and writes another, so it does not continue any"
    return "reads both ways, so it would see the token that it is to predict"


class ModelSettings(Config):
    """A family by name, with any of its own settings beside it.

    The vocabulary comes from the tokenizer and the number of positions from `train.context`; with `parameters`
    the width is chosen to come nearest to that size. With `size = "auto"` width, depth, batch, rate and horizon are
    chosen for the data and for `train.duration` (`auto_size`).
    """

    model_config = ConfigDict(extra="allow")

    family: str = "llama"
    base: str | None = None
    """Begin with this model in place of random weights: a run, a folder, a GGUF file, `package:NAME/path` or a hub id;
    its family, size and tokenizer are taken over."""
    parameters: PositiveInt | None = None
    size: Literal["auto"] | None = None

    @model_validator(mode="after")
    def _known(self) -> Self:
        check_family(self.family)
        known = family(self.family).config.model_fields
        for key in self.model_extra or {}:
            if key not in known:
                raise ValueError(f"{key}: unknown key of {self.family}; {did_you_mean(key, known)}")
        if self.base is not None and (self.parameters is not None or self.size is not None):
            raise ValueError("base has its own size; leave out parameters and size, or base")
        if self.size is not None:
            told = [*(["parameters"] if self.parameters is not None else []), *(self.model_extra or {})]
            if chosen := [key for key in told if key == "parameters" or key in self.chosen().proportions]:
                raise ValueError(f"size = 'auto' chooses {', '.join(chosen)}; remove size, or {chosen[0]}")
        return self

    def chosen(self) -> Family:
        return family(self.family)

    def resolve(
        self, *, vocab_size: int, context: int, end_id: int | None, needed: Mapping[str, Any] | None = None
    ) -> ModelConfig:
        """The family's own config, with the settings that the task has `needed`; raises ConfigError where they do not
        fit together."""
        schema = self.chosen().config
        filled: dict[str, Any] = dict(self.chosen().proportions) if self.parameters is not None else {}
        filled |= {"vocab_size": vocab_size, "max_position_embeddings": context}
        if end_id is not None:
            filled |= {"bos_token_id": end_id, "eos_token_id": end_id, "decoder_start_token_id": end_id}
        filled |= needed or {}
        for key, value in (needed or {}).items():
            if (self.model_extra or {}).get(key, value) != value:
                raise ConfigError(f"model.{key}={self.model_extra[key]!r}: the task needs {value!r}; leave it out")  # type: ignore[index]
        extra = {k: v for k, v in filled.items() if k in schema.model_fields} | (self.model_extra or {})
        if extra["vocab_size"] < vocab_size:
            raise ConfigError(
                f"model.vocab_size={extra['vocab_size']}: the tokenizer has {vocab_size} tokens; leave it out"
            )
        if isinstance(given := extra.get(VISION), dict):  # what it does not say is in proportion to the text's part
            text = check(schema, {key: value for key, value in extra.items() if key != VISION}, where="[model]")
            extra[VISION] = {**text.model_dump()[VISION], **given}
        config = check(schema, extra, where="[model]")
        return scaled(self.chosen(), config, self.parameters) if self.parameters is not None else config

    def with_config(self, config: Mapping[str, Any]) -> Self:
        """The same family with every setting written out."""
        return type(self)(family=self.family, base=self.base, **config)
