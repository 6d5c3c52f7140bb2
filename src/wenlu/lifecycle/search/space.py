"""From a space of settings to the settings of one trial."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomli_w

from wenlu.config import check, override, read_toml
from wenlu.config.load import Settings
from wenlu.errors import ConfigError
from wenlu.lifecycle.recipe import Recipe
from wenlu.lifecycle.search.settings import Range, Searched, TuneConfig

if TYPE_CHECKING:
    from optuna.trial import Trial

SECTION = "tune"


def read_settings(path: Path, overrides: Sequence[str]) -> tuple[Settings, TuneConfig]:
    """The settings of a recipe without its section `[tune]`, and that section; both are checked, and so is each end of
    each range.

    Raises ConfigError.
    """
    settings = override(read_toml(path), overrides)
    recipe = check(Recipe, settings, where=str(path))
    if recipe.tune is None or not recipe.tune.space:
        raise ConfigError(
            f"{path}: nothing to search; say what in [tune.space], "
            'for example "optimizer.lr" = {low = 1e-5, high = 1e-3, log = true}'
        )
    del settings[SECTION]
    for key, searched in recipe.tune.space.items():
        for value in (searched.low, searched.high) if isinstance(searched, Range) else searched:
            where = f"{path}: tune.space: {key} = {told(value)}"
            if key.partition(".")[0] == SECTION:
                raise ConfigError(f"{where}: is of the search itself, and no setting of a trial")
            check(Recipe, with_values(settings, {key: value}), where=where)
    return settings, recipe.tune


def with_values(settings: Settings, values: Mapping[str, Any]) -> Settings:
    """The settings with some of them set; raises ConfigError for a key that goes deeper than settings do."""
    return override(settings, [f"{key}={told(value)}" for key, value in values.items()])


def told(value: Any) -> str:
    """A value as TOML writes it, in one line."""
    match value:
        case dict():
            return "{" + ", ".join(f"{json.dumps(key)} = {told(item)}" for key, item in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(told(item) for item in value) + "]"
        case _:
            return tomli_w.dumps({"": value}).partition("=")[2].strip()


def suggested(trial: Trial, key: str, searched: Searched) -> None:
    """Let the trial's sampler choose a value, unless it has one."""
    if isinstance(searched, Range):
        draw: Any = trial.suggest_int if searched.is_whole else trial.suggest_float
        step = {} if searched.step is None else {"step": searched.step}
        draw(key, searched.low, searched.high, log=searched.log, **step)
    else:
        trial.suggest_categorical(key, [json.dumps(value) for value in searched])


def values_of(params: Mapping[str, Any], space: Mapping[str, Searched]) -> dict[str, Any]:
    """What a trial's parameters mean as settings, in the order of the space."""
    return {
        key: params[key] if isinstance(searched, Range) else json.loads(params[key])
        for key, searched in space.items()
        if key in params
    }
