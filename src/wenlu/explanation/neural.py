"""A text before a neural model: pieces are tokens, and one is taken out by another vector in place of its embedding."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from wenlu.explanation.baselines import embedding_of
from wenlu.explanation.subject import Asked, Between, Bools, Floats, Part, Piece, Told, go_on
from wenlu.models import LanguageModel
from wenlu.tasks.labelled.headed import Headed
from wenlu.tasks.task import Batch

TOKENS_AT_ONCE = 1024
"""Of a forward pass; more are no faster, keep more in memory for gradients, and cannot be stopped for as long."""


@dataclass(frozen=True)
class Row:
    """What the model reads at once.

    Attributes:
        ids: (T,) int64. types: (T,) or None. owners: (T,) the piece that a token is, -1 for those around the text.
        read_at: (T,) shares of the positions that the head reads, for attention.
    """

    ids: Tensor
    types: Tensor | None
    owners: Tensor
    read_at: Tensor


@dataclass(frozen=True)
class Aim:
    """Which number is explained.

    Attributes:
        read: from the model and a batch to scores (B, K).
        direction: (K,); the number is its product with the scores, the mean over all rows of the text.
        chance: from scores (n, K), the mean over rows, to (n,).
    """

    read: Callable[[LanguageModel, Batch], Tensor]
    direction: Tensor
    chance: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class NeuralSubject:
    """A `Subject` whose number has a gradient.

    Attributes:
        model: one that nothing else asks meanwhile, since its embedding is told what to give.
        baseline: (D,) what stands in the place of an embedding.
    """

    model: LanguageModel
    rows: tuple[Row, ...]
    aim: Aim
    baseline: Tensor
    told: Told
    parts: tuple[Part, ...]
    pieces: tuple[Piece, ...]
    removal: str
    model_digest: str
    tokenizer_digest: str | None
    between: Between = go_on

    @property
    def body(self) -> LanguageModel:
        return body_of(self.model)

    @torch.no_grad()
    def ask(self, kept: Bools) -> Asked:
        sums: list[Tensor] = []
        for row in self.rows:
            there = _there(row, torch.from_numpy(kept).to(row.ids.device))  # (n, T)
            own = self.embedded(row)
            scores = [
                self._scores(row, torch.where(part[..., None], own, self.baseline))
                for part in torch.split(there, max(1, TOKENS_AT_ONCE // len(row.ids)))
            ]
            sums.append(torch.cat(scores))
        mean = torch.stack(sums).mean(dim=0)
        values, chances = mean @ self.aim.direction, self.aim.chance(mean)
        return Asked(values.double().cpu().numpy(), chances.double().cpu().numpy())

    @torch.no_grad()
    def embedded(self, row: Row) -> Tensor:
        """(T, D) the tokens as the model embeds them."""
        found: Tensor = embedding_of(self.body)(row.ids[None])[0]
        return found

    def path(self, row: Row, shares: Floats) -> tuple[Tensor, Tensor]:
        """(T, D) the way from the baseline to a row's embeddings, and (n, T, D) where after so much of it one is.

        Tokens around the text stay.
        """
        own = self.embedded(row)
        way = torch.where((row.owners >= 0)[:, None], own - self.baseline, torch.zeros_like(own))
        share = torch.tensor(shares, dtype=own.dtype, device=own.device)
        return way, own - (1 - share)[:, None, None] * way

    @torch.no_grad()
    def value_at(self, share: float) -> float:
        """The number after a share of the path."""
        found = [self._scores(row, self.path(row, np.array([share]))[1]) @ self.aim.direction for row in self.rows]
        return torch.stack(found).mean().item()

    def read_row(self, row: Row) -> Tensor:
        """(1, K) what is said of a row as it is."""
        return self._scores(row, self.embedded(row)[None])

    def slope(self, row: Row, vectors: Tensor) -> Tensor:
        """(n, T, D) the gradient of the number at embeddings (n, T, D) of a row, of which there may be several."""
        found = []
        for part in torch.split(vectors, max(1, TOKENS_AT_ONCE // len(row.ids))):
            with torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):  # its RNNs learn in training alone
                leaf = part.detach().requires_grad_(True)
                number = (self._scores(row, leaf) @ self.aim.direction).sum() / len(self.rows)
                found.append(torch.autograd.grad(number, leaf)[0])
        return torch.cat(found)

    def by_piece(self, row: Row, amounts: Tensor) -> Floats:
        """(P,) of amounts (T,) of a row's tokens."""
        found = np.zeros(len(self.pieces))
        owners = row.owners.cpu().numpy()
        np.add.at(found, owners[owners >= 0], amounts.double().cpu().numpy()[owners >= 0])
        return found

    def randomised(self, seed: int) -> NeuralSubject:
        """Each weight tensor keeps its numbers and loses the order of its rows, and of its columns."""
        model = deepcopy(self.model)
        dice = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for tensor in dict.fromkeys([*model.parameters(), *(b for b in model.buffers() if b.ndim > 1)]):
                shuffled = tensor
                for axis, size in enumerate(tensor.shape):
                    order = torch.randperm(size, generator=dice).to(tensor.device)
                    shuffled = shuffled.index_select(axis, order)
                tensor.copy_(shuffled)
        return replace(self, model=model)

    def _scores(self, row: Row, vectors: Tensor) -> Tensor:
        """(n, K), at least in float32."""
        self.between()
        count = len(vectors)
        batch = Batch(
            input_ids=row.ids.expand(count, -1),
            targets=torch.empty(0),
            attention_mask=torch.ones(count, len(row.ids), dtype=torch.int64, device=row.ids.device),
            token_types=None if row.types is None else row.types.expand(count, -1),
        )
        with _embedded_as(self.body, vectors):
            scores = self.aim.read(self.model, batch)
        return scores.to(torch.promote_types(scores.dtype, torch.float32))


def body_of(model: LanguageModel) -> LanguageModel:
    return model.body if isinstance(model, Headed) else model


def _there(row: Row, kept: Tensor) -> Tensor:
    """(n, T) which tokens stay, of pieces (n, P) that do; those around the text always."""
    return torch.where(row.owners >= 0, kept[:, row.owners.clamp(min=0)], torch.ones_like(row.owners, dtype=torch.bool))


@contextmanager
def _embedded_as(model: LanguageModel, vectors: Tensor) -> Iterator[None]:
    """Within, the model reads these vectors (B, T, D) for the tokens of its input."""

    def given(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:  # noqa: ARG001
        return vectors.to(output.dtype)

    handle = embedding_of(model).register_forward_hook(given)
    try:
        yield
    finally:
        handle.remove()
