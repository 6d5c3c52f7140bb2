"""Where each tensor of ours lies in a checkpoint of theirs, as the weight rules of the family say."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from wenlu.models.family import Family, ModelConfig
from wenlu.models.weights.rules import Stored, invert_rules


@dataclass(frozen=True)
class Place:
    """The rows `begin` to `end` of a stored tensor, which are all of `ours`."""

    ours: str
    begin: int
    end: int
    is_transposed: bool

    def read(self, stored: Tensor, shape: tuple[int, ...]) -> Tensor:
        """What is there of a tensor in their layout, in ours."""
        rows = stored.T if self.is_transposed else stored
        return rows[self.begin : self.end].reshape(shape).contiguous()


Places = Mapping[str, tuple[Place, ...]]
"""By their name; several where one tensor holds several of ours, as GPT-2's `c_attn` does."""


def places_of(family: Family, config: ModelConfig) -> Places:
    """Ask the rules: every row of every tensor is given a number, and looked for in what they write."""
    names, starts, entries, count = [], [], {}, 0
    for name, tensor in family.outline(config).state_dict().items():
        rows = tensor.shape[0] if tensor.ndim else 1
        entries[name] = Stored.of(_numbered(count, rows, is_matrix=tensor.ndim > 1))
        names.append(name)
        starts.append(count)
        count += rows
    found: dict[str, tuple[Place, ...]] = {}
    for key, item in invert_rules(family.rules, entries, config).items():
        numbers, is_transposed = _numbers(item.read())
        places, begin = [], 0
        while begin < len(numbers):
            owner = bisect_right(starts, numbers[begin]) - 1
            end = begin + ([*starts, count][owner + 1] - starts[owner])
            assert numbers[begin:end] == list(range(starts[owner], starts[owner] + end - begin)), f"{key} is mixed up"
            places.append(Place(names[owner], begin, end, is_transposed))
            begin = end
        found[key] = tuple(places)
    return found


def _numbered(start: int, rows: int, *, is_matrix: bool) -> Tensor:
    """Twice the number of each row; in a matrix of two columns the second one has one more."""
    numbers = 2 * torch.arange(start, start + rows)
    return numbers[:, None] + torch.arange(2) if is_matrix else numbers


def _numbers(mark: Tensor) -> tuple[list[int], bool]:
    """Of the rows, and whether they have become columns."""
    if mark.ndim < 2:
        return (mark.reshape(-1) // 2).tolist(), False
    is_transposed = mark.shape[1] == 1 or int(mark[0, 1] - mark[0, 0]) != 1
    return ((mark[0] if is_transposed else mark[:, 0]) // 2).tolist(), is_transposed
