"""Count the n-grams of documents: every order at once, by sorting instead of hashing.

A k-gram is stored as one integer, `parent * (V + 1) + last token`, where `parent` is the row of its first
k - 1 tokens among the (k-1)-grams. Codes stay small at any order, one sorted array holds an order, and a
binary search finds a k-gram.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wenlu.errors import DataError

Ints = np.ndarray[Any, np.dtype[np.int64]]
Bools = np.ndarray[Any, np.dtype[np.bool_]]

ABSENT = -1
"""The row of a k-gram that was never seen; as an index it means the last entry, where levels keep its values."""


@dataclass(frozen=True)
class Positions:
    """Documents laid end to end, each as BEGIN, tokens, end of text; BEGIN is the symbol V, outside the vocabulary.

    Attributes:
        symbols: (P,) the symbol at each position.
        depth: (P,) how many positions of the same document stand before it; 0 at BEGIN.
    """

    symbols: Ints
    depth: Ints

    @classmethod
    def lay(cls, documents: Iterable[Sequence[int] | Ints], *, vocab_size: int, eos_id: int) -> Positions:
        """Raises DataError where an id is outside the vocabulary."""
        rows = [np.asarray(document, dtype=np.int64) for document in documents]
        lengths = np.array([len(row) + 2 for row in rows], dtype=np.int64)
        starts = np.cumsum(lengths) - lengths
        symbols = np.full(int(lengths.sum()), eos_id, dtype=np.int64)
        symbols[starts] = vocab_size
        depth = np.arange(len(symbols)) - np.repeat(starts, lengths)
        inside = np.ones(len(symbols), dtype=bool)
        inside[starts] = inside[starts + lengths - 1] = False
        if rows:
            symbols[inside] = np.concatenate(rows)
        beyond = np.flatnonzero((depth > 0) & ((symbols < 0) | (symbols >= vocab_size)))
        if len(beyond):
            document = int(np.searchsorted(starts, beyond[0], side="right")) - 1
            raise DataError(
                f"document {document}: token id {symbols[beyond[0]]} is outside the vocabulary of {vocab_size}; "
                "is it the tokenizer that made these ids?"
            )
        return cls(symbols, depth)


@dataclass(frozen=True)
class Order:
    """The distinct k-grams of the documents, k >= 2.

    Attributes:
        base: V + 1, the number of symbols.
        codes: (M,) sorted, unlike each other.
        parent: (M,) row of the first k - 1 tokens, among the (k-1)-grams (a symbol when k = 2).
        suffix: (M,) row of the last k - 1 tokens.
        count: (M,) occurrences.
        begins: (M,) whether it starts at BEGIN.
    """

    base: int
    codes: Ints
    parent: Ints
    suffix: Ints
    count: Ints
    begins: Bools

    def find(self, parent: Ints, last: Ints) -> Ints:
        """The row of each k-gram; ABSENT where it was never seen, as below an ABSENT parent: its codes are negative."""
        codes = parent * self.base + last
        if not len(self.codes):
            return np.full_like(codes, ABSENT)
        rows = np.minimum(np.searchsorted(self.codes, codes), len(self.codes) - 1)
        return np.where(self.codes[rows] == codes, rows, ABSENT)


@dataclass(frozen=True)
class NgramCounts:
    """Counts of every order up to the highest.

    Attributes:
        unigrams: (V + 1,) occurrences of each symbol as a target; 0 for BEGIN, which is never one.
        orders: the k-grams of k = 2, 3, …
    """

    vocab_size: int
    eos_id: int
    unigrams: Ints
    orders: tuple[Order, ...]

    @property
    def num_tokens(self) -> int:
        """Targets that were counted, the ends of text included."""
        return int(self.unigrams.sum())

    @classmethod
    def of(
        cls, documents: Iterable[Sequence[int] | Ints], *, highest: int, vocab_size: int, eos_id: int
    ) -> NgramCounts:
        """Count the k-grams of `documents` (token ids without BOS and EOS) for every k up to `highest`."""
        positions = Positions.lay(documents, vocab_size=vocab_size, eos_id=eos_id)
        base = vocab_size + 1
        if not len(positions.symbols):
            raise DataError("no documents to count n-grams in; is the training split empty?")
        unigrams = np.bincount(positions.symbols[positions.depth > 0], minlength=base)
        rows = positions.symbols  # of the (k-1)-gram that ends at each position
        orders = []
        for k in range(2, highest + 1):
            at = np.flatnonzero(positions.depth >= k - 1)
            codes, inverse = np.unique(rows[at - 1] * base + positions.symbols[at], return_inverse=True)
            first = np.empty(len(codes), dtype=np.int64)
            first[inverse] = at
            orders.append(
                Order(
                    base=base,
                    codes=codes,
                    parent=codes // base,
                    suffix=rows[first],
                    count=np.bincount(inverse, minlength=len(codes)),
                    begins=positions.depth[first] == k - 1,
                )
            )
            rows = np.full(len(positions.symbols), ABSENT, dtype=np.int64)
            rows[at] = inverse
        return cls(vocab_size, eos_id, unigrams, tuple(orders))
