"""A random order of training rows that nobody has to store."""

from __future__ import annotations

from typing import Any, overload

import numpy as np

Index = np.ndarray[Any, np.dtype[np.int64]]
_Words = np.ndarray[Any, np.dtype[np.uint64]]

_ROUNDS = 8
# Below this, a network of so few bits is visibly not random; larger domains are walked through instead.
_LEAST_BITS = 6
_MASK = (1 << 64) - 1


@overload
def shuffled(index: int, *, n: int, seed: int, epoch: int) -> int: ...
@overload
def shuffled(index: Index, *, n: int, seed: int, epoch: int) -> Index: ...


def shuffled(index: int | Index, *, n: int, seed: int, epoch: int) -> int | Index:
    """Where `index` goes in a pseudo-random permutation of 0 … n-1.

    A pure function of its arguments: no state and no memory beyond the indices, so it resumes anywhere and does
    not depend on how many workers share the indices. A Feistel network (Luby & Rackoff 1988) permutes the next
    power of two, and a value that falls outside is permuted again until it falls inside (cycle walking; Black &
    Rogaway 2002).

    Args:
        index: one index or an array of any shape, each from 0 to n-1.
        seed, epoch: any integers; each pair gives another permutation.
    """
    if n < 1:
        raise ValueError(f"n = {n}: there is nothing to order")
    values = np.asarray(index, np.int64)
    if values.size and not (values.min() >= 0 and values.max() < n):
        raise IndexError(f"indices from {values.min()} to {values.max()} are not all in 0 … {n - 1}")
    bits = max(_LEAST_BITS, (n - 1).bit_length())
    keys = _keys(seed, epoch)
    walking = _permute(values.astype(np.uint64).ravel(), bits, keys)
    outside = np.flatnonzero(walking >= n)
    while outside.size:
        walking[outside] = _permute(walking[outside], bits, keys)
        outside = outside[walking[outside] >= n]
    result = walking.astype(np.int64).reshape(values.shape)
    return int(result) if isinstance(index, int) else result


def _permute(values: _Words, bits: int, keys: list[np.uint64]) -> _Words:
    """A permutation of 0 … 2^bits - 1; halves of unequal width take turns when `bits` is odd."""
    low_bits = bits // 2
    high_bits = bits - low_bits
    for key in keys:
        low = values & np.uint64((1 << low_bits) - 1)
        high = values >> np.uint64(low_bits)
        mixed = (high ^ _mix(low ^ key)) & np.uint64((1 << high_bits) - 1)
        # The halves change places, and with them their widths.
        values = (low << np.uint64(high_bits)) | mixed
        low_bits, high_bits = high_bits, low_bits
    return values


def _mix(values: _Words) -> _Words:
    """The finaliser of SplitMix64 (Steele et al. 2014): each bit of the input flips half of the output's."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: _Words = values ^ (values >> np.uint64(31))
    return mixed


def _keys(seed: int, epoch: int) -> list[np.uint64]:
    """One key a round, from SplitMix64 started at a mixture of `seed` and `epoch`."""
    state = _mix(np.array([(seed * 2 + 1) & _MASK], np.uint64)) ^ _mix(np.array([~epoch & _MASK], np.uint64))
    start = int(_mix(state)[0])
    counters = np.array([(start + (i + 1) * 0x9E3779B97F4A7C15) & _MASK for i in range(_ROUNDS)], np.uint64)
    return list(_mix(counters))
