"""Which tokens are of one word, so that none is hidden in part."""

from __future__ import annotations

import re
from functools import cache
from itertools import pairwise
from typing import Literal

import numpy as np

from wenlu.corpus.packing import Ids
from wenlu.tasks.corruption.vocabulary import Vocabulary
from wenlu.tokenizers.words import HAN, chinese_words

Segmentation = Literal["rjieba", "characters"]

_WORD = re.compile(rf"(?P<han>[{HAN}]+)|[^\W{HAN}]+(?:['’][^\W{HAN}]+)*|[^\w\s]")
_HAN = re.compile(f"[{HAN}]")
_BOUNDARY = b"\n"


def word_numbers(ids: Ids, vocabulary: Vocabulary, segmentation: Segmentation) -> Ids:
    """(T,) the number of the word that each token is of, in order; -1 for special tokens.

    A word is a run of letters and digits, or a sign; Chinese is cut by rjieba, or each character is a word. A token
    that reaches into two words joins them (Devlin et al. 2019, as released in May 2019; Cui et al. 2021,
    arXiv:1906.08101).
    """
    spelt = _spellings(ids, vocabulary)
    text = b"".join(spelt)
    inside = _inside_a_word(text, segmentation)
    ends = np.cumsum([len(piece) for piece in spelt])
    special = vocabulary.is_special[ids]
    joined = np.zeros(len(ids), np.bool_)
    joined[1:] = inside[ends[:-1]] & ~special[1:] & ~special[:-1]
    numbers = np.cumsum(~joined & ~special) - 1
    return np.where(special, -1, numbers)


def _spellings(ids: Ids, vocabulary: Vocabulary) -> list[bytes]:
    """The bytes of each token, with a boundary for special ones, and no space between two Chinese characters,
    which WordPiece shows there."""
    spelt = [vocabulary.spellings[number] or _BOUNDARY for number in ids.tolist()]
    for place, (before, piece) in enumerate(pairwise(spelt), start=1):
        if piece[:1] == b" " and _starts_han(piece[1:]) and _ends_han(before):
            spelt[place] = piece[1:]
    return spelt


@cache
def _starts_han(piece: bytes) -> bool:
    return _HAN.match(piece.decode("utf-8", "replace")) is not None


@cache
def _ends_han(piece: bytes) -> bool:
    return _HAN.match(piece.decode("utf-8", "replace")[-1:]) is not None


def _inside_a_word(text: bytes, segmentation: Segmentation) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """(len(text) + 1,) whether a cut before the byte would fall inside a word."""
    inside = np.zeros(len(text) + 1, np.bool_)
    # Half a character at an end of the row is a character of its own; U+FFFD would change the number of bytes.
    characters = text.decode("utf-8", "surrogateescape")
    sizes = [1 if 0xDC80 <= ord(character) <= 0xDCFF else len(character.encode()) for character in characters]
    byte_of = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
    for start, stop in _words(characters, segmentation):
        inside[byte_of[start] + 1 : byte_of[stop]] = True
    return inside


def _words(text: str, segmentation: Segmentation) -> list[tuple[int, int]]:
    """Where words start and stop; also each other character, so that its bytes stay together."""
    spans: list[tuple[int, int]] = []
    place = 0
    for match in _WORD.finditer(text):
        spans += [(i, i + 1) for i in range(place, match.start())]
        if match["han"] is None:
            spans.append(match.span())
        else:
            words = chinese_words(match[0]) if segmentation == "rjieba" else list(match[0])
            ends = np.cumsum([0, *map(len, words)]) + match.start()
            spans += list(pairwise(ends.tolist()))
        place = match.end()
    return spans + [(i, i + 1) for i in range(place, len(text))]
