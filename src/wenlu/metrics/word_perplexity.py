"""Perplexity per word, whatever the tokenizer; words are those of `tokenizers.words.count_words`."""

from __future__ import annotations

from wenlu.metrics.metric import Metric, Ratio, exponential

WORD_PERPLEXITY = Metric(
    name="word_perplexity",
    unit="perplexity/word",
    better="lower",
    needs=("nll_nats", "words"),
    compute=Ratio("nll_nats", "words", exponential),
    signature="word_perplexity|words:space-separated,han:characters|eos:scored|v1",
    source="Jurafsky & Martin, Speech and Language Processing, 3rd ed. draft, section 3.3",
)
"""The end of text is paid for in the numerator; it is no word in the denominator."""
