"""Perplexity over the targets of a pretraining objective; of masked tokens it is called pseudo-perplexity."""

from __future__ import annotations

from wenlu.metrics.metric import Metric, Ratio, exponential

TARGET_PERPLEXITY = Metric(
    name="target_perplexity",
    unit="perplexity/target",
    better="lower",
    needs=("nll_nats", "targets"),
    compute=Ratio("nll_nats", "targets", exponential),
    signature="target_perplexity|v1",
    source="Salazar, Liang, Nguyen & Kirchhoff 2020, Masked language model scoring, arXiv:1910.14659, section 2",
)
"""Targets that are hidden together do not see each other, where the paper hides one at a time: theirs is lower."""
