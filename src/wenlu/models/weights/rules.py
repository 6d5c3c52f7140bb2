"""From a checkpoint's tensors to a model's and back: a short ordered list of rules, each with its inverse.

Rules work on `Stored` tensors: names and shapes are settled, and mistakes found, before anything is read.
On the way in, rules apply first to last; on the way out, their inverses apply last to first.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from wenlu.errors import WeightsError

_PLACEHOLDER = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Stored:
    """A tensor known by shape and type; `read` fetches its values."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    read: Callable[[], Tensor]

    @classmethod
    def of(cls, tensor: Tensor) -> Stored:
        return cls(tuple(tensor.shape), tensor.dtype, lambda: tensor)


Entries = dict[str, Stored]


class Rule(ABC):
    """One step between the names and layouts of a checkpoint and ours."""

    @abstractmethod
    def load(self, entries: Entries, config: Any) -> Entries:
        """From the checkpoint's side to ours; entries that the rule does not name pass through."""

    @abstractmethod
    def save(self, entries: Entries, config: Any) -> Entries:
        """The inverse of `load`."""


@dataclass(frozen=True)
class Rename(Rule):
    """`Rename("model.layers.{rest}", "layers.{rest}")`.

    `{rest}` stands for anything, any other placeholder for one part between dots. Both patterns must hold
    the same placeholders, so that the rule can be read backwards.
    """

    theirs: str
    ours: str

    def __post_init__(self) -> None:
        assert _names(self.theirs) == _names(self.ours), f"{self}: the placeholders differ, so it has no inverse"

    def load(self, entries: Entries, config: Any) -> Entries:  # noqa: ARG002
        return _renamed(entries, self.theirs, self.ours)

    def save(self, entries: Entries, config: Any) -> Entries:  # noqa: ARG002
        return _renamed(entries, self.ours, self.theirs)


@dataclass(frozen=True)
class Formerly(Rename):
    """A name that older checkpoints use for what is now called otherwise: read, never written."""

    def save(self, entries: Entries, config: Any) -> Entries:  # noqa: ARG002
        return entries


@dataclass(frozen=True)
class Transpose(Rule):
    """A matrix that the checkpoint stores the other way round, as GPT-2 does."""

    name: str

    def load(self, entries: Entries, config: Any) -> Entries:  # noqa: ARG002
        return {key: _transposed(key, item) if matches(self.name, key) else item for key, item in entries.items()}

    def save(self, entries: Entries, config: Any) -> Entries:
        return self.load(entries, config)


@dataclass(frozen=True)
class Leading(Rule):
    """A tensor that the checkpoint stores with `count` more dimensions before its own, all of length 1."""

    name: str
    count: int

    def load(self, entries: Entries, config: Any) -> Entries:  # noqa: ARG002
        return {key: self._less(key, item) if matches(self.name, key) else item for key, item in entries.items()}

    def save(self, entries: Entries, config: Any) -> Entries:  # noqa: ARG002
        return {key: self._more(item) if matches(self.name, key) else item for key, item in entries.items()}

    def _less(self, key: str, item: Stored) -> Stored:
        ones, shape = item.shape[: self.count], item.shape[self.count :]
        if ones != (1,) * self.count:
            raise WeightsError(f"{key}: shape {list(item.shape)} does not begin with {[1] * self.count}")
        return Stored(shape, item.dtype, lambda: item.read().reshape(shape))

    def _more(self, item: Stored) -> Stored:
        shape = (*(1,) * self.count, *item.shape)
        return Stored(shape, item.dtype, lambda: item.read().reshape(shape))


@dataclass(frozen=True)
class Split(Rule):
    """One stored tensor that holds several of ours, one after the other along `dim`.

    `sizes` gives the lengths from the config; without it the parts are equal.
    """

    theirs: str
    ours: tuple[str, ...]
    dim: int = 0
    sizes: Callable[[Any], Sequence[int]] | None = None

    def __post_init__(self) -> None:
        different = [name for name in self.ours if _names(name) != _names(self.theirs)]
        assert not different, f"{self}: the placeholders of {different} differ, so it has no inverse"

    def load(self, entries: Entries, config: Any) -> Entries:
        result: Entries = {}
        for key, item in entries.items():
            found = _match(self.theirs, key)
            if found is None:
                _put(result, key, item)
                continue
            start = 0
            for name, size in zip(self.ours, self._sizes(key, item, config), strict=True):
                _put(result, name.format(**found), _narrowed(item, self.dim, start, size))
                start += size
        return result

    def save(self, entries: Entries, config: Any) -> Entries:  # noqa: ARG002
        result: Entries = {}
        for key, item in entries.items():
            found = [match for name in self.ours if (match := _match(name, key)) is not None]
            if not found:
                _put(result, key, item)
            elif _match(self.ours[0], key) is not None:
                parts = [name.format(**found[0]) for name in self.ours]
                missing = [part for part in parts if part not in entries]
                if missing:
                    raise WeightsError(f"{self.theirs.format(**found[0])}: cannot be written without {missing}")
                _put(result, self.theirs.format(**found[0]), _joined([entries[part] for part in parts], self.dim))
        return result

    def _sizes(self, key: str, item: Stored, config: Any) -> Sequence[int]:
        length = item.shape[self.dim] if self.dim < len(item.shape) else 0
        sizes = [length // len(self.ours)] * len(self.ours) if self.sizes is None else self.sizes(config)
        if sum(sizes) != length:
            parts = " + ".join(str(size) for size in sizes)
            raise WeightsError(
                f"{key}: shape {list(item.shape)} does not split into {parts} along dimension {self.dim}"
            )
        return sizes


@dataclass(frozen=True)
class Tie(Rule):
    """`name` is the same tensor as `source` where the config's field `when` is true, and is then stored once."""

    name: str
    source: str
    when: str

    def load(self, entries: Entries, config: Any) -> Entries:
        if not getattr(config, self.when) or self.source not in entries:
            return entries
        kept = entries.get(self.name)
        source = entries[self.source]
        if kept is not None and (kept.shape != source.shape or not torch.equal(kept.read(), source.read())):
            raise WeightsError(f"{self.name} differs from {self.source}, although {self.when} is true")
        return {**entries, self.name: source}

    def save(self, entries: Entries, config: Any) -> Entries:
        if not getattr(config, self.when):
            return entries
        return {key: item for key, item in entries.items() if key != self.name}


@dataclass(frozen=True)
class When(Rule):
    """A rule that holds only where `applies` is true of the config."""

    applies: Callable[[Any], bool]
    rule: Rule

    def load(self, entries: Entries, config: Any) -> Entries:
        return self.rule.load(entries, config) if self.applies(config) else entries

    def save(self, entries: Entries, config: Any) -> Entries:
        return self.rule.save(entries, config) if self.applies(config) else entries


@dataclass(frozen=True)
class Duplicate(Rule):
    """A second name of the tensor `source`, both the checkpoint's: read if the first is missing.

    It is written only where `written` is true of the config, as transformers asks for both there.
    """

    name: str
    source: str
    written: Callable[[Any], bool] | None = None

    def load(self, entries: Entries, config: Any) -> Entries:  # noqa: ARG002
        second = entries.get(self.name)
        if second is None:
            return entries
        first = entries.get(self.source, second)
        if first.shape != second.shape or not torch.equal(first.read(), second.read()):
            raise WeightsError(f"{self.name} differs from {self.source}, although both are the same weights")
        return {**{key: item for key, item in entries.items() if key != self.name}, self.source: first}

    def save(self, entries: Entries, config: Any) -> Entries:
        if self.written is None or not self.written(config):
            return entries
        source = entries[self.source]
        return {**entries, self.name: Stored(source.shape, source.dtype, lambda: source.read().clone())}


@dataclass(frozen=True)
class OwnCopy(Rule):
    """Where a checkpoint leaves out `name`, which is a tensor of its own here, it begins as `source`.

    transformers 5 leaves out what equals `source`.
    """

    name: str
    source: str

    def load(self, entries: Entries, config: Any) -> Entries:  # noqa: ARG002
        source = entries.get(self.source)
        if self.name in entries or source is None:
            return entries
        return {**entries, self.name: Stored(source.shape, source.dtype, lambda: source.read().clone())}

    def save(self, entries: Entries, config: Any) -> Entries:  # noqa: ARG002
        return entries


def apply_rules(rules: Sequence[Rule], entries: Entries, config: Any) -> Entries:
    """From the checkpoint's tensors to ours."""
    for rule in rules:
        entries = rule.load(entries, config)
    return entries


def invert_rules(rules: Sequence[Rule], entries: Entries, config: Any) -> Entries:
    """From our tensors to the checkpoint's."""
    for rule in reversed(rules):
        entries = rule.save(entries, config)
    return entries


def matches(pattern: str, key: str) -> bool:
    """Whether `key` has the form of `pattern`, with placeholders as in `Rename`."""
    return _match(pattern, key) is not None


def _names(pattern: str) -> list[str]:
    return sorted(_PLACEHOLDER.findall(pattern))


def _match(pattern: str, key: str) -> dict[str, str] | None:
    parts = _PLACEHOLDER.split(pattern)  # text, name, text, name, ..., text
    expression = "".join(
        re.escape(part) if index % 2 == 0 else rf"(?P<{part}>{'.+' if part == 'rest' else '[^.]+'})"
        for index, part in enumerate(parts)
    )
    found = re.fullmatch(expression, key)
    return found.groupdict() if found else None


def _renamed(entries: Entries, old: str, new: str) -> Entries:
    result: Entries = {}
    for key, item in entries.items():
        found = _match(old, key)
        _put(result, key if found is None else new.format(**found), item)
    return result


def _put(entries: Entries, key: str, item: Stored) -> None:
    if key in entries:
        raise WeightsError(f"two tensors of the checkpoint would both become {key}")
    entries[key] = item


def _transposed(key: str, item: Stored) -> Stored:
    if len(item.shape) != 2:
        raise WeightsError(f"{key}: shape {list(item.shape)} is not a matrix, and cannot be transposed")
    return Stored(item.shape[::-1], item.dtype, lambda: item.read().T.contiguous())


def _narrowed(item: Stored, dim: int, start: int, size: int) -> Stored:
    shape = (*item.shape[:dim], size, *item.shape[dim + 1 :])
    return Stored(shape, item.dtype, lambda: item.read().narrow(dim, start, size).contiguous())


def _joined(items: Sequence[Stored], dim: int) -> Stored:
    first = items[0]
    length = sum(item.shape[dim] for item in items)
    shape = (*first.shape[:dim], length, *first.shape[dim + 1 :])
    return Stored(shape, first.dtype, lambda: torch.cat([item.read() for item in items], dim))
