"""The keys and values of earlier tokens, so that decoding computes each only once."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from wenlu.models.family import DecodeState
from wenlu.models.layers.attention import LayerMemory
from wenlu.models.layers.mask import (
    CAUSAL,
    EVERYTHING,
    Mask,
    as_bias,
    causal_mask,
    count_lengths,
    count_positions,
    is_right_padded,
)


@dataclass(frozen=True)
class Reading:
    """What one forward pass reads: where its tokens stand, what they see, each layer's memory.

    Attributes:
        positions: (B or 1, T).
        totals: (B or 1, T or 1) tokens of the whole text that a position stands in, as far as it has been read.
        places: (B or 1, T) indices of the tokens among the keys.
        num_keys: how many keys a layer sees.
        memories: one a layer, or None for a pass that remembers nothing.
        lengths: how many tokens each row has seen after the pass.
        sees_ahead: the mask lets queries see keys behind them, so a window bounds only how far they look back.
    """

    positions: Tensor
    totals: Tensor
    places: Tensor
    num_keys: int
    mask: Mask
    memories: Sequence[LayerMemory | None]
    lengths: tuple[int, ...] = ()
    sees_ahead: bool = False

    def within(self, window: int | None, dtype: torch.dtype) -> Mask:
        """The mask of a layer whose tokens see themselves and the `window` - 1 before (None: all before).

        Beltagy et al. 2020, arXiv:2004.05150.
        """
        if window is None or window >= self.num_keys:
            return self.mask
        keys, queries = torch.arange(self.num_keys, device=self.places.device), self.places[..., None]
        seen = keys > queries - window
        if not self.sees_ahead:
            seen = seen & (keys <= queries)
        near = as_bias(seen[:, None], dtype)  # (B or 1, 1, T, S)
        told = self.mask.stretches
        return Mask(
            near if self.mask.bias is None else near + self.mask.bias,
            is_causal=self.mask.is_causal,
            stretches=None if told is None or self.sees_ahead else told.within(window),
        )


class AttentionState(DecodeState):
    """A memory of keys and values: contiguous here; paged, quantised and sliding ones are substitutes."""

    @abstractmethod
    def open(self, length: int, attention_mask: Tensor | None) -> Reading:
        """Make room for `length` new tokens a row, padded on the right as `attention_mask` says."""

    @abstractmethod
    def close(self, reading: Reading) -> None:
        """Count the new tokens as seen; without it the next `open` writes over them."""


def read_tokens(
    input_ids: Tensor,
    *,
    num_layers: int,
    attention_mask: Tensor | None,
    segments: Tensor | None,
    state: AttentionState | None,
    dtype: torch.dtype,
) -> Reading:
    """How a causal decoder of that `dtype` reads `input_ids`, with or without a memory."""
    if state is not None:
        if segments is not None:
            raise ValueError("segments are for packed rows without a state; give each document its own row")
        if attention_mask is not None and attention_mask.ndim == 3:
            raise ValueError("with a state, attention_mask is (B, T): who sees whom is settled by the order of calls")
        return state.open(input_ids.size(1), attention_mask)
    return Reading(
        positions=count_positions(input_ids, attention_mask=attention_mask, segments=segments),
        totals=count_lengths(input_ids, attention_mask=attention_mask, segments=segments),
        places=torch.arange(input_ids.size(1), device=input_ids.device)[None],
        num_keys=input_ids.size(1),
        mask=causal_mask(input_ids.size(1), attention_mask=attention_mask, segments=segments, dtype=dtype),
        memories=[None] * num_layers,
        sees_ahead=attention_mask is not None and attention_mask.ndim == 3,
    )


def count_new(length: int, attention_mask: Tensor | None, *, rows: int) -> Sequence[int]:
    """How many of `length` new tokens a row are real; raises ValueError where padding precedes them."""
    if attention_mask is None:
        return [length] * rows
    if not is_right_padded(attention_mask):
        raise ValueError("with a state, padding must stand on the right of the new tokens")
    counts: list[int] = attention_mask.long().sum(1).tolist()
    return counts


class KVCache(AttentionState):
    """Keys and values of every layer in one growing block each, (B, N, capacity, H).

    Each row writes at its own length, so rows of different lengths decode together. What lies beyond a row's
    length is finite, invisible, and written over later. Gradients do not flow into the past.
    """

    def __init__(
        self,
        *,
        num_layers: int,
        batch_size: int,
        num_kv_heads: int,
        head_dim: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        empty = torch.zeros(batch_size, num_kv_heads, 0, head_dim, dtype=dtype, device=device)
        self._keys = [empty] * num_layers
        self._values = [empty] * num_layers
        self._lengths = (0,) * batch_size

    @property
    def lengths(self) -> Tensor:
        return torch.tensor(self._lengths, device=self._keys[0].device)

    @property
    def capacity(self) -> int:
        """Tokens a row that fit before the next growth."""
        return self._keys[0].size(2)

    @property
    def dtype(self) -> torch.dtype:
        """Of what `read` returns."""
        return self._keys[0].dtype

    def open(self, length: int, attention_mask: Tensor | None) -> Reading:
        new = self.count_new(length, attention_mask)
        start, end = max(self._lengths), max(self._lengths) + length
        self._reserve(end)
        offsets = torch.arange(length, device=self._keys[0].device)
        uniform = min(self._lengths) == start
        positions = offsets[None] + (start if uniform else self.lengths[:, None])  # (B or 1, T)
        lengths = tuple(old + more for old, more in zip(self._lengths, new, strict=True))
        return Reading(
            positions=positions,
            totals=torch.tensor(lengths, device=offsets.device)[:, None],
            places=positions,
            num_keys=end,
            mask=self._mask(positions, end) if start and not (uniform and length == 1) else _first(length),
            memories=[_Layer(self, i, positions, end) for i in range(len(self._keys))],
            lengths=lengths,
        )

    def count_new(self, length: int, attention_mask: Tensor | None) -> Sequence[int]:
        """As the function of this name."""
        return count_new(length, attention_mask, rows=len(self._lengths))

    def close(self, reading: Reading) -> None:
        self._lengths = reading.lengths

    def select(self, rows: Tensor) -> Self:
        chosen = rows.tolist()
        return self._with(
            [keys.index_select(0, rows) for keys in self._keys],
            [values.index_select(0, rows) for values in self._values],
            tuple(self._lengths[row] for row in chosen),
        )

    @classmethod
    def join(cls, states: list[Self]) -> Self:
        longest = max(max(state._lengths, default=0) for state in states)
        return states[0]._with(
            stacked([state._keys for state in states], longest),
            stacked([state._values for state in states], longest),
            tuple(length for state in states for length in state._lengths),
        )

    def write(self, layer: int, keys: Tensor, values: Tensor, positions: Tensor) -> None:
        """Put (B, N, T, H) keys and values of a layer at `positions` (B or 1, T)."""
        for block, new in ((self._keys[layer], keys), (self._values[layer], values)):
            put(block, new.detach(), positions)

    def read(self, layer: int, end: int) -> tuple[Tensor, Tensor]:
        """The (B, N, end, H) keys and values of a layer."""
        return self._keys[layer][:, :, :end], self._values[layer][:, :, :end]

    def _mask(self, positions: Tensor, end: int) -> Mask:
        seen = torch.arange(end, device=positions.device) <= positions[..., None]  # (B or 1, T, S)
        return Mask(as_bias(seen[:, None], self.dtype))

    def _reserve(self, length: int) -> None:
        if length > self.capacity:
            room = max(length, 2 * self.capacity)
            self._keys = [resized(keys, room) for keys in self._keys]
            self._values = [resized(values, room) for values in self._values]

    def _with(self, keys: list[Tensor], values: list[Tensor], lengths: tuple[int, ...]) -> Self:
        other = object.__new__(type(self))
        other._keys, other._values, other._lengths = keys, values, lengths
        return other


@dataclass(frozen=True)
class _Layer:
    cache: KVCache
    index: int
    positions: Tensor
    end: int

    def extend(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        self.cache.write(self.index, keys, values, self.positions)
        return self.cache.read(self.index, self.end)


def _first(length: int) -> Mask:
    """One new token sees all that was, several in an empty memory see each other."""
    return EVERYTHING if length == 1 else CAUSAL


def put(block: Tensor, new: Tensor, positions: Tensor) -> None:
    """Write (B, N, T, …) into (B, N, S, …) at `positions` (B or 1, T)."""
    if positions.size(0) == 1:
        start = int(positions[0, 0])
        block[:, :, start : start + new.size(2)] = new
    else:
        rows = torch.arange(new.size(0), device=new.device)[:, None]
        block[rows, :, positions] = new.transpose(1, 2)


def stacked(states: list[list[Tensor]], length: int) -> list[Tensor]:
    """One block a layer, with the rows of all states one below the other."""
    return [torch.cat([resized(block, length) for block in layer]) for layer in zip(*states, strict=True)]


def resized(block: Tensor, length: int) -> Tensor:
    """A copy of (B, N, S, H) with room for `length` tokens, zero where nothing was."""
    room = block.new_zeros(*block.shape[:2], length, block.size(3))
    kept = min(length, block.size(2))
    room[:, :, :kept] = block[:, :, :kept]
    return room
