"""What is explained: one number that a model says of a text, as a function of which of its pieces are there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np

Floats = np.ndarray[Any, np.dtype[np.float64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]
Between = Callable[[], None]
"""Called whenever a model is about to be asked; what it raises is the end of the work."""


@dataclass(frozen=True)
class Part:
    """One of the texts that the model reads: the only one, or question and context, or the two of a pair."""

    name: str
    text: str


@dataclass(frozen=True)
class Piece:
    """The least that can be taken out: a token, of a linear model a word. Characters `start` to before `end` of its
    part."""

    part: int
    start: int
    end: int


@dataclass(frozen=True)
class Asked:
    """What the model said to n variants of the text.

    Attributes:
        values: (n,) the number that is explained. chances: (n,) the probability whose fall tells what mattered; where
            the model gives none, the number itself.
    """

    values: Floats
    chances: Floats


@dataclass(frozen=True)
class Told:
    """What was answered, and what of it is explained.

    Attributes:
        answer: as `wenlu predict` tells it. target: the label, tag, span, trait or token. against: the other one, whose
            number is taken from the target's; None: the target's alone.
        value: what the number is, as "logit". chance: what falls, as "probability".
    """

    task: str
    answer: dict[str, Any]
    target: str
    against: str | None
    value: str
    chance: str


class Subject(Protocol):
    """A text before a model."""

    @property
    def told(self) -> Told: ...

    @property
    def parts(self) -> tuple[Part, ...]: ...

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """In the order of the text, those that the model read."""

    @property
    def removal(self) -> str:
        """What stands in the place of a piece that is taken out, as a certificate says it."""

    @property
    def model_digest(self) -> str: ...

    @property
    def tokenizer_digest(self) -> str | None:
        """The tokenizer's fingerprint; None: there is none."""

    def ask(self, kept: Bools) -> Asked:
        """What the model says where of each variant (n, P) only the pieces that are True are there."""

    def randomised(self, seed: int) -> Self:
        """The same text and number before the same model with its weights shuffled."""


def go_on() -> None:
    """Between two questions to a model, where nobody may end the work."""


def without(count: int, groups: Sequence[Sequence[int]]) -> Bools:
    """(n, count): variants that each lack one group of pieces."""
    kept = np.ones((len(groups), count), np.bool_)
    for row, group in zip(kept, groups, strict=True):
        row[list(group)] = False
    return kept
