"""Bits per byte: what a text costs under the model, per byte of its UTF-8; comparable across tokenizers."""

from __future__ import annotations

import math

from wenlu.metrics.metric import Column, Metric, Ratio


def _bits(nats_per_byte: Column) -> Column:
    return nats_per_byte / math.log(2)


BITS_PER_BYTE = Metric(
    name="bits_per_byte",
    unit="bits/byte",
    better="lower",
    needs=("nll_nats", "bytes"),
    compute=Ratio("nll_nats", "bytes", _bits),
    signature="bits_per_byte|bytes:utf-8|eos:scored|v1",
    source="Gao et al. 2020, The Pile, arXiv:2101.00027, section 3.1",
)
"""The end of text is paid for in the numerator; it is no byte in the denominator."""
