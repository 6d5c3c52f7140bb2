"""Keys and values in pages: memory is taken page by page, and what several texts begin with is kept once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

from wenlu.models.layers.kv_cache import AttentionState, Reading, count_new
from wenlu.models.layers.mask import CAUSAL, EVERYTHING, Mask, as_bias

STEPS = 127
"""A number of eight bits goes so far to either side."""


@dataclass(frozen=True)
class PageShape:
    """What a page holds: `page_size` tokens of every layer.

    Attributes:
        dtype: what attention is given. kept_as: what lies in the pages; int8 with a float32 scale a head and token.
    """

    num_layers: int
    num_kv_heads: int
    head_dim: int
    dtype: torch.dtype
    kept_as: torch.dtype
    page_size: int = 32

    @property
    def nbytes(self) -> int:
        """Of one page."""
        scale = 4 if self.kept_as == torch.int8 else 0
        tokens = self.num_layers * self.num_kv_heads * self.page_size
        return 2 * tokens * (self.head_dim * self.kept_as.itemsize + scale)

    def pages(self, tokens: int) -> int:
        """How many it takes to hold `tokens` of one text."""
        return -(-tokens // self.page_size)


class PagePool:
    """`num_pages` pages, each free or with one owner or more.

    All are asked for at once, and cost addresses alone until they are written: the system gives memory as it is
    touched. The lowest free page is taken first, so what was touched is used again.

    Attributes:
        keys: (L, P, N, H, S), contiguous: one number of all tokens of a page after the other, so that a query is
            multiplied with many keys at once. values: (L, P, N, S, H).
        key_scales, value_scales: (L, P, N, S) float32, where the numbers have eight bits.
    """

    def __init__(self, shape: PageShape, num_pages: int, device: torch.device) -> None:
        self.shape = shape
        self.num_pages = num_pages
        size = (shape.num_layers, num_pages, shape.num_kv_heads, shape.page_size)
        self.values = torch.empty(*size, shape.head_dim, dtype=shape.kept_as, device=device)
        self.keys = torch.empty_like(self.values.transpose(3, 4), memory_format=torch.contiguous_format)
        self.key_scales: Tensor | None = None
        self.value_scales: Tensor | None = None
        if shape.kept_as == torch.int8:
            self.key_scales = torch.empty(size, dtype=torch.float32, device=device)
            self.value_scales = torch.empty_like(self.key_scales)
        self._free = list(range(num_pages))[::-1]
        self._owners = [0] * num_pages
        self._touched = 0

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """All that the pool keeps."""
        scales = [each for each in (self.key_scales, self.value_scales) if each is not None]
        return self.keys, self.values, *scales

    @property
    def free(self) -> int:
        """How many pages have no owner."""
        return len(self._free)

    def owners(self, page: int) -> int:
        return self._owners[page]

    def take(self, count: int) -> list[int]:
        """Free pages, which then have one owner; what lies in them is finite."""
        assert count <= len(self._free), f"{count} pages are asked for, and {len(self._free)} are free"
        pages = [self._free.pop() for _ in range(count)]
        for page in pages:
            self._owners[page] = 1
            if page >= self._touched:  # never written: it may hold anything, which no mask could hide if it is NaN
                for tensor in self.tensors:
                    tensor[:, self._touched : page + 1].zero_()
                self._touched = page + 1
        return pages

    def retain(self, pages: Iterable[int]) -> None:
        """Give each one owner more."""
        for page in pages:
            assert self._owners[page], f"page {page} is free"
            self._owners[page] += 1

    def release(self, pages: Iterable[int]) -> None:
        """Take one owner from each; the last one leaves it free."""
        for page in pages:
            assert self._owners[page], f"page {page} is free already"
            self._owners[page] -= 1
            if not self._owners[page]:
                self._free.append(page)

    def copied(self, page: int) -> int:
        """A page of one's own with what lies in a shared one, of which one is no owner any longer."""
        (new,) = self.take(1)
        for tensor in self.tensors:
            tensor[:, new] = tensor[:, page]
        self.release([page])
        return new

    def write(self, layer: int, keys: Tensor, values: Tensor, pages: Tensor, places: Tensor) -> None:
        """Put (R, N, H) keys and values of a layer at the places (R,) of the pages (R,)."""
        for block, scales, new in (
            (self.keys[layer].transpose(2, 3), self.key_scales, keys),
            (self.values[layer], self.value_scales, values),
        ):
            if scales is None:
                block[pages, :, places] = new.to(block.dtype)
                continue
            wide = new.float()
            steps = (wide.abs().amax(dim=-1) / STEPS).clamp(min=torch.finfo(torch.float32).tiny)  # (R, N)
            block[pages, :, places] = (wide / steps[..., None]).round().to(torch.int8)
            scales[layer][pages, :, places] = steps

    def read(self, layer: int, tables: Tensor, end: int) -> tuple[Tensor, Tensor]:
        """The first `end` keys and values (B, N, end, H) of a layer, from the pages (B, M) of each text."""
        blocks = (self.keys[layer].transpose(2, 3), self.values[layer])
        keys, values = (_gathered(block, tables)[:, :, :end] for block in blocks)
        if self.key_scales is None or self.value_scales is None:
            return keys.to(self.shape.dtype), values.to(self.shape.dtype)
        scales = (_gathered(block[layer], tables)[:, :, :end, None] for block in (self.key_scales, self.value_scales))
        of_keys, of_values = scales
        return (keys.float() * of_keys).to(self.shape.dtype), (values.float() * of_values).to(self.shape.dtype)


def _gathered(block: Tensor, tables: Tensor) -> Tensor:
    """(B, N, M · S, …) of (P, N, S, …) and pages (B, M)."""
    B, M = tables.shape
    N, S = block.shape[1:3]
    found = block.index_select(0, tables.flatten()).view(B, M, *block.shape[1:])  # whole pages copy fastest
    return found.transpose(1, 2).reshape(B, N, M * S, *block.shape[3:])


class PagedKVCache(AttentionState):
    """The memory of B texts in the pages of a pool, a substitute of `KVCache`.

    It owns no page: whoever made the tables sees to it that each text has room for what is read, and that pages it
    writes are its own.

    Args:
        tables: (B, M) pages of each text, in order; what stands behind the pages of a short one may be any page that
            was once taken.
        lengths: how many tokens of each are read already.
    """

    def __init__(self, pool: PagePool, tables: Tensor, lengths: Sequence[int]) -> None:
        self.pool = pool
        self._tables = tables
        self._lengths = tuple(lengths)

    @property
    def lengths(self) -> Tensor:
        return torch.tensor(self._lengths, device=self._tables.device)

    def open(self, length: int, attention_mask: Tensor | None) -> Reading:
        device, size = self._tables.device, self.pool.shape.page_size
        new = count_new(length, attention_mask, rows=len(self._lengths))
        lengths = tuple(old + more for old, more in zip(self._lengths, new, strict=True))
        start, end = min(self._lengths), max(lengths)
        uniform = start == max(self._lengths) and min(new) == length
        offsets = torch.arange(length, device=device)
        if uniform:
            positions = (offsets + start)[None]
        else:  # padding stands where the last token does, so no position is beyond the context
            last = torch.tensor(lengths, device=device)[:, None] - 1
            positions = torch.minimum(self.lengths[:, None] + offsets, last)  # (B, T)
        real = None if attention_mask is None else attention_mask.bool()
        pages = self._tables.gather(1, (positions // size).expand(len(new), -1))
        places = (positions % size).expand(len(new), -1)
        chosen = (slice(None),) if real is None else (real,)
        where = pages[chosen].flatten(), places[chosen].flatten()
        return Reading(
            positions=positions,
            totals=torch.tensor(lengths, device=device)[:, None],
            places=positions,
            num_keys=end,
            mask=self._mask(positions, end, uniform=uniform),
            memories=[_Layer(self, i, real, *where, end) for i in range(self.pool.shape.num_layers)],
            lengths=lengths,
        )

    def close(self, reading: Reading) -> None:
        self._lengths = reading.lengths

    def select(self, rows: Tensor) -> Self:
        """Views of the same pages: rows that repeat would write over each other."""
        return type(self)(self.pool, self._tables[rows], [self._lengths[row] for row in rows.tolist()])

    @classmethod
    def join(cls, states: list[Self]) -> Self:
        width = max(state._tables.size(1) for state in states)
        tables = [F.pad(state._tables, (0, width - state._tables.size(1))) for state in states]
        return cls(states[0].pool, torch.cat(tables), [length for state in states for length in state._lengths])

    def _mask(self, positions: Tensor, end: int, *, uniform: bool) -> Mask:
        length = positions.size(1)
        if uniform and length == 1:
            return EVERYTHING
        if length == end and not max(self._lengths):
            return CAUSAL
        seen = torch.arange(end, device=positions.device) <= positions[..., None]  # (B or 1, T, S)
        return Mask(as_bias(seen[:, None], self.pool.shape.dtype))


@dataclass(frozen=True)
class _Layer:
    cache: PagedKVCache
    index: int
    real: Tensor | None
    pages: Tensor
    places: Tensor
    end: int

    def extend(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        pool = self.cache.pool
        pool.write(self.index, self._flat(keys), self._flat(values), self.pages, self.places)
        return pool.read(self.index, self.cache._tables, self.end)

    def _flat(self, new: Tensor) -> Tensor:
        """(R, N, H): of the (B, N, T, H) those of real tokens, one below the other."""
        rows = new.detach().transpose(1, 2)
        return rows.flatten(0, 1) if self.real is None else rows[self.real]
