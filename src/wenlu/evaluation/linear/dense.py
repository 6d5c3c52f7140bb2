"""Groups of features that other models give: the mean of word vectors, and an encoder's vector of a text.

Each is of length 1, as rows of TF-IDF are. A stored linear model says where the other model was, and asks it again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch

from wenlu.bundle import Bundle, VectorsBundle, load, load_any
from wenlu.corpus.steps.words import words_of
from wenlu.errors import UsageError
from wenlu.evaluation.linear.groups import Floats, Item, Sparse
from wenlu.models.vectors import WordVectors
from wenlu.tasks.embedding import Embedding
from wenlu.tasks.labelled.headed import pooled
from wenlu.tasks.labelled.layout import Layout

AT_ONCE = 32
"""Texts of a forward pass, sorted by length."""


@dataclass(frozen=True)
class MeanVectors:
    """The mean of the vectors of a text's words; those without a vector are passed over."""

    path: str
    name: str = "vectors"

    @cached_property
    def _vectors(self) -> WordVectors:
        bundle = load_any(self.path)
        if not isinstance(bundle, VectorsBundle):
            raise UsageError(f"features.vectors: {self.path} is a model that reads texts; name it in features.encoder")
        return bundle.model

    @property
    def names(self) -> Sequence[str]:
        return [f"mean {number}" for number in range(self._vectors.dimensions)]

    def rows(self, items: Sequence[Item]) -> Sparse:
        found = np.zeros((len(items), self._vectors.dimensions))
        for row, item in zip(found, items, strict=True):
            known = [self._vectors.vector(word) for word in words_of(item.text, punctuation=False) if self._knows(word)]
            if known:
                row[:] = np.mean(known, axis=0)
        return _unit(found)

    def _knows(self, word: str) -> bool:
        return word in self._vectors or word.lower() in self._vectors

    def state(self) -> dict[str, Any]:
        return {"path": self.path}

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> MeanVectors:
        return cls(state["path"])


@dataclass(frozen=True)
class Encoded:
    """What an encoder makes of a text: the vector that it was trained to give, or the mean of its hidden states."""

    path: str
    tokens: int
    name: str = "encoder"

    @cached_property
    def _bundle(self) -> Bundle:
        return load(self.path)

    @property
    def names(self) -> Sequence[str]:
        return [f"hidden {number}" for number in range(self._bundle.config.hidden_size)]

    def rows(self, items: Sequence[Item]) -> Sparse:
        texts, bundle = [item.text for item in items], self._bundle
        if isinstance(bundle.task, Embedding):
            return _unit(bundle.task.embed(bundle.model, texts, context=self.tokens).astype(np.float64))
        return _unit(_mean_states(bundle, texts, min(self.tokens, bundle.config.context or self.tokens)))

    def state(self) -> dict[str, Any]:
        return {"path": self.path, "tokens": self.tokens}

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Encoded:
        return cls(state["path"], state["tokens"])


@torch.inference_mode()
def _mean_states(bundle: Bundle, texts: Sequence[str], most: int) -> Floats:
    layout = Layout.of(bundle.tokenizer)
    room = layout.room(most, pair=False)
    rows = [layout.row(ids[:room])[0] or [bundle.tokenizer.pad_id or 0] for ids in bundle.tokenizer.encode_batch(texts)]
    order = sorted(range(len(rows)), key=lambda place: len(rows[place]))
    found = np.zeros((len(rows), bundle.config.hidden_size))
    bundle.model.eval()
    for begin in range(0, len(order), AT_ONCE):
        places = order[begin : begin + AT_ONCE]
        longest = len(rows[places[-1]])
        ids = torch.full((len(places), longest), bundle.tokenizer.pad_id or 0)
        mask = torch.zeros_like(ids)
        for row, place in enumerate(places):
            ids[row, : len(rows[place])] = torch.tensor(rows[place])
            mask[row, : len(rows[place])] = 1
        states = bundle.model.hidden(ids, attention_mask=mask)
        found[places] = pooled(states.float(), mask, "mean").numpy()
    return found


def _unit(values: Floats) -> Sparse:
    from scipy.sparse import csr_matrix

    return csr_matrix(values / np.linalg.norm(values, axis=1, keepdims=True).clip(min=1e-12))
