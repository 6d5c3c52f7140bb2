"""The words that are tagged, and where they are in their text."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

from wenlu.corpus.script import RANGES, UNSPACED
from wenlu.errors import DataError
from wenlu.tasks.tagging.schemes import Entity
from wenlu.tokenizers import Span
from wenlu.tokenizers.patterns import split
from wenlu.tokenizers.tokenizer import utf8_bytes

_UNSPACED_RANGES = tuple(pair for script in UNSPACED for pair in RANGES[script])
_UNSPACED = "".join(rf"\x{{{first:X}}}-\x{{{last:X}}}" for first, last in _UNSPACED_RANGES)
# \X is a character with the marks, joiners and skin tones that belong to it.
_RUN = rf"(?:(?=[\p{{L}}\p{{N}}])(?![{_UNSPACED}])\X)+"
_WORDS = split(rf"\s+|(?=[{_UNSPACED}])\X|{_RUN}|\X")
_CHARACTERS = split(r"\s+|\X")
_NO_SPACE = re.compile(r"\S+")
# Signs between letters that belong to the word: U.N., 1996-08-22, 10,000, AT&T, O'Brien; not that of EU's.
_INNER = r"(?:[-.&/_@]|(?<=\p{N})[,:](?=\p{N})|['’](?=\p{L}{3}))"
_ABBREVIATION = rf"(?<![\p{{L}}\p{{N}}])(?:(?![{_UNSPACED}])\p{{L}}\.){{2,}}(?:-{_RUN})?"
_WHOLE = split(rf"\s+|(?=[{_UNSPACED}])\X|{_ABBREVIATION}|{_RUN}(?:{_INNER}{_RUN})*|\X")


@dataclass(frozen=True, order=True)
class Mention:
    """Characters of a text from `start` to before `end`, with one label."""

    start: int
    end: int
    label: str


@dataclass(frozen=True)
class Placement:
    """What became of the mentions of a text.

    Attributes:
        entities: by words, in order.
        moved: those that do not start and end where words do, each with what its words cover instead.
        left_out: those that cover no word, or a word that another one has.
    """

    entities: tuple[Entity, ...]
    moved: tuple[tuple[Mention, Mention], ...]
    left_out: tuple[Mention, ...]


@dataclass(frozen=True)
class Words:
    """A text, and its words in order, which do not overlap.

    Attributes:
        spans: characters of each word; between them is nothing but whitespace.
    """

    text: str
    spans: tuple[Span, ...]

    @classmethod
    def in_text(cls, text: str) -> Self:
        """Runs of letters and digits; each sign; each character of scripts without spaces, as Chinese.

        A mark or joiner belongs to the character before it, so that an emoji is one word. Raises DataError where half
        of a surrogate pair stands in the text.
        """
        utf8_bytes(text, "text")
        return cls(text, _spans(_WORDS.pre_tokenize_str(text)))

    @classmethod
    def whole(cls, text: str) -> Self:
        """As `in_text`, but a sign between two letters or digits of a word parts nothing: U.N., 1996-08-22, O'Brien.

        So corpora of news are cut, as CoNLL-2003.
        """
        utf8_bytes(text, "text")
        return cls(text, _spans(_WHOLE.pre_tokenize_str(text)))

    @classmethod
    def blanks(cls, text: str) -> Self:
        """What white space parts."""
        utf8_bytes(text, "text")
        return cls(text, tuple(found.span() for found in _NO_SPACE.finditer(text)))

    @classmethod
    def characters(cls, text: str) -> Self:
        """Each character with its marks, for word segmentation; raises DataError as `in_text` does."""
        utf8_bytes(text, "text")
        return cls(text, _spans(_CHARACTERS.pre_tokenize_str(text)))

    @classmethod
    def joined(cls, words: Sequence[str]) -> Self:
        """Words that were cut before: put into a text with a space between two, but none beside Chinese.

        Raises DataError for a word without characters.
        """
        parts: list[str] = []
        spans: list[Span] = []
        place = 0
        for number, word in enumerate(words):
            utf8_bytes(word, f"word {number}")
            if not word:
                raise DataError(f"word {number} of {list(words)!r} is empty; leave it out, and its tag")
            if parts and not _touches(parts[-1][-1]) and not _touches(word[0]):
                parts.append(" ")
                place += 1
            parts.append(word)
            spans.append((place, place + len(word)))
            place += len(word)
        return cls("".join(parts), tuple(spans))

    def __len__(self) -> int:
        return len(self.spans)

    def __getitem__(self, number: int) -> str:
        start, end = self.spans[number]
        return self.text[start:end]

    @property
    def pieces(self) -> list[str]:
        """The text up to the end of the last word, cut behind each word: a word has what stands before it."""
        ends = [0, *(end for _, end in self.spans)]
        return [self.text[start:end] for start, end in pairwise(ends)]

    @property
    def texts(self) -> list[str]:
        """The words themselves."""
        return [self.text[start:end] for start, end in self.spans]

    def mention(self, entity: Entity) -> Mention:
        """The characters of an entity."""
        return Mention(self.spans[entity.start][0], self.spans[entity.end - 1][1], entity.label)

    def place(self, mentions: Iterable[Mention]) -> Placement:
        """The words of each mention: all that it shares a character with.

        Of two that share a word the first stays; of two that start together, the longer. Raises DataError for one that
        is not in the text.
        """
        starts = [start for start, _ in self.spans]
        ends = [end for _, end in self.spans]
        entities: list[Entity] = []
        moved: list[tuple[Mention, Mention]] = []
        left_out: list[Mention] = []
        free = 0
        for mention in sorted(mentions, key=lambda one: (one.start, -one.end, one.label)):
            if not 0 <= mention.start < mention.end <= len(self.text):
                raise DataError(
                    f"{mention} is not in its text of {len(self.text)} characters; offsets count characters (not "
                    f"bytes) from 0, and the end is behind the last one: {self.text[:40]!r}"
                )
            first, behind = bisect_right(ends, mention.start), bisect_left(starts, mention.end)
            if first >= behind or first < free:
                left_out.append(mention)
                continue
            entities.append(Entity(first, behind, mention.label))
            free = behind
            covered = self.mention(entities[-1])
            if covered != mention:
                moved.append((mention, covered))
        return Placement(tuple(entities), tuple(moved), tuple(left_out))


def _spans(pieces: list[tuple[str, Span]]) -> tuple[Span, ...]:
    return tuple(span for piece, span in pieces if not piece.isspace())


def _touches(character: str) -> bool:
    """Whether no space stands beside the character: of Chinese and other scripts without spaces, with their signs."""
    code = ord(character)
    if any(first <= code <= last for first, last in _UNSPACED_RANGES):
        return True
    is_wide = unicodedata.east_asian_width(character) in "WF"
    return is_wide and unicodedata.category(character).startswith("P")
