"""Character error rate: edits of characters, per character of the reference."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wenlu.metrics.edit_distance import edit_distance
from wenlu.metrics.language import UNSPACED, code_of
from wenlu.metrics.mean import as_it_is
from wenlu.metrics.metric import Columns, Metric, Ratio


def cer(language: str) -> Metric:
    """Of the whole corpus: 0 is perfect, over 1 is possible. Case and signs count.

    Spaces inside a text count as characters, but not in languages that put none between words, where they say nothing.
    """
    spaces = "removed" if code_of(language) in UNSPACED else "counted"
    return Metric(
        name="cer",
        unit="fraction",
        better="lower",
        needs=("character_edits", "reference_characters"),
        compute=Ratio("character_edits", "reference_characters", as_it_is),
        signature=f"cer|spaces:{spaces}|case:mixed|micro|v1",
        source="Levenshtein 1966; jiwer.cer",
    )


def cer_columns(predictions: Sequence[str], references: Sequence[str], language: str) -> Columns:
    """One reference an example."""
    between = "" if code_of(language) in UNSPACED else None
    pairs = [
        (_characters(wanted, between), _characters(found, between))
        for found, wanted in zip(predictions, references, strict=True)
    ]
    return {
        "character_edits": np.array([edit_distance(wanted, found) for wanted, found in pairs], np.int64),
        "reference_characters": np.array([len(wanted) for wanted, _ in pairs], np.int64),
    }


def _characters(text: str, between: str | None) -> str:
    return text.strip() if between is None else between.join(text.split())
