"""Rules that depend on what a model ends in, as one architecture is stored under several classes of transformers.

They read the config's `head`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from wenlu.errors import WeightsError
from wenlu.models.weights.rules import Entries, Rename, Rule, Stored, matches


@dataclass(frozen=True)
class BaseModel(Rule):
    """The tensors of the model below its head: `prefix.` stands before them in every class but the bare one.

    `parts` are the first words of their names.
    """

    prefix: str
    parts: tuple[str, ...]

    def load(self, entries: Entries, config: Any) -> Entries:
        return Rename(f"{self.prefix}.{{rest}}", "{rest}").load(entries, config)

    def save(self, entries: Entries, config: Any) -> Entries:
        if config.head == "none":
            return entries
        return {self._prefixed(key): item for key, item in entries.items()}

    def _prefixed(self, key: str) -> str:
        return f"{self.prefix}.{key}" if key.partition(".")[0] in self.parts else key


@dataclass(frozen=True)
class ForHeads(Rule):
    """A rule that holds only for models that end in one of `heads`."""

    heads: tuple[str, ...]
    rule: Rule

    def load(self, entries: Entries, config: Any) -> Entries:
        return self.rule.load(entries, config) if config.head in self.heads else entries

    def save(self, entries: Entries, config: Any) -> Entries:
        return self.rule.save(entries, config) if config.head in self.heads else entries


@dataclass(frozen=True)
class OlderName(Rule):
    """A name that older files use; it is read and never written."""

    theirs: str
    ours: str

    def load(self, entries: Entries, config: Any) -> Entries:
        return Rename(self.theirs, self.ours).load(entries, config)

    def save(self, entries: Entries, config: Any) -> Entries:  # noqa: ARG002
        return entries


@dataclass(frozen=True)
class LeftOver(Rule):
    """Weights of other heads that published files keep beside those of theirs: known, read by none, not written."""

    name: str

    def load(self, entries: Entries, config: Any) -> Entries:  # noqa: ARG002
        return {key: item for key, item in entries.items() if not matches(self.name, key)}

    def save(self, entries: Entries, config: Any) -> Entries:  # noqa: ARG002
        return entries


@dataclass(frozen=True)
class PoolerIsThere(Rule):
    """Says what to do for a bare model that was saved without its pooler, which config.json does not tell."""

    def load(self, entries: Entries, config: Any) -> Entries:
        if config.head == "none" and config.has_pooler and "pooler.dense.weight" not in entries:
            raise WeightsError('no weights of a pooler; if there is none, say "has_pooler": false in config.json')
        return entries

    def save(self, entries: Entries, config: Any) -> Entries:  # noqa: ARG002
        return entries


@dataclass(frozen=True)
class DecoderBias(Rule):
    """The masked head's bias, which transformers keeps under two names: one tensor with a tied decoder, else two.

    Of the two its decoder adds `decoder`; older files hold only `shared`.
    """

    shared: str
    decoder: str

    def load(self, entries: Entries, config: Any) -> Entries:
        rest = {key: item for key, item in entries.items() if key != self.shared}
        if self.shared not in entries or self.decoder not in entries:
            return Rename(self.shared, self.decoder).load(entries, config)
        if config.tie_word_embeddings and not torch.equal(entries[self.shared].read(), entries[self.decoder].read()):
            raise WeightsError(f"{self.shared} differs from {self.decoder}, although tie_word_embeddings is true")
        return rest

    def save(self, entries: Entries, config: Any) -> Entries:
        if config.tie_word_embeddings or self.decoder not in entries:
            return Rename(self.shared, self.decoder).save(entries, config)
        bias = entries[self.decoder]
        return {**entries, self.shared: Stored(bias.shape, bias.dtype, lambda: bias.read().clone())}
