"""Coverage: the fraction of what was asked that could be answered at all, as words that have a vector."""

from __future__ import annotations

from wenlu.metrics.metric import Column, Metric, Ratio


def _as_it_is(share: Column) -> Column:
    return share


COVERAGE = Metric(
    name="coverage",
    unit="fraction",
    better="higher",
    needs=("known", "asked"),
    compute=Ratio("known", "asked", _as_it_is),
    signature="coverage|micro|v1",
    source="one minus the oov_ratio of gensim.models.KeyedVectors.evaluate_word_pairs",
)
"""The column `known` counts what can be answered of the `asked`: 0 or 1 of 1 for a question, words of a text."""
