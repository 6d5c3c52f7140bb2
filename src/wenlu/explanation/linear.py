"""A text before a linear model: pieces are words, and one is taken out by leaving it out of the text."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from wenlu.evaluation.linear.groups import Item, Terms
from wenlu.evaluation.linear.predictor import LinearModel
from wenlu.evaluation.linear.weights import Weights
from wenlu.explanation.subject import Asked, Between, Bools, Floats, Part, Piece, Told, go_on
from wenlu.explanation.term_places import Occurrences, occurrences

TEXTS_AT_ONCE = 64


@dataclass(frozen=True)
class LinearTerms:
    """A score, taken apart.

    Attributes:
        amounts: (P,). elsewhere: terms of features that stand nowhere in the text, by their name.
        difference: the score without its bias, which is the sum of both.
    """

    amounts: Floats
    elsewhere: tuple[tuple[str, float], ...]
    difference: float


@dataclass(frozen=True)
class LinearSubject:
    """A `Subject` whose number is a sum of terms.

    Attributes:
        item: the text, and its columns. towards: (L,) the number is its product with the scores. column: of the scores,
            whose probability falls; None: the number itself.
    """

    model: LinearModel
    item: Item
    towards: Floats
    column: int | None
    told: Told
    parts: tuple[Part, ...]
    pieces: tuple[Piece, ...]
    model_digest: str
    removal: str = "left out"
    tokenizer_digest: str | None = None
    between: Between = go_on

    def ask(self, kept: Bools) -> Asked:
        found = [self._ask(part) for part in np.array_split(kept, -(-len(kept) // TEXTS_AT_ONCE))]
        return Asked(*(np.concatenate(one) for one in zip(*found, strict=True)))

    def _ask(self, kept: Bools) -> tuple[Floats, Floats]:
        self.between()
        texts = [self._text(row) for row in kept]
        items = [replace(self.item, text=text) for text in texts]
        scores = self.model.weights.scores(self.model.features.rows(items))
        values = scores @ self.towards
        if self.column is None:
            return values, values
        answers = self.model.read(scores)
        return values, np.array([answer.probabilities[self.column] for answer in answers])

    def randomised(self, seed: int) -> LinearSubject:
        """Each output's weights change places among the features that there are."""
        own, dice = self.model.weights, np.random.default_rng(seed)
        shuffled = Weights(np.stack([dice.permutation(row) for row in own.weights]), own.bias, own.reads)
        return replace(self, model=replace(self.model, weights=shuffled))

    def terms(self) -> LinearTerms:
        features, weights = self.model.features, self.model.weights
        values = weights.values(features.rows([self.item]))
        terms = values.multiply(self.towards @ weights.weights).tocsr()
        names = features.names
        where: Mapping[str, Occurrences] = {
            group.name: occurrences(group, features, self.item.text)
            for group in features.groups
            if isinstance(group, Terms)
        }
        by_character = np.zeros(len(self.item.text))
        elsewhere: dict[str, float] = defaultdict(float)
        for place, amount in zip(terms.indices.tolist(), terms.data.tolist(), strict=True):
            group, name = names[place]
            spans = where[group].get(name, ()) if group in where else ()
            size = sum(end - start for start, end in spans)
            for start, end in spans:
                by_character[start:end] += amount / size
            if not size:
                elsewhere[f"{group}: {name}" if group in ("numbers", "categories") else group] += amount
        amounts = np.array([by_character[piece.start : piece.end].sum() for piece in self._whole()])
        rest = tuple(sorted(elsewhere.items()))
        return LinearTerms(amounts, rest, float(terms.sum()))

    def _whole(self) -> Iterator[Piece]:
        """The pieces, each with what is between it and the one before, so that no character is left out."""
        begin = 0
        for number, piece in enumerate(self.pieces):
            end = len(self.item.text) if number == len(self.pieces) - 1 else piece.end
            yield Piece(piece.part, begin, end)
            begin = end

    def _text(self, kept: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> str:
        return "".join(
            self.item.text[piece.start : piece.end] for piece, stays in zip(self._whole(), kept, strict=True) if stays
        )
