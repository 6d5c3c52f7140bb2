"""How much of what was written is source text that a parser reads."""

from __future__ import annotations

from wenlu.metrics.metric import Fraction, Metric

PARSES = Metric(
    name="parses",
    unit="fraction",
    better="higher",
    needs=("parses",),
    compute=Fraction("parses"),
    signature="parses|python:ast|prompt+completion|v1",
    source="Python Language Reference, section 10: ast.parse",
)
"""The column `parses` holds 1 where prompt and completion together are Python, and 0 where they are not."""
