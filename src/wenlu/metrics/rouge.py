"""ROUGE: how much of a summary and its reference is the same, in words, pairs of words, or a common subsequence."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Literal

from wenlu.errors import MissingExtra, UsageError
from wenlu.metrics.language import code_of
from wenlu.metrics.lcs import lcs_length, lcs_places
from wenlu.metrics.mean import columns_for_means, mean_of
from wenlu.metrics.metric import Columns, Metric
from wenlu.metrics.references import References, check_paired
from wenlu.metrics.text_units import Segmentation, units_convention, units_of

Variant = Literal["1", "2", "L", "Lsum"]
Sentences = Literal["lines", "marks"]
"""Where a sentence of Lsum ends: at a line break only, or also after 。！？； and closing quotes behind them."""

_SHORTEST_STEMMED = 4
_AFTER_A_SENTENCE = re.compile(
    "(?<=[。！？；｡])(?![。！？；｡”’」』）》]|$)|(?<=[。！？；｡][”’」』）》])(?![”’」』）》]|$)"
)


def rouge(
    variant: Variant,
    language: str,
    *,
    segmentation: Segmentation = "characters",
    stemmer: bool = False,
    sentences: Sentences = "lines",
) -> Metric:
    """The mean of the examples' F-measures, from 0 to 1; with several references, that of the best one.

    Args:
        stemmer: cut suffixes of English words by Porter's algorithm of 1980. rouge-score cuts them by the one of
            NLTK, which adds rules of its own (`days` is `day`, not `dai`): about one word in a hundred differs.
        sentences: has a meaning for Lsum alone.
    """
    name = f"rouge{variant}"
    conventions = [units_convention(language, segmentation), f"stemmer:{'porter' if stemmer else 'no'}"]
    if variant == "Lsum":
        conventions.append(f"sentences:{sentences}")
    _check_stemmer(language, stemmer)
    return Metric(
        name=name,
        unit="fraction",
        better="higher",
        needs=(name, "examples"),
        compute=mean_of(name),
        signature="|".join([name, "f1", "mean:examples", "refs:best", *conventions, "v1"]),
        source="Lin 2004, ROUGE: a package for automatic evaluation of summaries; rouge-score",
    )


def rouge_columns(
    predictions: Sequence[str],
    references: References,
    language: str,
    *,
    segmentation: Segmentation = "characters",
    stemmer: bool = False,
    sentences: Sentences = "lines",
) -> Columns:
    """The F-measures of all variants for each example: `rouge1`, `rouge2`, `rougeL`, `rougeLsum`, and `examples`."""
    check_paired(predictions, references)
    _check_stemmer(language, stemmer)

    def cut(text: str) -> list[str]:
        units = units_of(text, language, segmentation)
        return [_stem(unit) for unit in units] if stemmer else units

    def cut_sentences(text: str) -> list[list[str]]:
        lines = text.split("\n")
        if sentences == "marks":
            lines = [part for line in lines for part in _AFTER_A_SENTENCE.split(line)]
        return [cut(line) for line in lines]

    rows: dict[str, list[float]] = {"rouge1": [], "rouge2": [], "rougeL": [], "rougeLsum": []}
    for prediction, texts in zip(predictions, references, strict=True):
        units, parts = cut(prediction), cut_sentences(prediction)
        wanted = [(cut(text), cut_sentences(text)) for text in texts]
        rows["rouge1"].append(max(_of_runs(units, other, 1) for other, _ in wanted))
        rows["rouge2"].append(max(_of_runs(units, other, 2) for other, _ in wanted))
        rows["rougeL"].append(max(_of_subsequence(units, other) for other, _ in wanted))
        rows["rougeLsum"].append(max(_of_sentences(parts, other) for _, other in wanted))
    return columns_for_means(rows)


def _of_runs(prediction: Sequence[str], reference: Sequence[str], n: int) -> float:
    found, wanted = (Counter(zip(*(units[i:] for i in range(n)), strict=False)) for units in (prediction, reference))
    return _f1((found & wanted).total(), found.total(), wanted.total())


def _of_subsequence(prediction: Sequence[str], reference: Sequence[str]) -> float:
    return _f1(lcs_length(reference, prediction), len(prediction), len(reference))


def _of_sentences(prediction: Sequence[Sequence[str]], reference: Sequence[Sequence[str]]) -> float:
    """Section 3.2 of the paper: for each sentence of the reference, what its longest common subsequences with all the
    prediction's sentences cover together; a unit counts no oftener than the prediction has it."""
    covered: Counter[str] = Counter()
    for wanted in reference:
        places = {place for found in prediction for place in lcs_places(wanted, found)}
        covered.update(wanted[place] for place in places)
    available = Counter(unit for found in prediction for unit in found)
    return _f1((covered & available).total(), available.total(), sum(map(len, reference)))


def _f1(shared: int, found: int, wanted: int) -> float:
    """Harmonic mean of precision and recall; 0 where a text has no unit."""
    if not shared:
        return 0.0
    precision, recall = shared / found, shared / wanted
    return 2 * precision * recall / (precision + recall)


def _check_stemmer(language: str, stemmer: bool) -> None:
    if stemmer and code_of(language) != "en":
        raise UsageError(f"stemmer = true cuts English words, not those of {language!r}; leave it out")
    if stemmer:
        _stemmer()


def _stem(word: str) -> str:
    return str(_stemmer()(word)) if len(word) >= _SHORTEST_STEMMED else word


@cache
def _stemmer() -> Callable[[str], Any]:
    try:
        import snowballstemmer
    except ImportError as error:
        raise MissingExtra("snowballstemmer", extra="data", purpose="stem words") from error
    return cache(snowballstemmer.stemmer("porter").stemWord)
