"""Remove punctuation and other special characters, for models that count words."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal

from wenlu.corpus.record import Drop, Item, Record, Step
from wenlu.corpus.step import RecordStep, StepConfig, StepKind, Workroom

_SPACES = re.compile(r"[^\S\n]+")
_LINE_SPACES = re.compile(r" ?\n ?")


class StripPunctuationConfig(StepConfig):
    """Punctuation becomes a space, and runs of spaces one space; line breaks stay."""

    step: Literal["strip-punctuation"] = "strip-punctuation"
    symbols: bool = True
    """Also remove symbols: currency, mathematics, emoji and the like."""
    digits: bool = False
    """Also remove digits."""
    keep: str = ""
    """Characters to keep nevertheless, for example `'-`."""


@dataclass(frozen=True)
class _Strip:
    config: StripPunctuationConfig

    def __call__(self, record: Record) -> Item:
        text = stripped(record.text, self.config)
        return replace(record, text=text) if text else Drop(record, "strip-punctuation", "only punctuation")


def stripped(text: str, config: StripPunctuationConfig) -> str:
    """The text without the characters that `config` names."""
    text = text.translate(_table(config))
    return _LINE_SPACES.sub("\n", _SPACES.sub(" ", text)).strip()


class _Table(dict[int, int]):
    """Code point to itself or to a space; decided when a character is first met."""

    def __init__(self, config: StripPunctuationConfig) -> None:
        super().__init__({ord(letter): ord(letter) for letter in config.keep})
        classes = ["P", "S" if config.symbols else "P", "Nd" if config.digits else "P"]
        self._removed = tuple(classes)
        self._marks = config.symbols

    def __missing__(self, code: int) -> int:
        category = unicodedata.category(chr(code))
        joins_emoji = self._marks and code in (0x200D, 0xFE0E, 0xFE0F, 0x20E3)
        self[code] = ord(" ") if category.startswith(self._removed) or joins_emoji else code
        return self[code]


@cache
def _table(config: StripPunctuationConfig) -> _Table:
    return _Table(config)


def build(config: StripPunctuationConfig, room: Workroom) -> Step:  # noqa: ARG001
    return RecordStep("strip-punctuation", _Strip(config))


STEP = StepKind("strip-punctuation", StripPunctuationConfig, build, changes_text=True)
