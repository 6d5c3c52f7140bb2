"""Keep the lines of web pages that are sentences, and the pages that have enough: the rules of C4."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

from pydantic import NonNegativeInt

from wenlu.corpus.record import Drop, Item, Record, Step
from wenlu.corpus.step import RecordStep, StepConfig, StepKind, Workroom
from wenlu.corpus.steps.quality import CHARACTERS_PER_CHINESE_WORD, counted_words
from wenlu.corpus.steps.sentences import sentences_of

_TERMINAL = tuple(".!?\"'。！？”’」』…")
_POLICY = ("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies")
_LOREM_IPSUM = re.compile("lorem ipsum", re.IGNORECASE)


class C4Config(StepConfig):
    """Rules of Raffel et al. 2020 (JMLR 21:140), section 2.2, without their list of bad words.

    Lines stay that end in a terminal punctuation mark and have at least `min_words_per_line` words, and name neither
    JavaScript nor a cookie or privacy policy. Of what stays, pages go that have fewer than `min_sentences` sentences,
    a curly bracket (they are code) or "lorem ipsum". Chinese full-width marks are terminal too, and a Chinese
    character counts as half a word.
    """

    step: Literal["c4"] = "c4"
    min_words_per_line: NonNegativeInt = 3
    min_sentences: NonNegativeInt = 5
    curly_brackets: bool = True
    """Drop pages with a curly bracket."""


@dataclass(frozen=True)
class _Clean:
    config: C4Config

    def __call__(self, record: Record) -> Item:
        if _LOREM_IPSUM.search(record.text):
            return Drop(record, "c4", "lorem ipsum")
        if self.config.curly_brackets and "{" in record.text:
            return Drop(record, "c4", "curly bracket")
        text = "\n".join(line for line in map(str.strip, record.text.split("\n")) if self._is_prose(line))
        if not text:
            return Drop(record, "c4", "no line of prose")
        if sum(len(sentences_of(line)) for line in text.split("\n")) < self.config.min_sentences:
            return Drop(record, "c4", "too few sentences")
        return replace(record, text=text)

    def _is_prose(self, line: str) -> bool:
        if not line.endswith(_TERMINAL) or line.endswith("..."):
            return False
        lower = line.lower()
        if "javascript" in lower or any(phrase in lower for phrase in _POLICY):
            return False
        words, chinese = counted_words(line)
        return len(words) >= self.config.min_words_per_line * (CHARACTERS_PER_CHINESE_WORD if chinese else 1)


def build(config: C4Config, room: Workroom) -> Step:  # noqa: ARG001
    return RecordStep("c4", _Clean(config))


STEP = StepKind("c4", C4Config, build, changes_text=True)
