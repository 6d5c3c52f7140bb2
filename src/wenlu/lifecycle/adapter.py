"""A recipe that learns an adapter beside its base: `[adapter]`."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from wenlu.bundle import load
from wenlu.errors import ConfigError, UsageError
from wenlu.lifecycle.recipe import Recipe
from wenlu.models import LanguageModel
from wenlu.models.adapters import BaseFacts, attach, chosen, draw, freeze_base, keep_in_bits, merged_model
from wenlu.models.weights.digest import weights_digest
from wenlu.tasks import Task
from wenlu.tasks.labelled import Headed
from wenlu.tasks.labelled.classes import CLASSIFIER


def adapt(recipe: Recipe, model: LanguageModel, new: Collection[str]) -> None:
    """Freeze the base that `model` has become and put new adapters beside its linear maps, in place, where the recipe
    says so; weights that are `new`, which the base does not have, are trained whole.

    Raises:
        ConfigError: a name in `[adapter]` that the model has not.
    """
    config = recipe.adapter
    if config is None:
        return
    places = [place for place in chosen(model, config.targets) if f"{place}.weight" not in new]
    whole = {name for name, _ in model.named_parameters() if any(_has(name, part) for part in config.also_train)}
    keep_in_bits(model, config.base_bits, {*new, *whole})
    attach(model, draw(model, places, config.form))
    freeze_base(model)
    weights = dict(model.named_parameters())
    for part in config.also_train:
        if not any(_has(name, part) for name in whole):
            parts = sorted({name.partition(".")[0] for name in weights})
            raise ConfigError(
                f"adapter.also_train: no weight has {part!r} in its name; parts of this model: {', '.join(parts)}"
            )
    for name, weight in weights.items():
        if name in new or name in whole:
            weight.requires_grad_(True)


def check_processes(recipe: Recipe, processes: int) -> None:
    """Raise UsageError where no process would hold the whole base."""
    if recipe.adapter is not None and recipe.distributed.cuts(processes):
        raise UsageError(
            'adapter: each process holds the whole base; set distributed.parallel="ddp" and tensor_parallel=1'
        )


def trained_whole(task: Task, model: LanguageModel) -> tuple[str, ...]:
    """Names, in the model that is saved, of what was trained of it beside the adapter."""
    body = model.body if isinstance(model, Headed) else model
    names = [name for name, weight in body.named_parameters() if weight.requires_grad and ".lora_" not in name]
    has_class = getattr(task.kept(model), "classifier", None) is not None
    return (*names, *(CLASSIFIER if has_class else ()))


def facts_of_base(recipe: Recipe) -> BaseFacts | None:
    """What the adapter's folder says of its base; None where a whole model was trained."""
    base = recipe.model.base
    if recipe.adapter is None or base is None:
        return None
    named = str(Path(base).expanduser().resolve()) if Path(base).expanduser().exists() else base
    return BaseFacts(named, weights_digest(merged_model(load(base).model)), recipe.adapter.base_bits)


def _has(name: str, part: str) -> bool:
    return f".{part}." in f".{name}."
