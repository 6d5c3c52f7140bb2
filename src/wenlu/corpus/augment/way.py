"""What a way of augmentation is: its name, its settings, and how the change that it makes of a text is built."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import PositiveInt

from wenlu.config import Config


class WayConfig(Config):
    """Settings of a way; `way` is its name."""

    way: str
    copies: PositiveInt = 1
    """How many changed texts to make of each."""


class Synonyms(Protocol):
    """Words that may stand in the place of another."""

    def of(self, word: str) -> tuple[str, ...]: ...


@dataclass(frozen=True)
class Tables:
    """Where ways that look words up find them.

    Attributes:
        synonyms: by what the settings call them: a table of words for English, and one for Chinese.
    """

    synonyms: Callable[[str], Mapping[str, Synonyms]]


Change = Callable[[str, random.Random], str]
"""A changed text, a pure function of the text and the random numbers; the text itself where nothing can be changed."""


@dataclass(frozen=True)
class WayKind:
    """A way of augmentation.

    Attributes:
        build: makes the change, and raises MissingExtra, DataError where it lacks something; None for a way that asks
            a model, which the stage brings.
        models: settings that name models.
    """

    name: str
    config: type[WayConfig]
    build: Callable[[Any, Tables], Change] | None
    models: tuple[str, ...] = ()
