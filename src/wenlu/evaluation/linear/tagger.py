"""A linear tagger: each word is judged by itself, its ends, its shape and its neighbours, then the best tags that the
scheme allows are found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from wenlu.evaluation.linear.groups import Sparse
from wenlu.evaluation.linear.learners import fit_logistic
from wenlu.evaluation.linear.weights import Weights
from wenlu.tasks.tagging.decoding import TaggedWords, decoded
from wenlu.tasks.tagging.examples import TaggedText
from wenlu.tasks.token_classification import TokenClassification

FEWEST = 2
"""So often a feature must stand in the training part to count."""
MOST = 500_000
C = 1.0
LONGEST_END = 4
EDGE = "<edge>"


@dataclass(frozen=True)
class WindowTagger:
    """A Predictor of `TokenClassification`."""

    task: TokenClassification
    places: Mapping[str, int]
    weights: Weights

    def answer(self, examples: Sequence[TaggedText]) -> list[TaggedWords]:
        texts = [example.words for example in examples]
        scores = self.weights.scores(_rows([window_features(words.texts) for words in texts], self.places))
        ends = np.cumsum([len(words) for words in texts])[:-1]
        return decoded(texts, np.split(scores, ends), self.task.tagset, None)


def fit(task: TokenClassification, examples: Sequence[TaggedText]) -> WindowTagger:
    """Logistic regression of each tag against the others."""
    known = [example for example in examples if example.is_answered]
    found = [window_features(example.words.texts) for example in known]
    counts = Counter(name for text in found for word in text for name in word)
    names = [name for name, count in counts.most_common(MOST) if count >= FEWEST]
    places = {name: place for place, name in enumerate(names)}
    tags = np.concatenate([task.classes(example) for example in known])
    holds = np.eye(len(task.tagset.tags))[tags]
    return WindowTagger(task, places, fit_logistic(_rows(found, places), holds, C, True))


def window_features(words: Sequence[str]) -> list[list[str]]:
    """What is seen of each word."""
    lower = [EDGE, EDGE, *(word.lower() for word in words), EDGE, EDGE]
    shapes = [EDGE, *(shape(word) for word in words), EDGE]
    return [list(_of_word(word, lower[n : n + 5], shapes[n : n + 3])) for n, word in enumerate(words)]


def shape(word: str) -> str:
    """Which kinds of characters stand one after the other: `Xx` of Rome, `X.X.` of U.S., `9-9-9` of 1996-08-22."""
    return "".join(kind for kind, _ in groupby(_kind(character) for character in word))


def _kind(character: str) -> str:
    tests = ((str.isupper, "X"), (str.islower, "x"), (str.isdigit, "9"), (str.isalpha, "o"))
    return next((kind for is_it, kind in tests if is_it(character)), character)


def _of_word(word: str, lower: Sequence[str], shapes: Sequence[str]) -> Iterator[str]:
    yield "bias"
    yield f"is {word}"
    yield from (f"{place - 2}:{near}" for place, near in enumerate(lower))
    yield from (f"shape {place - 1}:{near}" for place, near in enumerate(shapes))
    yield f"both {lower[1]} {lower[2]}"
    yield f"both {lower[2]} {lower[3]}"
    own = lower[2]
    for length in range(1, min(LONGEST_END, len(own)) + 1):
        yield f"begins {own[:length]}"
        yield f"ends {own[-length:]}"


def _rows(texts: Sequence[Sequence[Sequence[str]]], places: Mapping[str, int]) -> Sparse:
    """(V, F) of the words of all texts, 1 for what is seen."""
    from scipy.sparse import csr_matrix

    columns = [sorted({places[name] for name in word if name in places}) for text in texts for word in text]
    ends = np.cumsum([0, *(len(word) for word in columns)])
    flat = np.array([place for word in columns for place in word], np.int32)
    return csr_matrix((np.ones(len(flat)), flat, ends), shape=(len(columns), len(places)))
