"""Line count validity: the fraction of poems that have one of the numbers of lines that the form allows."""

from __future__ import annotations

from wenlu.metrics.metric import Fraction, Metric

LINE_COUNT_VALIDITY = Metric(
    name="line_count_validity",
    unit="fraction",
    better="higher",
    needs=("line_count_valid",),
    compute=Fraction("line_count_valid"),
    signature="line_count_validity|micro|v1",
    source="wenlu.evaluation.verse",
)
"""The column `line_count_valid` holds 1 for a poem with an allowed number of lines and 0 for another."""
