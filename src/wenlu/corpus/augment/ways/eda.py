"""Easy data augmentation: synonyms, insertions, swaps, deletions (Wei & Zou 2019, arXiv:1901.11196)."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import Field, model_validator

from wenlu.corpus.augment.spelt import Spelt
from wenlu.corpus.augment.synonyms import cased_as
from wenlu.corpus.augment.way import Change, Synonyms, Tables, WayConfig, WayKind

Operation = Literal["synonyms", "insertion", "swap", "deletion"]
_TRIES = 10
"""So often a word with synonyms is looked for, to insert one of them."""


class EdaConfig(WayConfig):
    """Each changed text is made by one of the operations, drawn at random.

    Attributes:
        alpha: share of the words that change, at least one; a word is deleted with this probability.
        operations: to draw from.
        synonyms: "auto" is WordNet for English and words that CC-CEDICT explains alike for Chinese; else a file with a
            group of synonyms a line, or a run or file of word vectors, whose nearest words are taken.
    """

    way: Literal["eda"] = "eda"
    alpha: float = Field(default=0.1, gt=0, lt=1)
    operations: tuple[Operation, ...] = ("synonyms", "insertion", "swap", "deletion")
    synonyms: str = "auto"

    @model_validator(mode="after")
    def _some(self) -> EdaConfig:
        if not self.operations:
            raise ValueError("operations: an empty list; name at least one")
        return self


@dataclass(frozen=True)
class _Eda:
    config: EdaConfig
    synonyms: Mapping[str, Synonyms]

    def __call__(self, text: str, drawn: random.Random) -> str:
        spelt = Spelt.of(text)
        if not spelt.words:
            return text
        count = max(1, int(self.config.alpha * len(spelt.words)))
        match drawn.choice(self.config.operations):
            case "synonyms":
                self._replace(spelt, count, drawn)
            case "insertion":
                self._insert(spelt, count, drawn)
            case "swap":
                for _ in range(count):
                    a, b = drawn.randrange(len(spelt.words)), drawn.randrange(len(spelt.words))
                    spelt.words[a], spelt.words[b] = spelt.words[b], spelt.words[a]
            case "deletion":
                self._delete(spelt, drawn)
        return spelt.text

    def _replace(self, spelt: Spelt, count: int, drawn: random.Random) -> None:
        """Other words for up to `count` different ones, wherever they stand."""
        table, candidates = self._table(spelt), list(dict.fromkeys(spelt.words))
        drawn.shuffle(candidates)
        for word in candidates:
            if count and (others := table.of(word)):
                other = cased_as(word, drawn.choice(others))
                spelt.words[:] = [other if each == word else each for each in spelt.words]
                count -= 1

    def _insert(self, spelt: Spelt, count: int, drawn: random.Random) -> None:
        table = self._table(spelt)
        for _ in range(count):
            tried = (table.of(drawn.choice(spelt.words)) for _ in range(_TRIES))
            others = next((found for found in tried if found), None)
            if others is not None:
                spelt.insert(drawn.randint(0, len(spelt.words)), drawn.choice(others))

    def _delete(self, spelt: Spelt, drawn: random.Random) -> None:
        """At least one word stays."""
        gone = [place for place in range(len(spelt.words)) if drawn.random() < self.config.alpha]
        if len(gone) == len(spelt.words):
            gone.remove(drawn.choice(gone))
        for place in reversed(gone):
            spelt.delete(place)

    def _table(self, spelt: Spelt) -> Synonyms:
        return self.synonyms["zh" if spelt.is_chinese else "en"]


def build(config: EdaConfig, tables: Tables) -> Change:
    needed = {"synonyms", "insertion"} & set(config.operations)
    return _Eda(config, tables.synonyms(config.synonyms) if needed else {})


WAY = WayKind("eda", EdaConfig, build)
