"""What the prepared data are: counts, lengths, languages, duplicates, and what was dropped and why."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from wenlu.corpus.record import Drop, Record
from wenlu.errors import DataError

STATISTICS = "statistics.json"
_EXAMPLES = 3
_SHOWN = 300
_QUANTILES = {"min": 0.0, "5%": 0.05, "25%": 0.25, "median": 0.5, "75%": 0.75, "95%": 0.95, "max": 1.0}


class _Facts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SplitSummary(_Facts):
    """One split; lengths are in characters.

    Attributes:
        bytes: of the texts in UTF-8.
        clusters: of near-duplicates, single records included.
        languages: records by the code that the step `language` wrote; empty without that step.
        length_histogram: pairs of the lengths' upper bound (a power of 2, included) and the number of records.
    """

    records: int
    characters: int
    bytes: int
    clusters: int
    languages: Mapping[str, int]
    sources: Mapping[str, int]
    length_quantiles: Mapping[str, int]
    length_histogram: tuple[tuple[int, int], ...]


class DropCount(_Facts):
    step: str
    reason: str
    records: int


class DropExample(_Facts):
    """The beginning of a dropped text."""

    step: str
    reason: str
    id: str
    text: str


class Duplicates(_Facts):
    """Among the kept records of all splits.

    Attributes:
        exact: records whose text another one before has too.
        clusters: of two or more near-duplicates; `records` lie in them, `largest` in the largest.
    """

    threshold: float
    exact: int
    clusters: int
    records: int
    largest: int


class Overlap(_Facts):
    """How much of a held-out split another split shares.

    Attributes:
        exact: records of `held_out` whose text is in `other` too.
        near_duplicates: records of `held_out` with a near-duplicate in `other`.
        ngrams: part of the n-grams of `held_out` (13 words, 50 characters in Chinese) that are in `other` too.
        sampled: the part of the n-grams that was looked for.
    """

    held_out: str
    other: str
    records: int
    exact: int
    near_duplicates: int
    ngrams: float
    sampled: float


class FileFact(_Facts):
    bytes: int
    sha256: str


class DataSummary(_Facts):
    """All that `prepare` counted; kept as `statistics.json` beside the splits.

    Attributes:
        read: records and drops that the sources gave; a step that makes several records of one adds to it.
        notes: what the reader should know, in sentences.
        settings: the resolved `DataConfig`.
    """

    format: Literal[1] = 1
    seed: int
    settings: Mapping[str, Any]
    read: int
    kept: int
    splits: Mapping[str, SplitSummary]
    dropped: tuple[DropCount, ...]
    examples: tuple[DropExample, ...]
    duplicates: Duplicates
    overlap: tuple[Overlap, ...]
    files: Mapping[str, FileFact]
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return self.model_dump(mode="json")

    @classmethod
    def open(cls, folder: Path) -> Self:
        """The summary of prepared data; raises DataError if there is none."""
        path = folder / STATISTICS
        try:
            return cls.model_validate_json(path.read_bytes())
        except FileNotFoundError as error:
            raise DataError(
                f"{folder}: no prepared data here ({STATISTICS} is missing); run wenlu data first"
            ) from error
        except ValidationError as error:
            raise DataError(
                f"{path}: not written by this version of Wenlu, or damaged; run wenlu data again"
            ) from error


class Drops:
    """Counts dropped records by step and reason, with a few examples of each."""

    def __init__(self) -> None:
        self.counts = Counter[tuple[str, str]]()
        self._examples: list[DropExample] = []

    def add(self, drop: Drop) -> None:
        key = (drop.step, drop.reason)
        self.counts[key] += 1
        if self.counts[key] <= _EXAMPLES:
            text = drop.record.text[:_SHOWN].encode("utf-8", "replace").decode()
            self._examples.append(DropExample(step=drop.step, reason=drop.reason, id=drop.record.id, text=text))

    def by_count(self) -> tuple[DropCount, ...]:
        """Commonest first; ties in the order of first appearance."""
        return tuple(DropCount(step=s, reason=r, records=n) for (s, r), n in self.counts.most_common())

    def examples(self) -> tuple[DropExample, ...]:
        """In the order of `by_count`."""
        order = {(drop.step, drop.reason): i for i, drop in enumerate(self.by_count())}
        return tuple(sorted(self._examples, key=lambda example: order[example.step, example.reason]))

    def __str__(self) -> str:
        return ", ".join(f"{n} by {step} ({reason})" for (step, reason), n in self.counts.most_common(5))


class SplitTally:
    """Adds up one split, record by record; eight bytes of memory each."""

    def __init__(self) -> None:
        self._lengths = array("Q")
        self._bytes = 0
        self._languages, self._sources = Counter[str](), Counter[str]()

    def add(self, record: Record, text_bytes: int) -> None:
        self._lengths.append(len(record.text))
        self._bytes += text_bytes
        if "language" in record.meta:
            self._languages[record.meta["language"]] += 1
        if "source" in record.meta:
            self._sources[record.meta["source"]] += 1

    @property
    def records(self) -> int:
        return len(self._lengths)

    def summary(self, clusters: int) -> SplitSummary:
        lengths = np.array(self._lengths, np.int64)
        bins = np.ceil(np.log2(np.maximum(lengths, 1))).astype(np.int64)
        histogram = [(2**i, int(n)) for i, n in enumerate(np.bincount(bins))]
        return SplitSummary(
            records=len(lengths),
            characters=int(lengths.sum()),
            bytes=self._bytes,
            clusters=clusters,
            languages=dict(self._languages.most_common()),
            sources=dict(self._sources.most_common()),
            length_quantiles={
                name: int(np.quantile(lengths, q, method="inverted_cdf")) for name, q in _QUANTILES.items()
            },
            length_histogram=tuple(histogram),
        )
