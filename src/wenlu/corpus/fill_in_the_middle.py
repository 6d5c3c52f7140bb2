"""Fill in the middle: a text in three parts, told in another order (Bavarian et al. 2022, arXiv:2207.14255)."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from typing import Literal

Unit = Literal["character", "line"]
Order = Literal["psm", "spm"]


@dataclass(frozen=True)
class Marks:
    """The special tokens in front of each part; their names are those that most published code models use."""

    prefix: str = "<|fim_prefix|>"
    middle: str = "<|fim_middle|>"
    suffix: str = "<|fim_suffix|>"


_MARKS = Marks()


@dataclass(frozen=True)
class Parts:
    """A text cut in two places: `prefix + middle + suffix` is the text."""

    prefix: str
    middle: str
    suffix: str

    def arrange(self, order: Order, marks: Marks) -> str:
        """The text that a model learns from; the middle comes last, so that it is what is filled in.

        "psm": prefix, suffix, middle. "spm": suffix, prefix, middle, in the paper's variant for joint training, where
        the mark of the prefix stands in front of the suffix's and the prefix continues into the middle without a seam.
        """
        if order == "psm":
            return f"{marks.prefix}{self.prefix}{marks.suffix}{self.suffix}{marks.middle}{self.middle}"
        return f"{marks.prefix}{marks.suffix}{self.suffix}{marks.middle}{self.prefix}{self.middle}"


def rng_of(seed: int, id: str) -> random.Random:
    """Random numbers that depend on the seed and the record alone, not on the order in which records come."""
    return random.Random(int.from_bytes(hashlib.sha256(f"{seed}:{id}".encode()).digest()[:8]))


def split(text: str, rng: random.Random, *, unit: Unit = "character") -> Parts:
    """Cut the text at two places that are drawn evenly, each from all; any part may be empty.

    Args:
        unit: "line" cuts at the beginnings of lines and at both ends only.
    """
    if unit == "character":
        first, second = sorted((rng.randint(0, len(text)), rng.randint(0, len(text))))
    else:
        places = _line_edges(text)
        first, second = sorted((rng.choice(places), rng.choice(places)))
    return Parts(text[:first], text[first:second], text[second:])


def fim(
    text: str,
    rng: random.Random,
    *,
    rate: float = 0.5,
    spm_rate: float = 0.5,
    unit: Unit = "character",
    marks: Marks = _MARKS,
) -> str:
    """The text as a model that fills gaps learns it: with probability `rate` in another order, else as it is.

    Args:
        spm_rate: how many of those rearranged have the suffix first.
    """
    if rng.random() >= rate:
        return text
    order: Order = "spm" if rng.random() < spm_rate else "psm"
    return split(text, rng, unit=unit).arrange(order, marks)


def _line_edges(text: str) -> list[int]:
    edges = [0]
    for line in text.split("\n")[:-1]:
        edges.append(edges[-1] + len(line) + 1)
    return edges if edges[-1] == len(text) else [*edges, len(text)]
