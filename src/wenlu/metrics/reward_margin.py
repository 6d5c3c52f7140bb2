"""Reward margin: how much more a model rewards the answer that people like better."""

from __future__ import annotations

from wenlu.metrics.metric import Metric, OfSums, mean, with_count

REWARD_MARGIN = Metric(
    name="reward_margin",
    unit="nats/pair",
    better="higher",
    needs=("margins",),
    compute=OfSums(("margins",), mean, with_count),
    signature="reward_margin|mean|v1",
    source="Rafailov et al. 2023, Direct preference optimization, arXiv:2305.18290",
)
"""The column `margins` holds the reward of the better answer less that of the worse one."""
