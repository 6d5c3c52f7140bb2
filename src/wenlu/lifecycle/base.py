"""A recipe that begins with a model that is there already: `model.base`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from wenlu.bundle import GGUF, load, model_path
from wenlu.config import check
from wenlu.corpus.source import SourceSpec
from wenlu.errors import ConfigError, WeightsError
from wenlu.lifecycle.inputs import inputs_fingerprint
from wenlu.lifecycle.model_settings import ModelSettings, check_family
from wenlu.lifecycle.recipe import Recipe
from wenlu.models import Family, LanguageModel, ModelConfig, family_of
from wenlu.models.adapters import merged_model
from wenlu.models.layers.encoder import CLASSIFYING
from wenlu.models.weights import read_config
from wenlu.models.weights.gguf import load_gguf
from wenlu.tasks import ReadingTask, Task
from wenlu.tasks.labelled.classes import CLASSIFIER
from wenlu.tasks.labelled.reading import ReadingConfig
from wenlu.tokenizers import Tokenizer, spelt

_LAYER = re.compile(r"((?:.*\.)?layers\.)(\d+)(\..*)")
_BARE = {"head": "none", "has_pooler": False}


def with_base(recipe: Recipe) -> Recipe:
    """The recipe with the family of its base, which is fetched where it is not here.

    Raises:
        ConfigError: the task cannot train that family, or the settings are not of it.
        WeightsError, UsageError, ResourceError: as `load`.
    """
    base = recipe.model.base
    if base is None:
        return recipe
    family, config = _read(base)
    try:
        check_family(family.name, recipe.task)
    except ValueError as error:
        raise ConfigError(f"model.base={base!r}: {error}") from error
    own = recipe.model.model_extra or {}
    for key in own:
        if key in family.proportions:
            raise ConfigError(f"model.{key}: the base has its own size; leave it out, or leave out model.base")
    longest = config.context
    if longest is not None and recipe.train.context > longest:
        raise ConfigError(f"train.context={recipe.train.context}: {base} reads at most {longest} tokens at once")
    settings = {"base": base, "family": family.name, **own}
    return recipe.model_copy(update={"model": check(ModelSettings, settings, where="[model]")})


def base_config(recipe: Recipe, tokens: int) -> ModelConfig:
    """The settings of the base, with those that the recipe and its task want otherwise, and with room for so many
    tokens; raises ConfigError."""
    base = recipe.model.base
    assert base is not None, "only a recipe with a base is asked"
    family, config = _read(base)
    known = type(config).model_fields
    needed = {key: value for key, value in recipe.task.model_settings.items() if key in known}
    begun: dict[str, Any] = config.model_dump()
    if begun.get("head") in CLASSIFYING and "head" not in needed:  # the task's own head stands in its place
        needed = {**needed, **{key: value for key, value in _BARE.items() if key in known}}
    settings = {**begun, **(recipe.model.model_extra or {}), **needed}
    settings["vocab_size"] = max(config.vocab_size, tokens)
    if (layers := _kept_layers(recipe, settings.get("num_hidden_layers", 0))) is not None:
        settings["num_hidden_layers"] = len(layers)
        if "layer_types" in settings:
            settings["layer_types"] = [settings["layer_types"][layer] for layer in layers]
    if "head" in needed and "id2label" not in needed:
        settings = {key: value for key, value in settings.items() if key not in ("id2label", "label2id")}
    return check(family.config, settings, where=f"[model] on {base}")


def begin_with_base(recipe: Recipe, model: LanguageModel, tokenizer: Tokenizer) -> tuple[str, ...]:
    """Copy the base's weights into a model of `base_config`; raises WeightsError where one is missing.

    A token that the base does not know begins as the mean of those that spelt it before, where its tokenizer was
    extended, else as the mean of all that it knows.

    Returns:
        The names of weights that are not the base's, or not all of them.
    """
    base = recipe.model.base
    assert base is not None, "only a recipe with a base is asked"
    bundle = load(base)
    before = merged_model(bundle.model)
    found, known = before.state_dict(), before.config.vocab_size
    layers = _kept_layers(recipe, getattr(before.config, "num_hidden_layers", 0))
    if layers is not None:
        found = _renumbered(found, layers)
    own = model.state_dict()
    new = own.keys() - found.keys()
    if isinstance(recipe.task, ReadingConfig) and recipe.task.is_own:
        own = {name: tensor for name, tensor in own.items() if name in found or not _is_of_class(name)}
        own = {name: tensor for name, tensor in own.items() if name not in CLASSIFIER}
    missing = [name for name in own if name not in found]
    if missing:
        raise WeightsError(f"{base}: has no weights for {', '.join(missing[:5])}, which {recipe.task.name} needs")
    for name, tensor in own.items():
        there = found[name]
        if known < model.config.vocab_size and tensor.shape[:1] == (model.config.vocab_size,):
            tensor[:known].copy_(there)
            tensor[known:].copy_(there.float().mean(dim=0))
            new = new | {name}
        else:
            tensor.copy_(there)
        if recipe.tokenizer.extend_by is not None and tensor.shape[:1] == (model.config.vocab_size,):
            for token, pieces in spelt(tokenizer, bundle.tokenizer).items():
                tensor[token].copy_(there[pieces].float().mean(dim=0))
    return tuple(sorted(new))


def _kept_layers(recipe: Recipe, count: int) -> tuple[int, ...] | None:
    """Which of the base's layers a student begins with; None for all. Raises ConfigError."""
    if recipe.distill is None or recipe.distill.layers is None:
        return None
    if not count:
        raise ConfigError(f"distill.layers: {recipe.model.base} has no stack of layers to choose from; leave it out")
    try:
        return recipe.distill.kept_layers(count)
    except ValueError as error:
        raise ConfigError(f"distill.{error}") from error


def _renumbered(weights: Mapping[str, Tensor], layers: Sequence[int]) -> dict[str, Tensor]:
    """The weights with these layers alone, numbered anew."""
    found = {}
    for name, tensor in weights.items():
        match = _LAYER.match(name)
        if match is None:
            found[name] = tensor
            continue
        for number, layer in enumerate(layers):
            if int(match[2]) == layer:
                found[f"{match[1]}{number}{match[3]}"] = tensor
    return found


def begin_head_with_base(recipe: Recipe, task: Task, trained: LanguageModel) -> None:
    """Copy the head of a base that was trained for the same task, with the same labels."""
    if recipe.model.base is not None and isinstance(task, ReadingTask):
        base = load(recipe.model.base)
        if base.task is not None:
            task.begin_with(base.task, base.model, trained)


def _is_of_class(name: str) -> bool:
    """Whether a class of the family reads hidden states through the weight; where the base has none, it is new."""
    return name.partition(".")[0] in ("pooler", "transform", "classifier")


def base_fingerprint(recipe: Recipe) -> list[str]:
    """What the keys of stages say of the base."""
    if recipe.model.base is None:
        return []
    return [_fingerprint(recipe.model.base)]


def tokenizer_source(recipe: Recipe) -> str | None:
    """The model whose tokenizer is taken over: the base, else the teacher, whose tokens the student has to have."""
    if recipe.model.base is None and recipe.distill is not None:
        return recipe.distill.teacher
    return recipe.model.base


def teacher_fingerprint(recipe: Recipe) -> list[str]:
    """What the keys of stages say of the teacher."""
    return [] if recipe.distill is None else [_fingerprint(recipe.distill.teacher)]


def _fingerprint(model: str) -> str:
    return inputs_fingerprint([SourceSpec(path=str(model_path(model)))])


def _read(base: str) -> tuple[Family, ModelConfig]:
    path: Path = model_path(base)
    if path.suffix.lower() == GGUF:
        _, model, _ = load_gguf(path)
        return family_of(model), model.config
    return read_config(path)
