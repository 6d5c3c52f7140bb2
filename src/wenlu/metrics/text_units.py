"""The units by which two texts are compared: words where spaces part them, else characters or a dictionary's words."""

from __future__ import annotations

import re
import unicodedata
from importlib.metadata import version
from typing import Literal

from wenlu.errors import UsageError
from wenlu.metrics.language import CHINESE, UNSPACED, code_of
from wenlu.tokenizers.words import HAN, chinese_words

Segmentation = Literal["characters", "rjieba"]
"""How a language without spaces is cut; others are cut into words either way."""

_KANA = "\u3041-\u30ff\u31f0-\u31ff\uff66-\uff9f"
_THAI_TO_TIBETAN, _MYANMAR, _KHMER = "\u0e00-\u0fff", "\u1000-\u109f", "\u1780-\u17ff"
_ALONE = f"{HAN}{_KANA}{_THAI_TO_TIBETAN}{_MYANMAR}{_KHMER}"
_CHARACTER = re.compile(rf"[{_ALONE}]|(?:[^\W_{_ALONE}][\u0300-\u036f]*)+|\S")
"""A letter of a script without spaces, a word or number of another script, or one sign."""
_ENGLISH_WORD = re.compile("[a-z0-9]+")


def units_of(text: str, language: str, segmentation: Segmentation = "characters") -> list[str]:
    """The units in order, in lower case.

    English words are runs of a-z and 0-9, as ROUGE has them since 2004. Words of other languages are runs of
    letters, digits and marks of any script. Languages without spaces keep their punctuation, a unit each, so that
    equal texts share all they have; words of other scripts inside them stay whole.
    """
    code, text = code_of(language), text.lower()
    if segmentation == "rjieba":
        _check_rjieba(language)
        return [word for word in chinese_words(text) if not word.isspace()]
    if code in UNSPACED:
        return characters_of(text)
    return _ENGLISH_WORD.findall(text) if code == "en" else _words(text)


def units_convention(language: str, segmentation: Segmentation = "characters") -> str:
    """What a signature says of `units_of`."""
    code = code_of(language)
    if segmentation == "rjieba":
        _check_rjieba(language)
        return f"units:rjieba-{version('rjieba')}"
    if code in UNSPACED:
        return "units:characters"
    return "units:words-a-z0-9" if code == "en" else "units:words"


def characters_of(text: str) -> list[str]:
    """Each character of a script without spaces, each word of another, each sign; no white space."""
    return _CHARACTER.findall(text)


def _words(text: str) -> list[str]:
    inside = (letter if letter.isalnum() or unicodedata.category(letter)[0] == "M" else " " for letter in text)
    return "".join(inside).split()


def _check_rjieba(language: str) -> None:
    if code_of(language) not in CHINESE:
        raise UsageError(f"segmentation rjieba cuts Chinese, not {language!r}; leave it out")
