"""What a document costs under a language model: each token once, in windows that slide over long documents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from wenlu.models import LanguageModel
from wenlu.progress import QUIET, Progress

Floats = np.ndarray[Any, np.dtype[np.float64]]
Symbols = np.ndarray[Any, np.dtype[np.int64]]
Ids = Sequence[int] | np.ndarray[Any, np.dtype[Any]]

BATCH_TOKENS = 8_192
LOGITS_AT_ONCE = 2**21


class Scorer(Protocol):
    """Gives the tokens of documents a probability: a model behind sliding windows, an n-gram."""

    def negative_log_likelihoods(self, documents: Sequence[Ids]) -> list[Floats]:
        """For each document of N tokens the cost in nats of its N + 1 targets, the last being the end of text."""


@dataclass(frozen=True)
class Window:
    """The model reads the inputs `start:end`; those from `first` on predict a target that no window before had."""

    start: int
    first: int
    end: int


def sliding(inputs: int, *, context: int, stride: int) -> Iterator[Window]:
    """Windows of at most `context` inputs that together predict each of the `inputs` targets once.

    The first window predicts all its targets, each later one its last `stride`, so these see at least
    `context - stride` tokens before them; the last window ends where the document does.
    """
    assert 1 <= stride <= context, f"a stride of {stride} would leave out targets of a context of {context}"
    done = 0
    while done < inputs:
        end = min(inputs, done + stride if done else context)
        yield Window(max(0, end - context), done, end)
        done = end


@dataclass(frozen=True)
class Piece:
    """The costs of some neighbouring targets of a document, the first of which is number `first`."""

    document: int
    first: int
    costs: Floats


@dataclass(frozen=True)
class WindowScorer:
    """Scores documents as P(tokens, EOS | BOS), reading them again in overlapping windows.

    Attributes:
        context: tokens that the model reads at once; a window in mid-document does not begin with BOS.
        stride: how far the window moves: 1 is exact and slow, `context` fast.
        batch_tokens: tokens of one forward pass.
    """

    model: LanguageModel
    bos_id: int
    eos_id: int
    context: int
    stride: int
    batch_tokens: int = BATCH_TOKENS
    progress: Progress = QUIET

    def negative_log_likelihoods(self, documents: Sequence[Ids]) -> list[Floats]:
        symbols = _framed(documents, self.bos_id, self.eos_id)
        return _collect(self.model, symbols, self._pieces(symbols), self.progress)

    def _pieces(self, symbols: list[Symbols]) -> Iterator[Piece]:
        jobs = [
            (document, window)
            for document, row in enumerate(symbols)
            for window in sliding(len(row) - 1, context=self.context, stride=self.stride)
        ]
        jobs.sort(key=lambda job: job[1].start - job[1].end)  # longest first: little padding, early memory peak
        at = 0
        while at < len(jobs):
            longest = jobs[at][1].end - jobs[at][1].start
            batch = jobs[at : at + max(1, self.batch_tokens // longest)]
            at += len(batch)
            inputs = [symbols[document][window.start : window.end] for document, window in batch]
            ids, mask = _padded(inputs, self.model)
            hidden = self.model.hidden(ids, attention_mask=mask)
            wanted = [hidden[i, w.first - w.start : w.end - w.start] for i, (_, w) in enumerate(batch)]
            targets = [symbols[document][w.first + 1 : w.end + 1] for document, w in batch]
            costs = _costs(self.model, torch.cat(wanted), np.concatenate(targets))
            for (document, window), cost in zip(batch, _split(costs, targets), strict=True):
                yield Piece(document, window.first, cost)


@dataclass(frozen=True)
class StateScorer:
    """Scores documents as P(tokens, EOS | BOS) with a recurrent model, which reads them once from end to end.

    Each target sees all of its document: the state goes on from chunk to chunk.

    Attributes:
        chunk: tokens of a row between two looks at the head; changes speed and memory only.
        batch_tokens: tokens of one forward pass.
    """

    model: LanguageModel
    bos_id: int
    eos_id: int
    chunk: int = 256
    batch_tokens: int = BATCH_TOKENS
    progress: Progress = QUIET

    def negative_log_likelihoods(self, documents: Sequence[Ids]) -> list[Floats]:
        symbols = _framed(documents, self.bos_id, self.eos_id)
        return _collect(self.model, symbols, self._pieces(symbols), self.progress)

    def _pieces(self, symbols: list[Symbols]) -> Iterator[Piece]:
        order = sorted(range(len(symbols)), key=lambda document: -len(symbols[document]))
        rows = max(1, self.batch_tokens // self.chunk)
        for start in range(0, len(order), rows):
            batch = order[start : start + rows]
            state = self.model.init_state(len(batch))
            at = 0
            while batch:
                inputs = [symbols[document][:-1][at : at + self.chunk] for document in batch]
                targets = [symbols[document][at + 1 : at + 1 + self.chunk] for document in batch]
                ids, mask = _padded(inputs, self.model)
                hidden = self.model.hidden(ids, attention_mask=mask, state=state)
                wanted = torch.cat([hidden[i, : len(target)] for i, target in enumerate(targets)])
                costs = _costs(self.model, wanted, np.concatenate(targets))
                for document, cost in zip(batch, _split(costs, targets), strict=True):
                    yield Piece(document, at, cost)
                at += self.chunk
                going = sum(len(symbols[document]) - 1 > at for document in batch)  # the longest stand first
                if going < len(batch):
                    batch = batch[:going]
                    state = state.select(torch.arange(going, device=hidden.device))


def _framed(documents: Sequence[Ids], bos_id: int, eos_id: int) -> list[Symbols]:
    return [np.concatenate([[bos_id], np.asarray(document, dtype=np.int64), [eos_id]]) for document in documents]


@torch.inference_mode()
def _collect(model: LanguageModel, symbols: list[Symbols], pieces: Iterator[Piece], progress: Progress) -> list[Floats]:
    costs = [np.full(len(row) - 1, np.nan) for row in symbols]
    was_training = model.training
    model.eval()
    progress.start("score", total=sum(map(len, costs)), unit="tokens")
    done = 0
    for piece in pieces:
        costs[piece.document][piece.first : piece.first + len(piece.costs)] = piece.costs
        done += len(piece.costs)
        progress.update(done)
    progress.finish(f"{done:,} tokens")
    model.train(was_training)
    return costs


def _padded(rows: list[Symbols], model: LanguageModel) -> tuple[Tensor, Tensor | None]:
    """(B, T) ids padded on the right, and their mask, which rows of one length do not need."""
    longest = max(map(len, rows))
    ids = np.zeros((len(rows), longest), dtype=np.int64)
    mask = np.zeros((len(rows), longest), dtype=np.int64)
    for row, values in enumerate(rows):
        ids[row, : len(values)] = values
        mask[row, : len(values)] = 1
    device = next(model.parameters()).device
    return torch.from_numpy(ids).to(device), None if mask.all() else torch.from_numpy(mask).to(device)


def _costs(model: LanguageModel, hidden: Tensor, targets: Symbols) -> Floats:
    """(N,) cross-entropy in nats of (N, D) hidden states, in at least fp32 and without holding all logits."""
    wide = torch.promote_types(hidden.dtype, torch.float32)
    wanted = torch.from_numpy(targets).to(hidden.device)
    rows = max(1, LOGITS_AT_ONCE // model.config.vocab_size)
    costs = [
        F.cross_entropy(model.lm_head(part).to(wide), target, reduction="none")
        for part, target in zip(torch.split(hidden, rows), torch.split(wanted, rows), strict=True)
    ]
    return torch.cat(costs).double().cpu().numpy()


def _split(costs: Floats, targets: list[Symbols]) -> list[Floats]:
    return np.split(costs, np.cumsum([len(target) for target in targets])[:-1])
