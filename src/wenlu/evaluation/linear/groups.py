"""Groups of features: from texts and columns to sparse rows, by what the training part told."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from wenlu.errors import DataError, MissingExtra

Floats = np.ndarray[Any, np.dtype[np.float64]]
Sparse = Any
"""A scipy.sparse.csr_matrix: scikit-learn and scipy are imported where they are used."""
SIGNS = r"(?u)\b\w\w+\b"
SPACES = r"(?u)\S+"


@dataclass(frozen=True)
class Item:
    """A text, and the columns of its record that are features; `words` is the text as its words are counted."""

    text: str
    columns: Mapping[str, str] = field(default_factory=dict)
    words: str | None = None


class Group(Protocol):
    """What was fitted of a group of features."""

    @property
    def name(self) -> str: ...

    @property
    def names(self) -> Sequence[str]:
        """Of the features, in their order."""

    def rows(self, items: Sequence[Item]) -> Sparse:
        """(n, F)."""

    def state(self) -> dict[str, Any]:
        """As plain data and arrays, without its name."""


@dataclass(frozen=True)
class Terms:
    """TF-IDF of n-grams: (1 + ln tf) · idf, rows of length 1, as scikit-learn has it with `sublinear_tf`.

    Attributes:
        kind: "words", or "characters" within words.
    """

    kind: str
    ngrams: tuple[int, int]
    pattern: str
    terms: tuple[str, ...]
    idf: Floats

    @classmethod
    def fit(
        cls, kind: str, ngrams: tuple[int, int], pattern: str, items: Sequence[Item], fewest: int, most: int
    ) -> tuple[Terms, Sparse]:
        """The group, and the rows of the items. Raises DataError where nothing stands in `fewest` texts."""
        vectoriser = _vectoriser(kind, ngrams, pattern, min_df=min(fewest, len(items)), max_features=most)
        try:
            rows = vectoriser.fit_transform(_texts(kind, items))
        except ValueError as error:
            raise DataError(
                f"features.{kind}: no term stands in {fewest} of {len(items):,} training texts; lower "
                f'features.fewest_texts, or set features.{kind}="none"'
            ) from error
        return cls(kind, ngrams, pattern, tuple(vectoriser.get_feature_names_out()), vectoriser.idf_), rows

    @property
    def name(self) -> str:
        return self.kind

    @property
    def names(self) -> Sequence[str]:
        return self.terms

    @cached_property
    def _fitted(self) -> Any:
        vectoriser = _vectoriser(self.kind, self.ngrams, self.pattern, vocabulary=self.terms)
        vectoriser.idf_ = self.idf
        return vectoriser

    def rows(self, items: Sequence[Item]) -> Sparse:
        return self._fitted.transform(_texts(self.kind, items))

    def state(self) -> dict[str, Any]:
        terms = np.frombuffer(json.dumps(self.terms).encode(), np.uint8)
        return {"ngrams": list(self.ngrams), "pattern": self.pattern, "terms": terms, "idf": self.idf}

    @classmethod
    def of(cls, kind: str, state: Mapping[str, Any]) -> Terms:
        terms = tuple(json.loads(state["terms"].tobytes()))
        low, high = state["ngrams"]
        return cls(kind, (low, high), state["pattern"], terms, state["idf"])


@dataclass(frozen=True)
class Numbers:
    """Columns that hold numbers, less their mean and by their spread; one that is missing counts as the mean."""

    columns: tuple[str, ...]
    means: Floats
    spreads: Floats
    name: str = "numbers"

    @classmethod
    def fit(cls, columns: tuple[str, ...], items: Sequence[Item]) -> Numbers:
        """Raises DataError for what is no number."""
        values = _numbers(columns, items)
        counts = np.maximum(1, (~np.isnan(values)).sum(axis=0))
        means = np.nansum(values, axis=0) / counts
        spreads = np.sqrt(np.nansum((values - means) ** 2, axis=0) / counts)
        return cls(columns, means, np.where(spreads > 0, spreads, 1.0))

    @property
    def names(self) -> Sequence[str]:
        return self.columns

    def rows(self, items: Sequence[Item]) -> Sparse:
        return _sparse(np.nan_to_num((_numbers(self.columns, items) - self.means) / self.spreads))

    def state(self) -> dict[str, Any]:
        return {"columns": list(self.columns), "means": self.means, "spreads": self.spreads}

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Numbers:
        return cls(tuple(state["columns"]), state["means"], state["spreads"])


@dataclass(frozen=True)
class Categories:
    """A 1 for the value that a column holds; nothing for values that the training part does not have."""

    values: tuple[tuple[str, str], ...]
    name: str = "categories"

    @classmethod
    def fit(cls, columns: tuple[str, ...], items: Sequence[Item], fewest: int) -> Categories:
        counts = Counter((name, item.columns[name]) for item in items for name in columns if name in item.columns)
        return cls(tuple(sorted(pair for pair, count in counts.items() if count >= min(fewest, len(items)))))

    @property
    def names(self) -> Sequence[str]:
        return [f"{column}={value}" for column, value in self.values]

    def rows(self, items: Sequence[Item]) -> Sparse:
        columns = dict.fromkeys(column for column, _ in self.values)
        numbers = {pair: number for number, pair in enumerate(self.values)}
        found = np.zeros((len(items), len(self.values)))
        for row, item in zip(found, items, strict=True):
            row[[numbers[pair] for name in columns if (pair := (name, item.columns.get(name, ""))) in numbers]] = 1
        return _sparse(found)

    def state(self) -> dict[str, Any]:
        return {"values": [list(pair) for pair in self.values]}

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Categories:
        return cls(tuple((column, value) for column, value in state["values"]))


def _texts(kind: str, items: Sequence[Item]) -> Iterable[str]:
    return (item.text if kind == "characters" or item.words is None else item.words for item in items)


def _vectoriser(kind: str, ngrams: tuple[int, int], pattern: str, **settings: Any) -> Any:
    try:
        from sklearn.feature_extraction.text import TfidfVectorizer
    except ImportError as error:
        raise MissingExtra("scikit-learn", extra="tasks", purpose="fit linear models") from error
    own = {"analyzer": "char_wb"} if kind == "characters" else {"token_pattern": pattern}
    return TfidfVectorizer(ngram_range=ngrams, sublinear_tf=True, **own, **settings)


def _numbers(columns: Sequence[str], items: Sequence[Item]) -> Floats:
    found = np.full((len(items), len(columns)), math.nan)
    for row, item in zip(found, items, strict=True):
        for place, name in enumerate(columns):
            text = item.columns.get(name, "").strip()
            try:
                row[place] = float(text) if text else math.nan
            except ValueError as error:
                raise DataError(
                    f"features.numbers: {name!r} holds {text[:40]!r}, no number; name it in features.categories"
                ) from error
    return found


def _sparse(values: Floats) -> Sparse:
    from scipy.sparse import csr_matrix

    return csr_matrix(values)
