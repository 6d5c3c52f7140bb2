"""From pieces that a model reads to what a person reads: tokens, characters, words, sentences."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from wenlu.corpus.script import is_mostly_han
from wenlu.corpus.steps.sentences import sentences_of
from wenlu.corpus.steps.words import words_of
from wenlu.explanation.subject import Floats, Part, Piece
from wenlu.tasks.tagging.words import Words
from wenlu.tokenizers import Span

Level = Literal["token", "character", "word", "sentence"]
GRID = 2.0**-32
"""Attributions are multiples of it, so that float64 adds them without rounding, in whatever order."""


@dataclass(frozen=True)
class Unit:
    """Characters `start` to before `end` of a part, and the pieces that are theirs; one without is not read."""

    part: int
    start: int
    end: int
    pieces: tuple[int, ...]


def on_grid(amounts: Floats) -> Floats:
    """The nearest multiples of GRID: off by at most 1.2e-10."""
    found: Floats = np.round(amounts / GRID) * GRID
    return found


def summed(amounts: Floats, units: Sequence[Unit]) -> Floats:
    """(U,) of amounts (P,) on the grid; both have exactly the same sum."""
    return np.array([amounts[list(unit.pieces)].sum() for unit in units], np.float64)


def units_of(parts: Sequence[Part], pieces: Sequence[Piece], level: Level) -> list[Unit]:
    """In the order of the text, and every piece in one of them; what a piece reaches over is one unit.

    Raises MissingExtra for words of Chinese without rjieba.
    """
    found: list[Unit] = []
    for number, part in enumerate(parts):
        own = [place for place, piece in enumerate(pieces) if piece.part == number]
        spans = [(pieces[place].start, pieces[place].end) for place in own]
        if level == "word" or level == "sentence":
            borders = list(spans_of(part.text, level))
        else:
            borders = _joined(spans, Words.characters(part.text).spans)
        borders = borders or [(0, len(part.text))] * bool(own)
        starts = [start for start, _ in borders]
        members: list[list[int]] = [[] for _ in borders]
        is_joined = [False] * len(borders)  # with the next one
        for place, (start, end) in zip(own, spans, strict=True):
            first = max(0, bisect_right(starts, start) - 1)
            members[first].append(place)
            for between in range(first, bisect_right(starts, end - 1) - 1):
                is_joined[between] = True
        begin = 0
        for place, goes_on in enumerate(is_joined):
            if not goes_on:
                inside = [piece for one in members[begin : place + 1] for piece in one]
                found.append(Unit(number, borders[begin][0], borders[place][1], tuple(inside)))
                begin = place + 1
    return found


def _joined(spans: Sequence[Span], characters: Sequence[Span]) -> list[Span]:
    """What tokens are of, in whole characters: bytes of one emoji are one, and so is a token of three letters."""
    starts = [start for start, _ in characters]
    found: list[Span] = []
    for start, end in spans:
        if start == end or not characters:
            continue
        start = min(start, characters[max(0, bisect_right(starts, start) - 1)][0])
        end = max(end, characters[max(0, bisect_right(starts, end - 1) - 1)][1])
        if found and start < found[-1][1]:
            start, end = found[-1][0], max(end, found.pop()[1])
        found.append((start, end))
    return found


def spans_of(text: str, level: Literal["word", "sentence"]) -> Iterator[Span]:
    """Where its words and signs are, or its sentences; raises MissingExtra as `units_of`."""
    if level == "sentence":
        yield from placed(text, sentences_of(text), 0)
        return
    for start, end, is_chinese in _runs(text):
        if is_chinese:
            yield from placed(text[start:end], words_of(text[start:end]), start)
        else:
            yield start, end


def _runs(text: str) -> list[tuple[int, int, bool]]:
    """Words and signs, but of Chinese whole stretches, which are still to be cut."""
    runs: list[tuple[int, int, bool]] = []
    for start, end in Words.in_text(text).spans:
        is_chinese = is_mostly_han(text[start:end])
        if is_chinese and runs and runs[-1][1:] == (start, True):
            start = runs.pop()[0]
        runs.append((start, end, is_chinese))
    return runs


def placed(text: str, pieces: Iterable[str], offset: int) -> Iterator[Span]:
    """Where pieces stand that hold all of a text but for its white space; `offset` is added."""
    signs = [place for place, character in enumerate(text) if not character.isspace()]
    begin = 0
    for piece in pieces:
        end = begin + sum(not character.isspace() for character in piece)
        yield offset + signs[begin], offset + signs[end - 1] + 1
        begin = end
