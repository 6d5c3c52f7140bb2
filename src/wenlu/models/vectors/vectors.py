"""Words as vectors, and what can be asked of them: similarity, neighbours, analogies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from wenlu.errors import DataError
from wenlu.models.vectors.ngrams import Matrix, NgramVectors
from wenlu.models.vectors.questions import Analogy, WordPair

Ints = np.ndarray[Any, np.dtype[np.int64]]

MAX_EVALUATED = 300_000
"""Questions are answered with the first words alone, so that scores of large vocabularies can be compared."""

_AT_ONCE = 1 << 24  # similarities, 64 MB


@dataclass(frozen=True)
class Neighbour:
    """A word and the cosine of the angle between it and what was asked."""

    word: str
    score: float


@dataclass(frozen=True, eq=False)
class WordVectors:
    """A vector for each word.

    Attributes:
        words: distinct, the most frequent first, as questions and `MAX_EVALUATED` assume.
        matrix: (V, D) float32.
        ngrams: FastText's, for words that are not among `words`.
    """

    words: tuple[str, ...]
    matrix: Matrix = field(repr=False)
    ngrams: NgramVectors | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.matrix.ndim != 2 or self.matrix.dtype != np.float32 or len(self.matrix) != len(self.words):
            raise ValueError(f"{len(self.words)} words, but a matrix of {self.matrix.dtype} {self.matrix.shape}")
        if len(self._index) != len(self.words):
            twice = next(word for i, word in enumerate(self.words) if self._index[word] != i)
            raise ValueError(f"the word {twice!r} stands twice among {len(self.words)}")

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: str) -> bool:
        return word in self._index

    @property
    def dimensions(self) -> int:
        return int(self.matrix.shape[1])

    def vector(self, word: str) -> Matrix:
        """(D,) of a word, or of its variant in another case; FastText's make one from the letters of any other.

        Raises DataError where there is none.
        """
        found = self._place(word)
        if found is not None:
            known: Matrix = self.matrix[found]
            return known
        made = None if self.ngrams is None else self.ngrams.vector(word)
        if made is None:
            hint = "FastText's vectors would know it by its letters" if self.ngrams is None else "it has no n-grams"
            raise DataError(f"{word!r} is not among the {len(self.words):,} words; {hint}")
        return made

    def similarity(self, first: str, second: str) -> float:
        """The cosine of the angle between two words; 0 for a vector of zeros. Raises DataError."""
        return float(unit(self.vector(first)) @ unit(self.vector(second)))

    def neighbours(self, plus: Sequence[str], minus: Sequence[str] = (), *, count: int = 10) -> list[Neighbour]:
        """The words nearest to the sum of unit vectors, those that were asked about left out.

        Raises DataError for a word without a vector.
        """
        terms = [unit(self.vector(word)) for word in plus] + [-unit(self.vector(word)) for word in minus]
        if not terms:
            raise DataError("no word to look for neighbours of; give one, as in 'king', or 'king - man + woman'")
        scores = self._unit @ unit(np.sum(terms, axis=0, dtype=np.float32))
        asked = {place for word in (*plus, *minus) if (place := self._place(word)) is not None}
        best = np.argsort(-scores, kind="stable")[: count + len(asked)]
        return [Neighbour(self.words[i], float(scores[i])) for i in best.tolist() if i not in asked][:count]

    def analogy(self, a: str, b: str, c: str, *, count: int = 10) -> list[Neighbour]:
        """What is to `c` as `b` is to `a`: nearest to b - a + c (3CosAdd: Mikolov, Yih & Zweig 2013,
        "Linguistic regularities in continuous space word representations", section 4)."""
        return self.neighbours([b, c], [a], count=count)

    def answer(self, examples: Sequence[WordPair | Analogy]) -> list[float | str | None]:
        """The similarity of each pair, the word that completes each analogy; None where a word is not known.

        As is usual, case is ignored (of several variants the most frequent counts), only the first `MAX_EVALUATED`
        words take part, n-grams do not, and an analogy is skipped too where its expected word is not known.
        """
        answers: list[float | str | None] = [None] * len(examples)
        places: list[tuple[int, list[int]]] = []
        for number, example in enumerate(examples):
            found = [self._folded.get(word.upper()) for word in _words_of(example)]
            known = [place for place in found if place is not None]
            if len(known) < len(found):
                continue
            if isinstance(example, WordPair):
                answers[number] = float(self._unit[known[0]] @ self._unit[known[1]])
            else:
                places.append((number, known[:3]))
        for chunk in _chunks(places, max(1, _AT_ONCE // max(1, len(self.words)))):
            found_words = self._completed(np.array([abc for _, abc in chunk]))
            for (number, _), place in zip(chunk, found_words, strict=True):
                answers[number] = None if place is None else self.words[place]
        return answers

    def _completed(self, abc: Ints) -> list[int | None]:
        """For each row of three places, the place nearest to b - a + c that is no variant of the three."""
        a, b, c = (self._unit[abc[:, i]] for i in range(3))
        scores = (b + c - a) @ self._unit[:MAX_EVALUATED].T
        for row, three in enumerate(abc.tolist()):
            scores[row, [variant for place in three for variant in self._variants[place]]] = -np.inf
        best = scores.argmax(axis=1)
        return [int(i) if np.isfinite(scores[row, i]) else None for row, i in enumerate(best)]

    def _place(self, word: str) -> int | None:
        exact = self._index.get(word)
        return self._folded.get(word.upper()) if exact is None else exact

    @cached_property
    def _index(self) -> dict[str, int]:
        return {word: i for i, word in enumerate(self.words)}

    @cached_property
    def _folded(self) -> dict[str, int]:
        """The first place of each word, whatever its case."""
        folded: dict[str, int] = {}
        for i, word in enumerate(self.words[:MAX_EVALUATED]):
            folded.setdefault(word.upper(), i)
        return folded

    @cached_property
    def _variants(self) -> dict[int, list[int]]:
        """By the place of its first variant, all places of a word in some case."""
        variants: dict[int, list[int]] = {}
        for i, word in enumerate(self.words[:MAX_EVALUATED]):
            variants.setdefault(self._folded[word.upper()], []).append(i)
        return variants

    @cached_property
    def _unit(self) -> Matrix:
        """(V, D) the vectors with length 1."""
        lengths: Matrix = np.linalg.norm(self.matrix, axis=1, keepdims=True).astype(np.float32)
        lengths[lengths == 0] = 1
        unit_matrix: Matrix = self.matrix / lengths
        return unit_matrix


def unit(vector: Matrix) -> Matrix:
    """The vector with length 1; zeros stay."""
    length = np.linalg.norm(vector)
    return vector / length if length > 0 else vector


def _words_of(example: WordPair | Analogy) -> tuple[str, ...]:
    match example:
        case WordPair():
            return example.first, example.second
        case Analogy():
            return example.a, example.b, example.c, example.expected


def _chunks(items: list[tuple[int, list[int]]], size: int) -> Iterator[list[tuple[int, list[int]]]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
