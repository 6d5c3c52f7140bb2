"""Weights that training leaves alone."""

from __future__ import annotations

from collections.abc import Sequence

from wenlu.errors import ConfigError
from wenlu.models import LanguageModel


def freeze(model: LanguageModel, parts: Sequence[str]) -> None:
    """Exclude the weights whose names have one of `parts` between dots, in place.

    Raises ConfigError for a part that no weight has, and where nothing is left to train.
    """
    weights = [*model.named_parameters(remove_duplicate=False)]  # a tied one goes by both of its names
    names = [name for name, _ in weights]
    for part in parts:
        if not any(_has(name, part) for name in names):
            known = sorted({name.split(".")[0] for name in names})
            raise ConfigError(
                f"train.frozen: no weight has {part!r} in its name; parts of this model: {', '.join(known)}"
            )
    for name, weight in weights:
        if any(_has(name, part) for part in parts):
            weight.requires_grad_(False)
    if not any(weight.requires_grad for weight in model.parameters()):
        raise ConfigError(f"train.frozen={list(parts)}: leaves nothing to train")


def _has(name: str, part: str) -> bool:
    return f".{part}." in f".{name}."
