"""The bytes that each token of a vocabulary adds to an answer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from weakref import WeakKeyDictionary

from wenlu.errors import DataError
from wenlu.generation.guides.vocabulary import Vocabulary, vocabulary_of
from wenlu.tokenizers import Tokenizer


@dataclass(frozen=True, eq=False)
class Spellings:
    """Of a tokenizer's ids; no bytes for special tokens, for those that only mark a place, and for gaps.

    Attributes:
        later: within a text.
        first: where the token begins a text: there SentencePiece writes no space, and WordPiece no `##`.
    """

    later: tuple[bytes, ...]
    first: tuple[bytes, ...]

    @cached_property
    def ids(self) -> dict[bytes, list[int]]:
        """The tokens of each spelling within a text."""
        return _by_spelling(self.later)

    @cached_property
    def first_ids(self) -> dict[bytes, list[int]]:
        return _by_spelling(self.first)

    def vocabulary(self, *, first: bool) -> Vocabulary:
        """The spellings as llguidance reads them; raises MissingExtra."""
        return self._first_vocabulary if first else self._later_vocabulary

    def piece(self, token: int, *, begins: bool) -> bytes:
        """What the token adds to a text; `begins` where it is the first of it."""
        return (self.first if begins else self.later)[token]

    @cached_property
    def _later_vocabulary(self) -> Vocabulary:
        return vocabulary_of(self.later)

    @cached_property
    def _first_vocabulary(self) -> Vocabulary:
        return vocabulary_of(self.first)


_KNOWN: WeakKeyDictionary[Tokenizer, Spellings] = WeakKeyDictionary()
"""Of the tokenizers that are in use."""


def spellings_of(tokenizer: Tokenizer) -> Spellings:
    """Worked out once a tokenizer."""
    known = _KNOWN.get(tokenizer)
    if known is None:
        known = _KNOWN[tokenizer] = _spelled(tokenizer)
    return known


def _spelled(tokenizer: Tokenizer) -> Spellings:
    special = frozenset(tokenizer.special_tokens.values())
    later, first = [], []
    for token in range(tokenizer.vocab_size):
        try:
            known = token not in special
            later.append(tokenizer.spelling(token) if known else b"")
            first.append(tokenizer.first_spelling(token) if known else b"")
        except DataError:  # an id between others that the vocabulary does not have
            later.append(b"")
            first.append(b"")
    return Spellings(tuple(later), tuple(first))


def _by_spelling(spellings: tuple[bytes, ...]) -> dict[bytes, list[int]]:
    found: dict[bytes, list[int]] = {}
    for token, spelling in enumerate(spellings):
        if spelling:
            found.setdefault(spelling, []).append(token)
    return found
