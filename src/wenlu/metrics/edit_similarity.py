"""Edit similarity: how much of a text need not be changed to make it the right one, character by character."""

from __future__ import annotations

from collections.abc import Sequence

from wenlu.metrics.edit_distance import edit_distance
from wenlu.metrics.mean import columns_for_means, mean_of
from wenlu.metrics.metric import Columns, Metric
from wenlu.metrics.references import References, check_paired

EDIT_SIMILARITY = Metric(
    name="edit_similarity",
    unit="fraction",
    better="higher",
    needs=("edit_similarity", "examples"),
    compute=mean_of("edit_similarity"),
    signature="edit_similarity|characters|levenshtein/longer|refs:best|v1",
    source="Svyatkovskiy et al. 2020, IntelliCode Compose, arXiv:2005.08025",
)
"""The mean over examples of 1 less the share of edits in the longer of the two texts."""


def edit_similarity_columns(predictions: Sequence[str], references: References) -> Columns:
    """`edit_similarity`, to the reference that is nearest, and `examples`."""
    check_paired(predictions, references)
    pairs = zip(predictions, references, strict=True)
    return columns_for_means(
        {"edit_similarity": [max(_alike(text, right) for right in golds) for text, golds in pairs]}
    )


def _alike(a: str, b: str) -> float:
    return 1.0 - edit_distance(a, b) / max(len(a), len(b), 1)
