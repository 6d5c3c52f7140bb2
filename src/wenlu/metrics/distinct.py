"""Distinct-n: how many different words, or pairs of words, a model's answers have, per word."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from wenlu.errors import DataError
from wenlu.metrics.metric import Column, Columns, Metric
from wenlu.metrics.text_units import Segmentation, units_convention, units_of

Per = Literal["tokens", "ngrams"]


@dataclass(frozen=True)
class DistinctShare:
    """Different entries of the lists in `ids`, over the sum of `total`: no sum of examples determines it."""

    ids: str
    total: str

    def __call__(self, columns: Columns) -> float:
        """Raises DataError where the texts have nothing to count."""
        total = int(columns[self.total].sum())
        if not total:
            raise DataError("no words to count different ones of: the texts are empty")
        ids = np.concatenate(columns[self.ids].tolist())
        return int(np.count_nonzero(np.bincount(ids))) / total


def distinct(n: int, language: str, *, segmentation: Segmentation = "characters", per: Per = "tokens") -> Metric:
    """Of the whole corpus, from 0 to 1; it falls as texts get more, so compare only equal numbers of like length.

    It has no interval: a bootstrap draws some texts twice and leaves out others, so its values lie below the metric.

    Args:
        per: what the number of different n-grams is divided by: all tokens, as in the paper, or all n-grams.
    """
    name = f"distinct-{n}"
    total = "distinct_tokens" if per == "tokens" else f"distinct_{n}_total"
    return Metric(
        name=name,
        unit="fraction",
        better="higher",
        needs=(f"distinct_{n}", total),
        compute=DistinctShare(f"distinct_{n}", total),
        signature=f"{name}|corpus|per:{per}|{units_convention(language, segmentation)}|v1",
        source="Li, Galley, Brockett, Gao & Dolan 2016, A diversity-promoting objective function, arXiv:1510.03055",
        is_resampled=False,
    )


def distinct_columns(
    predictions: Sequence[str], language: str, *, segmentation: Segmentation = "characters", longest: int = 2
) -> Columns:
    """For each n up to `longest`: `distinct_N`, an array of n-gram ids a text, and `distinct_N_total`, their number;
    and `distinct_tokens`."""
    texts = [units_of(text, language, segmentation) for text in predictions]
    columns: dict[str, Column] = {"distinct_tokens": np.array([len(units) for units in texts], np.int64)}
    for n in range(1, longest + 1):
        numbers: dict[tuple[str, ...], int] = {}
        ids = np.empty(len(texts), object)
        for i, units in enumerate(texts):
            ngrams = zip(*(units[k:] for k in range(n)), strict=False)
            ids[i] = np.array([numbers.setdefault(ngram, len(numbers)) for ngram in ngrams], np.int64)
        columns[f"distinct_{n}"] = ids
        columns[f"distinct_{n}_total"] = np.array([len(found) for found in ids], np.int64)
    return columns
