"""Perplexity per byte of UTF-8: 2 to the power of the bits per byte."""

from __future__ import annotations

from wenlu.metrics.metric import Metric, Ratio, exponential

BYTE_PERPLEXITY = Metric(
    name="byte_perplexity",
    unit="perplexity/byte",
    better="lower",
    needs=("nll_nats", "bytes"),
    compute=Ratio("nll_nats", "bytes", exponential),
    signature="byte_perplexity|bytes:utf-8|eos:scored|v1",
    source="Gao et al. 2020, The Pile, arXiv:2101.00027, section 3.1",
)
"""The end of text is paid for in the numerator; it is no byte in the denominator."""
