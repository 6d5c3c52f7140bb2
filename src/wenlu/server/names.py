"""What models are called in requests, from how they are given: `[NAME=]MODEL`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePath

from wenlu.errors import UsageError
from wenlu.server.settings import ServeConfig

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}(/[A-Za-z0-9][A-Za-z0-9._-]{0,95})*")
_SETTING = re.compile(r"[a-z_]+\.[a-z_]+")
_PACKAGE = "package:"
_INSIDE = ("model", "models", ".", "")
"""Folders whose name says nothing: the model of a run is in `RUN/model`."""


def models_and_settings(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Which arguments say a model, and which a setting: KEY=VALUE whose key has a section, or is one of ServeConfig."""
    settings = [argument for argument in arguments if _is_setting(argument)]
    return [argument for argument in arguments if argument not in settings], settings


def named_models(given: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """The name of each model, and what `wenlu.load` takes; raises UsageError for names that are wrong or twice."""
    pairs = [_pair(model) for model in given]
    names = [name for name, _ in pairs]
    for name, model in pairs:
        if not _NAME.fullmatch(name):
            message = "letters, digits, dots, dashes and underscores, parted by slashes, make a name"
            raise UsageError(f"{model}: cannot be called {name[:100]!r}; {message}: write NAME={model}")
        if names.count(name) > 1:
            raise UsageError(f"two models would be called {name}; give them names of their own: NAME={model}")
    return tuple(pairs)


def _is_setting(argument: str) -> bool:
    key, equals, _ = argument.partition("=")
    return bool(equals) and (key in ServeConfig.model_fields or bool(_SETTING.fullmatch(key)))


def _pair(given: str) -> tuple[str, str]:
    name, equals, model = given.partition("=")
    if equals and _NAME.fullmatch(name):
        return name, model
    if given.startswith(_PACKAGE):
        return given.removeprefix(_PACKAGE).split("/")[0], given
    path = PurePath(given)
    if path.suffix == ".gguf":
        return path.stem, given
    if given.count("/") == 1 and _NAME.fullmatch(given) and not path.name.startswith("."):
        return (path.name if path.parts[0] == "runs" else given), given
    parts = [part for part in path.parts if part not in _INSIDE and part != path.anchor]
    return (parts[-1] if parts else given), given
