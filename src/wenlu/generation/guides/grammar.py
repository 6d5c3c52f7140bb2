"""Answers by a grammar, which llguidance reads (MIT, https://github.com/guidance-ai/llguidance).

An answer is read byte by byte, so that a token may be spelt otherwise at the beginning of a text than within it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from wenlu.errors import UsageError
from wenlu.generation.guides.spellings import Spellings
from wenlu.generation.guides.vocabulary import Vocabulary

_SCHEMA = re.compile(r"^at \d+\(\d+\): failed to compile JSON schema: ")
_WHERE = re.compile(r"\n\s*\d+ \| ")


@dataclass(frozen=True, eq=False)
class Matcher:
    """A matcher of llguidance over a vocabulary."""

    inner: Any
    vocabulary: Vocabulary

    def copy(self) -> Matcher:
        return Matcher(self.inner.deep_copy(), self.vocabulary)


class Grammar:
    """A guide to one answer.

    Args:
        matcher: at its beginning; it is this guide's own.
        first: the same, of what tokens spell at the beginning of a text; None where text stands before the answer, or
            they are spelt alike.
        where: what messages call the grammar.
    """

    def __init__(
        self, matcher: Matcher, spellings: Spellings, ends: frozenset[int], *, where: str, first: Matcher | None = None
    ) -> None:
        self._matcher = matcher
        self._first = first
        self._spellings = spellings
        self._ends = [token for token in ends if token < len(spellings.later)]
        self._where = where
        self._read: list[int] = []

    def mask(self, answer: Sequence[int]) -> Tensor:
        self._follow(answer)
        matcher = self._matcher if answer or self._first is None else self._first
        bits = matcher.inner.compute_bitmask()
        self._check(matcher)
        mask = matcher.vocabulary.mask(bits)
        mask[self._ends] = bool(self._matcher.inner.is_accepting())
        return mask

    def is_complete(self, answer: Sequence[int]) -> bool:
        self._follow(answer)
        return bool(self._matcher.inner.is_accepting())

    def is_full(self, answer: Sequence[int]) -> bool:
        self._follow(answer)
        return bool(self._matcher.inner.is_stopped())

    def _follow(self, answer: Sequence[int]) -> None:
        """Move the matcher from the answer that it last read to this one."""
        tokens = list(answer)
        same = len(self._read)
        if tokens[:same] != self._read:
            pairs = zip(tokens, self._read, strict=False)
            same = next((place for place, (new, old) in enumerate(pairs) if new != old), len(tokens))
        inner, of_byte = self._matcher.inner, self._matcher.vocabulary.of_byte
        undone = sum(len(self._piece(place, self._read[place])) for place in range(same, len(self._read)))
        if undone:
            inner.rollback(undone)
        fresh = [of_byte[value] for place in range(same, len(tokens)) for value in self._piece(place, tokens[place])]
        if fresh:
            inner.consume_tokens(fresh)
        self._read = tokens
        self._check(self._matcher)

    def _piece(self, place: int, token: int) -> bytes:
        return self._spellings.piece(token, begins=place == 0 and self._first is not None)

    def _check(self, matcher: Matcher) -> None:
        if matcher.inner.is_error():
            raise UsageError(f"{self._where}: {short(matcher.inner.get_error())}; make it simpler")


def short(message: str) -> str:
    """An error of llguidance in a line, without what it is an error in."""
    text = _WHERE.split(_SCHEMA.sub("", message.replace("<non-verbose/>", "")))[0]
    text = " ".join(text.split())
    return text if len(text) <= 300 else f"{text[:300]} …"
