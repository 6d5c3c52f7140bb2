"""A text as its words and what stands between them, so that words can change and all else stays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from wenlu.corpus.script import is_mostly_han
from wenlu.corpus.steps.words import words_of


@dataclass
class Spelt:
    """Words and gaps in turn; there is a gap before the first word and one behind the last.

    Attributes:
        is_chinese: whether words follow each other without a space.
    """

    words: list[str]
    gaps: list[str]
    is_chinese: bool

    @classmethod
    def of(cls, text: str) -> Self:
        """Chinese is cut by rjieba; raises MissingExtra where it is not installed."""
        words = words_of(text, punctuation=False)
        gaps, place = [], 0
        for word in words:
            start = text.index(word, place)
            gaps.append(text[place:start])
            place = start + len(word)
        return cls(words, [*gaps, text[place:]], is_mostly_han(text))

    @property
    def text(self) -> str:
        pairs = zip(self.gaps, [*self.words, ""], strict=True)
        return "".join(gap + word for gap, word in pairs)

    @property
    def space(self) -> str:
        return "" if self.is_chinese else " "

    def insert(self, place: int, word: str) -> None:
        """Put a word before the one at `place`, or behind the last."""
        if place == len(self.words):
            self.gaps.insert(place, self.space if self.words else "")
        else:
            self.gaps.insert(place + 1, self.space)
        self.words.insert(place, word)

    def delete(self, place: int) -> None:
        """Take a word away, and one of two spaces around it."""
        before, behind = self.gaps[place], self.gaps[place + 1]
        twice = before[-1:].isspace() or not before
        self.gaps[place : place + 2] = [before + (behind.lstrip(" ") if twice else behind)]
        del self.words[place]
