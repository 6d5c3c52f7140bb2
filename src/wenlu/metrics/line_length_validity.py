"""Line length validity: the fraction of poems whose lines are all as long as the first."""

from __future__ import annotations

from wenlu.metrics.metric import Fraction, Metric

LINE_LENGTH_VALIDITY = Metric(
    name="line_length_validity",
    unit="fraction",
    better="higher",
    needs=("line_length_valid",),
    compute=Fraction("line_length_valid"),
    signature="line_length_validity|micro|v1",
    source="wenlu.evaluation.verse",
)
"""The column `line_length_valid` holds 1 for a poem with equally long lines and 0 for another."""
