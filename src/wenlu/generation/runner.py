"""The model's part of a step: rows of tokens in, logits out, keys and values in pages."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from wenlu.generation.forward import alike, to_logits
from wenlu.generation.seen import SeenRows
from wenlu.models import LanguageModel
from wenlu.models.layers.paged_cache import PagedKVCache, PagePool
from wenlu.models.layers.seeing import SeeingDecoder


class Runner(Protocol):
    """One model, with one adapter or none, over the pages of a pool.

    Every row is a token of a sequence at a position. Its keys and values are written there, then it sees the positions
    up to its own (fewer where a window says so). So the next part of a prompt, a token to go on from, and tokens that
    were guessed are one call.
    """

    @property
    def pool(self) -> PagePool: ...

    def forward(
        self,
        tokens: Tensor,
        positions: Tensor,
        sequences: Tensor,
        tables: Tensor,
        wanted: Tensor,
        seen: SeenRows | None = None,
    ) -> Tensor:
        """Read tokens and answer logits.

        Args:
            tokens: (R,) int64; rows of a sequence stand together, their positions rise by one.
            positions: (R,) int32.
            sequences: (R,) int32, which row of `tables` is each one's.
            tables: (B, M) int32, the pages of each sequence, in order.
            wanted: (W,) int32, rising: the rows whose logits are asked for.
            seen: the rows that are of pictures.

        Returns:
            (W, V) float32, float64 of a float64 model.
        """


@dataclass(frozen=True)
class _Stretch:
    """Rows of one sequence that a call reads: from `first` up to but without `end`."""

    sequence: int
    first: int
    end: int
    position: int

    @property
    def length(self) -> int:
        return self.end - self.first

    @property
    def seen(self) -> int:
        """How many tokens the last row sees."""
        return self.position + self.length


class TorchRunner:
    """Any decoder with plain keys and values, by torch's operators: the reference.

    Torch's products round otherwise with other numbers of rows. So with `unit`, each call has a shape that the sequence
    alone decides: it reads one sequence, as far as the next multiple of `unit` tokens, or as the next wanted row.
    Without one, rows of many sequences share a call.
    """

    def __init__(self, model: LanguageModel, pool: PagePool, *, unit: int | None = None) -> None:
        self.model = model
        self.pool = pool
        self.unit = unit

    def forward(
        self,
        tokens: Tensor,
        positions: Tensor,
        sequences: Tensor,
        tables: Tensor,
        wanted: Tensor,
        seen: SeenRows | None = None,
    ) -> Tensor:
        """As `Runner.forward`; raises WenluError for NaN."""
        chosen = wanted.tolist()
        stretches = list(_stretches(positions.tolist(), sequences.tolist()))
        if self.unit is None:
            return self._logits(self._together(stretches, tokens, tables, chosen, seen))
        # Decoded tokens go one by one here, the head included: with products whose rows do not depend on each other,
        # all stretches of one token could share a call, as they do in `_together`.
        ends = set(chosen)
        found = []
        for stretch in stretches:
            for part in _cut(stretch, self.unit, ends):
                hidden = self._read([part], tokens, tables, seen)
                if part.end - 1 in ends:
                    found.append(self._logits([hidden[0, -1]]))
        return torch.cat(found) if found else self._logits([])

    def _logits(self, hidden: list[Tensor]) -> Tensor:
        if not hidden:
            return torch.empty(0, self.model.config.vocab_size, device=self.pool.keys.device)
        return to_logits(self.model, torch.stack(hidden))

    def _together(
        self, stretches: list[_Stretch], tokens: Tensor, tables: Tensor, wanted: list[int], seen: SeenRows | None
    ) -> list[Tensor]:
        """The hidden states (D,) of the wanted rows, by as few calls as padding allows."""
        found: dict[int, Tensor] = {}
        for group in alike([each.length for each in stretches]):
            hidden = self._read([stretches[index] for index in group], tokens, tables, seen)
            for row, index in enumerate(group):
                each = stretches[index]
                inside = wanted[bisect_left(wanted, each.first) : bisect_left(wanted, each.end)]
                found |= {number: hidden[row, number - each.first] for number in inside}
        return [found[row] for row in wanted]

    def _read(self, stretches: list[_Stretch], tokens: Tensor, tables: Tensor, seen: SeenRows | None = None) -> Tensor:
        """(B, T, D) hidden states of stretches, each of another sequence, padded on the right."""
        lengths = [each.length for each in stretches]
        longest, pages = max(lengths), self.pool.shape.pages(max(each.seen for each in stretches))
        rows = torch.tensor([each.sequence for each in stretches], device=tables.device)
        state = PagedKVCache(self.pool, tables[rows, :pages].long(), [each.position for each in stretches])
        if min(lengths) == longest:
            ids = torch.stack([tokens[each.first : each.end] for each in stretches])
            return self._hidden(ids, None, state, stretches, seen)
        ids = torch.zeros(len(stretches), longest, dtype=torch.int64, device=tokens.device)
        for row, each in enumerate(stretches):
            ids[row, : each.length] = tokens[each.first : each.end]
        counts = torch.tensor(lengths, device=tokens.device)
        mask = (torch.arange(longest, device=tokens.device) < counts[:, None]).long()
        return self._hidden(ids, mask, state, stretches, seen)

    def _hidden(
        self,
        ids: Tensor,
        mask: Tensor | None,
        state: PagedKVCache,
        stretches: list[_Stretch],
        seen: SeenRows | None,
    ) -> Tensor:
        """(B, T, D), with what was seen in its places."""
        found = [None if seen is None else seen.between(each.first, each.end) for each in stretches]
        there = [each for each in found if each is not None]
        if not there:
            return self.model.hidden(ids, attention_mask=mask, state=state)
        assert isinstance(self.model, SeeingDecoder), "only a model that sees has seen something"
        places = torch.zeros_like(ids, dtype=torch.bool)
        for row, each in enumerate(found):
            if each is not None:
                places[row, each.rows] = True
        embedded = self.model.among_words(ids, places, torch.cat([each.vectors for each in there]))
        return self.model.read(ids, attention_mask=mask, positions=None, segments=None, state=state, embedded=embedded)


def _stretches(positions: list[int], sequences: list[int]) -> Iterator[_Stretch]:
    first = 0
    for row in range(1, len(sequences) + 1):
        if row == len(sequences) or sequences[row] != sequences[first]:
            yield _Stretch(sequences[first], first, row, positions[first])
            first = row


def _cut(stretch: _Stretch, unit: int, ends: set[int]) -> Iterator[_Stretch]:
    """The parts of a stretch that end at multiples of `unit`, and behind the rows `ends`."""
    first, position = stretch.first, stretch.position
    for row in range(stretch.first, stretch.end):
        if row + 1 == stretch.end or row in ends or (position + row + 1 - first) % unit == 0:
            yield _Stretch(stretch.sequence, first, row + 1, position)
            position += row + 1 - first
            first = row + 1
