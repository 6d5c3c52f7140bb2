"""What linear models see of records: groups of features side by side."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self

from wenlu.corpus.record import Drop, Record, Step
from wenlu.corpus.script import is_mostly_han
from wenlu.corpus.steps import stem, stop_words, words
from wenlu.corpus.steps.stem import StemConfig
from wenlu.corpus.steps.stop_words import StopWordsConfig
from wenlu.corpus.steps.words import WordsConfig
from wenlu.evaluation.linear.dense import Encoded, MeanVectors
from wenlu.evaluation.linear.groups import SIGNS, SPACES, Categories, Group, Item, Numbers, Sparse, Terms
from wenlu.evaluation.linear.settings import FeaturesConfig

_PROBED = 200
"""Training texts that tell in which script a data set is."""


@dataclass(frozen=True)
class Features:
    """Fitted groups.

    Attributes:
        config: with every "auto" resolved.
        seconds: that each group took to be fitted.
    """

    config: FeaturesConfig
    groups: tuple[Group, ...]
    seconds: Mapping[str, float] = field(default_factory=dict, compare=False)

    @classmethod
    def fit(cls, config: FeaturesConfig, items: Sequence[Item]) -> tuple[Self, Sparse]:
        """The features of training items, and their rows (n, F).

        Raises DataError where a group finds nothing, UsageError where a package is missing.
        """
        config = _resolved(config, items)
        begin = time.perf_counter()
        items = _prepared(config, items)
        groups, rows, seconds = [], [], {}
        for group, found in _fitted(config, items):
            groups.append(group)
            rows.append(found)
            seconds[group.name] = time.perf_counter() - begin
            begin = time.perf_counter()
        return cls(config, tuple(groups), seconds), _beside(rows, len(items))

    @classmethod
    def nothing(cls) -> Self:
        """No features: a model of them knows what is common."""
        return cls(FeaturesConfig(), ())

    @property
    def names(self) -> list[tuple[str, str]]:
        """The group and the name of each feature."""
        return [(group.name, name) for group in self.groups for name in group.names]

    @cached_property
    def places(self) -> dict[str, slice]:
        """The columns of each group."""
        found, start = {}, 0
        for group in self.groups:
            found[group.name] = slice(start, start + len(group.names))
            start += len(group.names)
        return found

    def rows(self, items: Sequence[Item]) -> Sparse:
        """(n, F)."""
        items = _prepared(self.config, items) if self.groups else items
        return _beside([group.rows(items) for group in self.groups], len(items))

    @property
    def is_plain(self) -> bool:
        """Whether words are counted as they stand in a text."""
        return not _steps(self.config)

    def prepared(self, item: Item) -> Item:
        """With the words of the text as they are counted."""
        return _prepared(self.config, [item])[0]

    def cut(self, text: str) -> list[str] | None:
        """The words and signs of a text, before any are left out or lose their endings; None: spaces part them."""
        return words.words_of(text) if self.config.words == "cut" else None

    def counted(self, word: str) -> str:
        """What is left of one of those words; nothing where it is left out."""
        steps, is_cut = _steps(self.config), self.config.words == "cut"
        if is_cut and not any(letter.isalnum() for letter in word):
            return ""
        return _through(steps[is_cut:], word)

    def only(self, names: Collection[str]) -> Self:
        """Some of the groups."""
        kept = tuple(group for group in self.groups if group.name in names)
        columns: dict[str, Any] = {name: () for name in ("numbers", "categories") if name not in names}
        columns |= {name: "none" for name in ("words", "characters") if name not in names}
        seconds = {name: seconds for name, seconds in self.seconds.items() if name in names}
        return type(self)(self.config.model_copy(update=columns), kept, seconds)

    def of_whole(self, whole: Self, rows: Sparse) -> Sparse:
        """The columns of these groups, of rows of `whole`, which has more."""
        if len(self.groups) == len(whole.groups):
            return rows
        return _beside([rows[:, whole.places[group.name]] for group in self.groups], rows.shape[0])

    def state(self) -> dict[str, Any]:
        """As plain data and arrays."""
        groups = [{"name": group.name, **group.state()} for group in self.groups]
        return {"config": self.config.model_dump_json(), "groups": groups}

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Self:
        groups = tuple(_group(each) for each in state["groups"])
        return cls(FeaturesConfig.model_validate_json(state["config"]), groups)


def _fitted(config: FeaturesConfig, items: Sequence[Item]) -> Iterator[tuple[Group, Sparse]]:
    fewest, most = config.fewest_texts, config.most
    if config.words != "none":
        pattern = SPACES if config.words == "cut" else SIGNS
        yield Terms.fit("words", config.word_ngrams, pattern, items, fewest, most)
    if not isinstance(config.characters, str):
        yield Terms.fit("characters", config.characters, "", items, fewest, most)
    others: list[Group] = []
    if config.vectors is not None:
        others.append(MeanVectors(config.vectors))
    if config.encoder is not None:
        others.append(Encoded(config.encoder, config.encoder_tokens))
    if config.numbers:
        others.append(Numbers.fit(config.numbers, items))
    if config.categories:
        others.append(Categories.fit(config.categories, items, fewest))
    for group in others:
        yield group, group.rows(items)


def _group(state: Mapping[str, Any]) -> Group:
    match state["name"]:
        case "vectors":
            return MeanVectors.of(state)
        case "encoder":
            return Encoded.of(state)
        case "numbers":
            return Numbers.of(state)
        case "categories":
            return Categories.of(state)
        case name:
            return Terms.of(name, state)


def _beside(parts: Sequence[Sparse], count: int) -> Sparse:
    from scipy.sparse import csr_matrix, hstack

    return csr_matrix(hstack(parts, format="csr")) if parts else csr_matrix((count, 0))


def _resolved(config: FeaturesConfig, items: Sequence[Item]) -> FeaturesConfig:
    if config.words != "auto":
        return config
    sample = "".join(item.text for item in items[:_PROBED])
    return config.model_copy(update={"words": "cut" if is_mostly_han(sample) else "spaces"})


def _prepared(config: FeaturesConfig, items: Sequence[Item]) -> list[Item]:
    """With the words of each text as they are counted."""
    steps = _steps(config)
    if not steps or config.words == "none":
        return list(items)
    return [replace(item, words=_through(steps, item.text)) for item in items]


def _steps(config: FeaturesConfig) -> list[Step]:
    room: Any = None  # which steps that look at one record do not need
    steps = [words.build(WordsConfig(punctuation=False), room)] if config.words == "cut" else []
    if config.stop_words != "none":
        steps.append(stop_words.build(StopWordsConfig(language=config.stop_words), room))
    if config.stem != "none":
        steps.append(stem.build(StemConfig(language=config.stem), room))
    return steps


def _through(steps: Sequence[Step], text: str) -> str:
    record = Record(text, "text")
    for step in steps:
        item = next(iter(step([record])))
        if isinstance(item, Drop):
            return ""
        record = item
    return record.text
