"""Slips of the hand: a neighbouring key, two characters swapped, one dropped, one written twice."""

from __future__ import annotations

import random
from functools import cache
from typing import Literal

from pydantic import Field

from wenlu.corpus.augment.way import Change, Tables, WayConfig, WayKind

Slip = Literal["neighbour", "swap", "drop", "double"]
_ROWS = (("qwertyuiop", 0.0), ("asdfghjkl", 0.25), ("zxcvbnm", 0.75))
"""Letters of a keyboard, and how far each row is moved to the right."""
_NEAR = 1.3
"""Keys; the diagonal neighbours are nearer, the next but one farther."""


class TyposConfig(WayConfig):
    """Attributes:
    alpha: share of the letters and Chinese characters that are written wrongly.
    slips: to draw from; only Latin letters have neighbours on the keyboard.
    """

    way: Literal["typos"] = "typos"
    alpha: float = Field(default=0.05, gt=0, lt=1)
    slips: tuple[Slip, ...] = Field(default=("neighbour", "swap", "drop", "double"), min_length=1)


@cache
def neighbours() -> dict[str, str]:
    """The keys around each letter's."""
    places = {
        key: (column + offset, row) for row, (keys, offset) in enumerate(_ROWS) for column, key in enumerate(keys)
    }
    return {
        key: "".join(
            other for other, (u, v) in places.items() if other != key and (x - u) ** 2 + (y - v) ** 2 < _NEAR**2
        )
        for key, (x, y) in places.items()
    }


def build(config: TyposConfig, tables: Tables) -> Change:  # noqa: ARG001
    def change(text: str, drawn: random.Random) -> str:
        written: list[str] = []
        left = iter(range(len(text)))
        for place in left:
            character = text[place]
            if not character.isalpha() or drawn.random() >= config.alpha:
                written.append(character)
                continue
            match drawn.choice(config.slips):
                case "neighbour":
                    near = neighbours().get(character.lower())
                    other = drawn.choice(near) if near else character
                    written.append(other.upper() if character.isupper() else other)
                case "swap" if text[place + 1 : place + 2].isalpha():
                    written += [text[place + 1], character]
                    next(left)
                case "drop":
                    pass
                case "double":
                    written += [character, character]
                case _:
                    written.append(character)
        return "".join(written) or text

    return change


WAY = WayKind("typos", TyposConfig, build)
