"""Remove the commonest words, for models that count words."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal

from pydantic import field_validator

from wenlu.corpus.record import Drop, Item, Record, Step
from wenlu.corpus.script import is_mostly_han
from wenlu.corpus.step import RecordStep, StepConfig, StepKind, Workroom
from wenlu.errors import DataError, MissingExtra

_TOKEN = re.compile(r"\S+")
_EDGES = re.compile(r"^\W+|\W+$")
_LONGEST_CHINESE_WORD = 30


class StopWordsConfig(StepConfig):
    """Words of the stopwords-iso lists go, in any case; words are what white space parts.

    Chinese must therefore be cut into words first, by the step `words`.
    """

    step: Literal["stop-words"] = "stop-words"
    language: str = "auto"
    """A code such as `en`; `"auto"` takes each record's own, which the step `language` writes."""
    extra: tuple[str, ...] = ()
    """Further words to remove, in every language."""

    @field_validator("language")
    @classmethod
    def _a_code(cls, value: str) -> str:
        if value != "auto" and not re.fullmatch("[a-z]{2}", value):
            raise ValueError(f"{value!r} is not a language code; write 'auto', or two letters such as 'en'")
        return value


@dataclass(frozen=True)
class _Remove:
    config: StopWordsConfig

    def __call__(self, record: Record) -> Item:
        code = record.meta.get("language", "") if self.config.language == "auto" else self.config.language
        words = _stop_words(code) | frozenset(word.casefold() for word in self.config.extra)
        if code == "zh":
            _check_cut(record)
        lines = [self._line(line, words) for line in record.text.split("\n")]
        text = "\n".join(line for line in lines if line)
        return replace(record, text=text) if text else Drop(record, "stop-words", "only stop words")

    def _line(self, line: str, words: frozenset[str]) -> str:
        return " ".join(token for token in _TOKEN.findall(line) if _EDGES.sub("", token).casefold() not in words)


def _check_cut(record: Record) -> None:
    """Chinese must have spaces between its words, or none of them would be found."""
    longest = max(_TOKEN.findall(record.text), key=len, default="")
    if len(longest) > _LONGEST_CHINESE_WORD and is_mostly_han(longest):
        raise DataError(
            f"{record.id}: Chinese text without spaces between words: {longest[:12]}…; "
            'put the step "words" before "stop-words" in data.steps'
        )


@cache
def _stop_words(code: str) -> frozenset[str]:
    return frozenset(word.casefold() for word in _stopwordsiso().stopwords(code))


def _stopwordsiso() -> Any:
    try:
        import stopwordsiso
    except ImportError as error:
        raise MissingExtra("stopwordsiso", extra="data", purpose="remove stop words") from error
    return stopwordsiso


def build(config: StopWordsConfig, room: Workroom) -> Step:  # noqa: ARG001
    _stopwordsiso()  # missing: say so before anything is read
    return RecordStep("stop-words", _Remove(config))


STEP = StepKind("stop-words", StopWordsConfig, build, changes_text=True)
