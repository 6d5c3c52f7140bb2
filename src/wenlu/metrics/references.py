"""Predictions and the references that they are compared with: some texts an example."""

from __future__ import annotations

from collections.abc import Sequence

from wenlu.errors import DataError

References = Sequence[Sequence[str]]
"""One entry an example; each holds all the references of that example."""


def check_paired(predictions: Sequence[str], references: References, *, least: int = 1) -> None:
    """Raises DataError without examples, or where one has fewer than `least` references."""
    assert len(predictions) == len(references), f"{len(predictions)} predictions for {len(references)} examples"
    assert not any(isinstance(texts, str) for texts in references), "references are a list of texts for each example"
    if not predictions:
        raise DataError("no predictions to score: the split is empty")
    for i, texts in enumerate(references):
        if len(texts) < least:
            raise DataError(f"example {i + 1} of {len(references)} has no reference to compare its prediction with")


def reference_conventions(references: References) -> dict[str, object]:
    """What `Metric.sign` should add: `nrefs`, the number of references of every example, or `var` where it varies."""
    counts = {len(texts) for texts in references}
    return {"nrefs": counts.pop() if len(counts) == 1 else "var"}
