"""Drop texts that are not running prose: the document rules of Gopher."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt

from wenlu.corpus.record import Drop, Item, Record, Step
from wenlu.corpus.script import RANGES, is_mostly_han
from wenlu.corpus.step import RecordStep, StepConfig, StepKind, Workroom

Fraction = Annotated[float, Field(ge=0, le=1)]

CHARACTERS_PER_CHINESE_WORD = 2
ENGLISH_STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")
CHINESE_STOP_WORDS = ("的", "了", "是", "在", "和", "有", "不", "这")

_HAN = "".join(f"{chr(first)}-{chr(last)}" for first, last in RANGES["Han"])
_CHINESE_WORD = re.compile(rf"[{_HAN}]|[^\W_{_HAN}]+|[#$%&*+<=>@^_|~]+")
_BULLETS = ("•", "‣", "▪", "●", "◦", "○", "■", "□", "◆", "·", "-", "*", "–", "—")
_ELLIPSIS = re.compile(r"\.{3,}|…+")


class QualityConfig(StepConfig):
    """Thresholds of Rae et al. 2021 (arXiv:2112.11446), appendix A.1.1, "Quality Filtering".

    In Chinese text (half of the letters or more) a character counts as half a word, the bounds of the mean word
    length do not apply, and the stop words are eight of the commonest characters. For languages other than English
    and Chinese, as the step `language` names them, the rule of stop words does not apply.
    """

    step: Literal["quality"] = "quality"
    min_words: NonNegativeInt = 50
    max_words: PositiveInt = 100_000
    min_mean_word_length: NonNegativeFloat = 3
    max_mean_word_length: NonNegativeFloat = 10
    max_symbols_per_word: NonNegativeFloat = 0.1
    """Of `#`, and of the ellipsis."""
    max_bullet_lines: Fraction = 0.9
    max_ellipsis_lines: Fraction = 0.3
    min_alphabetic_words: Fraction = 0.8
    """Words that have at least one letter."""
    min_stop_words: NonNegativeInt = 2
    """Different ones of the eight."""


@dataclass(frozen=True)
class _Judge:
    config: QualityConfig

    def __call__(self, record: Record) -> Item:
        reason = fault(record.text, self.config, record.meta.get("language", ""))
        return Drop(record, "quality", reason) if reason else record


def counted_words(text: str) -> tuple[list[str], bool]:
    """What white space parts, and False; in Chinese text characters and foreign words, and True."""
    if is_mostly_han(text):
        return _CHINESE_WORD.findall(text), True
    return text.split(), False


def fault(text: str, config: QualityConfig, language: str = "") -> str | None:
    """The first rule that the text breaks, in a few words; None if it is good."""
    words, chinese = counted_words(text)
    number = len(words) / (CHARACTERS_PER_CHINESE_WORD if chinese else 1)
    if number < max(config.min_words, 1):
        return "too few words"
    if number > config.max_words:
        return "too many words"
    mean = sum(map(len, words)) / len(words)
    if not chinese and not config.min_mean_word_length <= mean <= config.max_mean_word_length:
        return "mean word length"
    if max(text.count("#"), len(_ELLIPSIS.findall(text))) > config.max_symbols_per_word * number:
        return "too many symbols"
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    if sum(line.startswith(_BULLETS) for line in lines) > config.max_bullet_lines * len(lines):
        return "mostly bullet points"
    if sum(line.endswith(("...", "…")) for line in lines) > config.max_ellipsis_lines * len(lines):
        return "lines end in ellipses"
    if sum(any(map(str.isalpha, word)) for word in words) < config.min_alphabetic_words * len(words):
        return "too few words with letters"
    if _stop_words(words, chinese, language) < config.min_stop_words:
        return "too few stop words"
    return None


def _stop_words(words: list[str], chinese: bool, language: str) -> float:
    """How many different stop words occur; no bound where no list is at hand."""
    if chinese:
        return len(set(CHINESE_STOP_WORDS).intersection(words))
    if language not in ("", "en", "und"):
        return float("inf")
    return len(set(ENGLISH_STOP_WORDS).intersection(word.lower().strip(".,;:!?\"'()") for word in words))


def build(config: QualityConfig, room: Workroom) -> Step:  # noqa: ARG001
    return RecordStep("quality", _Judge(config))


STEP = StepKind("quality", QualityConfig, build)
