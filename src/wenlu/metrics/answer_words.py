"""What counts of a short answer: its words without case, punctuation and articles, or its characters."""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Iterable

from wenlu.metrics.language import UNSPACED, code_of
from wenlu.metrics.text_units import characters_of

_ARTICLE = re.compile(r"\b(?:a|an|the)\b")
_ASCII_SIGNS = frozenset(string.punctuation)
_SIGNS = _ASCII_SIGNS | {chr(ord(sign) + 0xFEE0) for sign in _ASCII_SIGNS}
"""ASCII's signs, and the same in full width."""


def answer_words(text: str, language: str) -> list[str]:
    """The words in order, in lower case.

    English is treated as in SQuAD: signs of ASCII and articles are taken out. Other languages lose the punctuation of
    every script and no articles. Those without spaces are compared by character, as in CMRC 2018 and DRCD; words of
    other scripts inside them, as Latin ones, stay whole.
    """
    code, text = code_of(language), text.lower()
    if code == "en":
        return _ARTICLE.sub(" ", "".join(letter for letter in text if letter not in _ASCII_SIGNS)).split()
    kept = "".join(letter for letter in text if letter not in _SIGNS and unicodedata.category(letter)[0] != "P")
    return characters_of(kept) if code in UNSPACED else kept.split()


def answer_convention(language: str) -> str:
    """What a signature says of `answer_words`."""
    code = code_of(language)
    if code == "en":
        return "words:squad-en"
    return f"words:{'characters' if code in UNSPACED else 'spaces'},no-punctuation"


def gold_answers(texts: Iterable[str], language: str) -> list[list[str]]:
    """The words of each gold answer, without those that have none; a question with no gold answer left wants none."""
    return [words for text in texts if (words := answer_words(text, language))] or [[]]
