"""A linear model's own terms: weight × value of each feature, shared out evenly among the characters that it counts.

Nothing is estimated: the terms and the bias are the score. What is no feature of the text (columns, vectors) is told by
its name."""

from __future__ import annotations

from collections.abc import Sequence

from wenlu.explanation.linear import LinearSubject
from wenlu.explanation.methods.method import Attribution, EffortConfig, Method, completeness_error
from wenlu.explanation.subject import Subject
from wenlu.explanation.units import Unit, on_grid, summed


def attribute(subject: Subject, units: Sequence[Unit], config: EffortConfig) -> Attribution:  # noqa: ARG001
    assert isinstance(subject, LinearSubject), "asked of linear models"
    terms = subject.terms()
    amounts = on_grid(terms.amounts)
    rest = sum(amount for _, amount in terms.elsewhere)
    error = completeness_error(amounts, terms.difference - rest)
    return Attribution(summed(amounts, units), completeness_error=error, elsewhere=terms.elsewhere)


METHOD = Method("weights", "weights × features", "weights", attribute)
