"""The likeliest tags of words, of the scores that a model gives to each, and none that the scheme does not allow."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wenlu.models.layers.crf import CRF
from wenlu.tasks.tagging.schemes import Scheme, spans, transition_mask
from wenlu.tasks.tagging.words import Mention, Words

TEXTS_AT_ONCE = 64
Scores = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Tagset:
    """The tags that a model may give.

    Attributes:
        scheme: which of them may follow which; None: all may follow all.
    """

    tags: tuple[str, ...]
    scheme: Scheme | None = None

    @cached_property
    def allowed(self) -> Tensor | None:
        return None if self.scheme is None else transition_mask(self.tags, self.scheme)


@dataclass(frozen=True)
class Found:
    """An entity in a text.

    Attributes:
        probability: the product over its words of how probable each one's tag is among all tags that are allowed.
    """

    mention: Mention
    probability: float


@dataclass(frozen=True)
class TaggedWords:
    """What is said of a text: the tag of each word with its probability, and the entities that the tags write."""

    words: Words
    tags: tuple[str, ...]
    probabilities: tuple[float, ...]
    entities: tuple[Found, ...]


def decoded(texts: Sequence[Words], scores: Sequence[Scores], tagset: Tagset, crf: CRF | None) -> list[TaggedWords]:
    """The best tags of each text.

    Args:
        scores: (V, L) of each text, a row a word.
        crf: scores of neighbours; without one each word is judged by itself, but for what is allowed.
    """
    # One that has learnt nothing yet judges each word by itself.
    chain = CRF(len(tagset.tags)) if crf is None else copy.deepcopy(crf).cpu()
    found: list[TaggedWords | None] = [None] * len(texts)
    order = sorted(range(len(texts)), key=lambda number: len(scores[number]))
    for begin in range(0, len(order), TEXTS_AT_ONCE):
        places = order[begin : begin + TEXTS_AT_ONCE]
        paths, chances = _best([scores[place] for place in places], tagset, chain)
        for place, path, chance in zip(places, paths, chances, strict=True):
            found[place] = _told(texts[place], path, chance, tagset)
    return [one for one in found if one is not None]


def _best(
    scores: Sequence[Scores], tagset: Tagset, chain: CRF
) -> tuple[Sequence[Sequence[int]], Sequence[Sequence[float]]]:
    """For each text the number of each word's tag, and its probability."""
    lengths = torch.tensor([len(values) for values in scores])
    padded = torch.zeros(len(scores), int(lengths.max()), len(tagset.tags), dtype=torch.float64)
    for row, values in zip(padded, scores, strict=True):
        row[: len(values)] = torch.as_tensor(values, dtype=torch.float64)
    paths = chain.decode(padded, lengths, tagset.allowed)
    chances = chain.marginals(padded, lengths, tagset.allowed)
    return paths, [
        row[torch.arange(len(path)), torch.tensor(path, dtype=torch.long)].tolist()
        for row, path in zip(chances, paths, strict=True)
    ]


def _told(words: Words, path: Sequence[int], chances: Sequence[float], tagset: Tagset) -> TaggedWords:
    tags = tuple(tagset.tags[number] for number in path)
    entities = spans(tags, tagset.scheme) if tagset.scheme is not None else ()
    found = [Found(words.mention(one), math.prod(chances[one.start : one.end])) for one in entities]
    return TaggedWords(words, tags, tuple(chances), tuple(found))
