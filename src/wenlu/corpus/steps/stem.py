"""Reduce words to their stems, for models that count words."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from typing import Any, Literal

from pydantic import field_validator

from wenlu.config import did_you_mean
from wenlu.corpus.record import Item, Record, Step
from wenlu.corpus.step import RecordStep, StepConfig, StepKind, Workroom
from wenlu.errors import MissingExtra

_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")

LANGUAGES = {
    "ar": "arabic", "hy": "armenian", "eu": "basque", "ca": "catalan", "cs": "czech", "da": "danish", "nl": "dutch",
    "en": "english", "eo": "esperanto", "et": "estonian", "fi": "finnish", "fr": "french", "de": "german",
    "el": "greek", "hi": "hindi", "hu": "hungarian", "id": "indonesian", "ga": "irish", "it": "italian",
    "lt": "lithuanian", "ne": "nepali", "no": "norwegian", "nb": "norwegian", "nn": "norwegian", "fa": "persian",
    "pl": "polish", "pt": "portuguese", "ro": "romanian", "ru": "russian", "sr": "serbian", "es": "spanish",
    "sv": "swedish", "ta": "tamil", "tr": "turkish", "yi": "yiddish",
}  # fmt: skip
"""Snowball's stemmers by language code."""


class StemConfig(StepConfig):
    """Snowball stemming (Porter 2001) in lower case; text of a language without a stemmer, such as Chinese, stays."""

    step: Literal["stem"] = "stem"
    language: str = "auto"
    """A code such as `en`; `"auto"` takes each record's own, which the step `language` writes."""

    @field_validator("language")
    @classmethod
    def _known(cls, value: str) -> str:
        if value != "auto" and value not in LANGUAGES:
            raise ValueError(f"no stemmer for {value!r}; {did_you_mean(value, LANGUAGES)}")
        return value


@dataclass(frozen=True)
class _Stem:
    config: StemConfig

    def __call__(self, record: Record) -> Item:
        code = record.meta.get("language", "") if self.config.language == "auto" else self.config.language
        if code not in LANGUAGES:
            return record
        text = _WORD.sub(lambda match: _stem(LANGUAGES[code], match[0].lower()), record.text)
        return replace(record, text=text)


@lru_cache(maxsize=2**16)
def _stem(language: str, word: str) -> str:
    stem: str = _stemmer(language).stemWord(word.replace("’", "'"))
    return stem


@cache
def _stemmer(language: str) -> Any:
    try:
        import snowballstemmer
    except ImportError as error:
        raise MissingExtra("snowballstemmer", extra="data", purpose="stem words") from error
    return snowballstemmer.stemmer(language)


def build(config: StemConfig, room: Workroom) -> Step:  # noqa: ARG001
    _stemmer("english")  # missing: say so before anything is read
    return RecordStep("stem", _Stem(config))


STEP = StepKind("stem", StemConfig, build, changes_text=True)
