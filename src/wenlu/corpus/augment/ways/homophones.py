"""Chinese characters that sound alike, as those who type by sound choose wrongly."""

from __future__ import annotations

import random
import re
from collections import defaultdict
from functools import cache
from typing import Any, Literal

from pydantic import Field

from wenlu.corpus.augment.common_characters import common_characters, is_traditional
from wenlu.corpus.augment.way import Change, Tables, WayConfig, WayKind
from wenlu.corpus.script import RANGES
from wenlu.errors import MissingExtra

_HAN = "".join(f"{chr(first)}-{chr(last)}" for first, last in RANGES["Han"])
_HAN_RUN = re.compile(f"[{_HAN}]+")


class HomophonesConfig(WayConfig):
    """Readings are pypinyin's: of a character in its word in the text, and the commonest one of those that may stand in
    its place, which are common characters.

    Attributes:
        alpha: share of the Chinese characters that change.
        tones: whether the tone must be the same, too.
    """

    way: Literal["homophones"] = "homophones"
    alpha: float = Field(default=0.05, gt=0, lt=1)
    tones: bool = False


def build(config: HomophonesConfig, tables: Tables) -> Change:  # noqa: ARG001
    _pypinyin()  # missing: say so before anything is read

    def change(text: str, drawn: random.Random) -> str:
        alike = _alike(tones=config.tones, traditional=is_traditional(text))

        def rewritten(run: re.Match[str]) -> str:
            characters = []
            for character, sound in zip(run[0], _sounds(run[0], tones=config.tones), strict=True):
                others = [other for other in alike.get(sound, ()) if other != character]
                chosen = others and drawn.random() < config.alpha
                characters.append(drawn.choice(others) if chosen else character)
            return "".join(characters)

        return _HAN_RUN.sub(rewritten, text)

    return change


@cache
def _alike(*, tones: bool, traditional: bool) -> dict[str, tuple[str, ...]]:
    """Common characters by their sound."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for character in sorted(common_characters(traditional=traditional)):
        found[_sounds(character, tones=tones)[0]].append(character)
    return {sound: tuple(characters) for sound, characters in found.items()}


def _sounds(run: str, *, tones: bool) -> list[str]:
    """Of each character; one without a known reading is its own."""
    pypinyin = _pypinyin()
    style = pypinyin.Style.TONE3 if tones else pypinyin.Style.NORMAL
    sounds: list[str] = pypinyin.lazy_pinyin(run, style=style, errors=list)
    return sounds


def _pypinyin() -> Any:
    try:
        import pypinyin
    except ImportError as error:
        raise MissingExtra("pypinyin", extra="lang-zh", purpose="find characters that sound alike") from error
    return pypinyin


WAY = WayKind("homophones", HomophonesConfig, build)
