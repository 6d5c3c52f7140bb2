"""Perplexity per token: comparable only between models that share a tokenizer."""

from __future__ import annotations

from wenlu.metrics.metric import Metric, Ratio, exponential

PERPLEXITY = Metric(
    name="perplexity",
    unit="perplexity/token",
    better="lower",
    needs=("nll_nats", "tokens"),
    compute=Ratio("nll_nats", "tokens", exponential),
    signature="perplexity|tokens:with-eos|eos:scored|v1",
    source="Jelinek, Mercer, Bahl & Baker 1977, Perplexity: a measure of the difficulty of speech recognition tasks",
)
"""exp of the mean negative log-likelihood; the end of text is one of the tokens."""
