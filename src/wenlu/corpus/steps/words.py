"""Cut text into words with a space between them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, Literal

from wenlu.corpus.record import Item, Record, Step
from wenlu.corpus.script import RANGES
from wenlu.corpus.step import RecordStep, StepConfig, StepKind, Workroom
from wenlu.errors import MissingExtra

_HAN = "".join(f"{chr(first)}-{chr(last)}" for first, last in RANGES["Han"])
_HAN_RUN = re.compile(f"[{_HAN}]+")
_WORD = re.compile(r"\d+(?:[.,]\d+)*|[^\W_]+(?:['’.·-][^\W_]+)*|_+|(?:\.{2,}|…+|—+|-{2,})|\S")
"""A number, a word with inner apostrophes, dots or hyphens, a dash or ellipsis, or one sign."""


class WordsConfig(StepConfig):
    """Chinese is cut by rjieba (a Viterbi search over a dictionary, an HMM for unknown words), the rest at the
    boundaries of words; punctuation marks stand alone; lines stay."""

    step: Literal["words"] = "words"
    punctuation: bool = True
    """Keep punctuation marks, as words of their own."""


@dataclass(frozen=True)
class _Cut:
    config: WordsConfig

    def __call__(self, record: Record) -> Item:
        lines = [" ".join(words_of(line, punctuation=self.config.punctuation)) for line in record.text.split("\n")]
        return replace(record, text="\n".join(lines))


def words_of(text: str, *, punctuation: bool = True) -> list[str]:
    """The words in order."""
    words: list[str] = []
    for han, stretch in _stretches(text):
        found = _rjieba().cut(stretch) if han else _WORD.findall(stretch)
        words += found if punctuation else [word for word in found if any(letter.isalnum() for letter in word)]
    return words


def _stretches(text: str) -> list[tuple[bool, str]]:
    """The text in turns of Chinese characters (True) and anything else (False)."""
    if text.isascii():
        return [(False, text)]
    stretches, place = [], 0
    for match in _HAN_RUN.finditer(text):
        stretches += [(False, text[place : match.start()]), (True, match[0])]
        place = match.end()
    return [*stretches, (False, text[place:])]


def _rjieba() -> Any:
    try:
        import rjieba
    except ImportError as error:
        raise MissingExtra("rjieba", extra="lang-zh", purpose="cut Chinese text into words") from error
    return rjieba


def build(config: WordsConfig, room: Workroom) -> Step:  # noqa: ARG001
    return RecordStep("words", _Cut(config))


STEP = StepKind("words", WordsConfig, build, changes_text=True)
