"""What a GGUF file calls the parts of an architecture, and how that maps to a family: one row an architecture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np
import torch

from wenlu.errors import WeightsError
from wenlu.models.weights.rules import Entries, Rule, Stored, matches

Settings = dict[str, Any]


class Keys:
    """The metadata of an architecture (`llama.block_count` as `block_count`), of which every key must be taken."""

    def __init__(self, architecture: str, metadata: Mapping[str, Any]) -> None:
        self.architecture = architecture
        prefix = f"{architecture}."
        self.left = {key.removeprefix(prefix): value for key, value in metadata.items() if key.startswith(prefix)}

    def take(self, key: str) -> Any:
        """The value of `key`, or None; raises WeightsError for one that differs between layers."""
        value = self.left.pop(key, None)
        if isinstance(value, float):
            return _shortest(value)
        if not isinstance(value, list):
            return value
        if not value or any(item != value[0] for item in value):
            self.refuse(key, value[:8], "it differs between layers, which no family of Wenlu does")
        return value[0]

    def number(self, key: str) -> int | float | None:
        """As `take`; raises WeightsError for what is no number above 0."""
        value = self.take(key)
        if value is not None and (not isinstance(value, int | float) or isinstance(value, bool) or value <= 0):
            self.refuse(key, value, "a number above 0 is expected")
        return value

    def refuse(self, key: str, value: object, why: str) -> NoReturn:
        raise WeightsError(f"{self.architecture}.{key} is {value!r:.80}: {why}")


def _shortest(value: float) -> float:
    """1e-05 for the float32 nearest to it, as it was before the file rounded it."""
    rounded = np.float32(value)
    return float(str(rounded)) if float(rounded) == value else value


@dataclass(frozen=True)
class Architecture:
    """One architecture of GGUF.

    Attributes:
        name: `general.architecture`.
        family: ours.
        keys: metadata key without the architecture's name, to the field of the config.
        fixed: fields that the file has no place for, since the architecture means one value.
        rules: from the file's tensor names and layouts to ours.
        read: settings that no single key tells, from the keys that are left and the tensors; takes what it uses.
        write: the inverse: keys and tensors of a config beyond `keys` and `rules`.
        harmless: keys that say nothing about what is computed.
    """

    name: str
    family: str
    keys: Mapping[str, str]
    fixed: Mapping[str, Any]
    rules: tuple[Rule, ...]
    read: Callable[[Keys, Entries, Settings], Settings]
    write: Callable[[Any], tuple[Settings, Entries]]
    harmless: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True)
class Interleave(Rule):
    """Rows of each head in the order 0, H/2, 1, H/2 + 1, …: the file turns neighbours as rotary pairs, we turn halves.

    `heads` is the field of the config with the number of heads.
    """

    name: str
    heads: str

    def load(self, entries: Entries, config: Any) -> Entries:
        return self._reordered(entries, config, (-1, 2))

    def save(self, entries: Entries, config: Any) -> Entries:
        return self._reordered(entries, config, (2, -1))

    def _reordered(self, entries: Entries, config: Any, middle: tuple[int, int]) -> Entries:
        heads = getattr(config, self.heads)
        return {
            key: _reordered(key, item, heads, middle) if matches(self.name, key) else item
            for key, item in entries.items()
        }


def _reordered(key: str, item: Stored, heads: int, middle: tuple[int, int]) -> Stored:
    if item.shape[0] % (2 * heads):
        raise WeightsError(f"{key}: {item.shape[0]} rows are not {heads} heads of pairs")

    def read() -> torch.Tensor:
        rows = item.read()
        return rows.view(heads, *middle, *item.shape[1:]).transpose(1, 2).reshape(item.shape)

    return Stored(item.shape, item.dtype, read)


@dataclass(frozen=True)
class AddOne(Rule):
    """A scale that the file stores with one added, as those of Gemma."""

    name: str

    def load(self, entries: Entries, config: Any) -> Entries:  # noqa: ARG002
        return self._shifted(entries, -1.0)

    def save(self, entries: Entries, config: Any) -> Entries:  # noqa: ARG002
        return self._shifted(entries, 1.0)

    def _shifted(self, entries: Entries, by: float) -> Entries:
        return {key: _shifted(item, by) if matches(self.name, key) else item for key, item in entries.items()}


def _shifted(item: Stored, by: float) -> Stored:
    return Stored(item.shape, torch.float32, lambda: item.read().float() + by)
