"""Drop texts that repeat themselves: the repetition rules of Gopher."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from wenlu.corpus.record import Drop, Item, Record, Step
from wenlu.corpus.step import RecordStep, StepConfig, StepKind, Workroom
from wenlu.corpus.steps.quality import CHARACTERS_PER_CHINESE_WORD, Fraction, counted_words

_PARAGRAPHS = re.compile(r"\n[^\S\n]*\n\s*")


class RepetitionConfig(StepConfig):
    """Thresholds of Rae et al. 2021 (arXiv:2112.11446), table A1. All are fractions; a text above one is dropped.

    A line, paragraph or n-gram is a duplicate if it stood earlier in the text; its first occurrence is not. Characters
    under several duplicate n-grams count once. Fractions of n-grams are of the characters of all words. In Chinese
    text n-grams are of characters, two for each word.
    """

    step: Literal["repetition"] = "repetition"
    duplicate_lines: Fraction = 0.30
    duplicate_paragraphs: Fraction = 0.30
    duplicate_line_characters: Fraction = 0.20
    duplicate_paragraph_characters: Fraction = 0.20
    top_ngram_characters: tuple[Fraction, Fraction, Fraction] = (0.20, 0.18, 0.16)
    """In all occurrences of the commonest n-gram of 2, 3 and 4 words."""
    duplicate_ngram_characters: tuple[Fraction, Fraction, Fraction, Fraction, Fraction, Fraction] = (
        0.15, 0.14, 0.13, 0.12, 0.11, 0.10,
    )  # fmt: skip
    """In duplicate n-grams of 5 to 10 words."""


@dataclass(frozen=True)
class _Judge:
    config: RepetitionConfig

    def __call__(self, record: Record) -> Item:
        reason = fault(record.text, self.config)
        return Drop(record, "repetition", reason) if reason else record


def fault(text: str, config: RepetitionConfig) -> str | None:
    """The first rule that the text breaks, in a few words; None if it is good."""
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    paragraphs = [part.strip() for part in _PARAGRAPHS.split(text) if part.strip()]
    for name, parts, most, most_characters in (
        ("lines", lines, config.duplicate_lines, config.duplicate_line_characters),
        ("paragraphs", paragraphs, config.duplicate_paragraphs, config.duplicate_paragraph_characters),
    ):
        repeated, characters = _duplicates(parts)
        if repeated > most * len(parts) or characters > most_characters * sum(map(len, parts)):
            return f"repeated {name}"
    words, chinese = counted_words(text)
    scale = CHARACTERS_PER_CHINESE_WORD if chinese else 1
    total = sum(map(len, words))
    for n, most in enumerate(config.top_ngram_characters, start=2):
        if top_ngram_characters(words, n * scale) > most * total:
            return f"commonest {n}-gram"
    for n, most in enumerate(config.duplicate_ngram_characters, start=5):
        if duplicate_ngram_characters(words, n * scale) > most * total:
            return f"repeated {n}-grams"
    return None


def _duplicates(parts: Sequence[str]) -> tuple[int, int]:
    """How many parts stood earlier already, and their characters."""
    extra = [(len(part), count - 1) for part, count in Counter(parts).items() if count > 1]
    return sum(count for _, count in extra), sum(length * count for length, count in extra)


def top_ngram_characters(words: Sequence[str], n: int) -> int:
    """Characters in the occurrences of the commonest n-gram; 0 if none occurs twice."""
    counts = Counter(zip(*(words[i:] for i in range(n)), strict=False))
    most = max(counts.values(), default=0)
    if most < 2:
        return 0
    return max(sum(map(len, ngram)) for ngram, count in counts.items() if count == most) * most


def duplicate_ngram_characters(words: Sequence[str], n: int) -> int:
    """Characters of the words that lie in an n-gram which stood earlier already."""
    seen = set()
    characters = covered = 0
    for i, ngram in enumerate(zip(*(words[i:] for i in range(n)), strict=False)):
        if ngram in seen:
            characters += sum(map(len, words[max(covered, i) : i + n]))
            covered = i + n
        seen.add(ngram)
    return characters


def build(config: RepetitionConfig, room: Workroom) -> Step:  # noqa: ARG001
    return RecordStep("repetition", _Judge(config))


STEP = StepKind("repetition", RepetitionConfig, build)
