"""Metrics: pure functions with name, unit, direction, signature and source.

Those of generated text differ in conventions by language, so functions make them: `bleu("zh")` is a metric, and
`bleu_columns(predictions, references, "zh")` what it is computed from.
"""

from collections.abc import Callable

from wenlu.metrics.accuracy import ACCURACY
from wenlu.metrics.answer_f1 import answer_f1, answer_f1_columns
from wenlu.metrics.bits_per_byte import BITS_PER_BYTE
from wenlu.metrics.bleu import bleu, bleu_columns
from wenlu.metrics.byte_perplexity import BYTE_PERPLEXITY
from wenlu.metrics.cer import cer, cer_columns
from wenlu.metrics.chrf import chrf, chrf_columns, chrf_plus_plus, chrf_plus_plus_columns
from wenlu.metrics.coverage import COVERAGE
from wenlu.metrics.distinct import DistinctShare, distinct, distinct_columns
from wenlu.metrics.error_rate import error_rate, error_rate_columns
from wenlu.metrics.exact_match import exact_match, exact_match_columns
from wenlu.metrics.line_count_validity import LINE_COUNT_VALIDITY
from wenlu.metrics.line_length_validity import LINE_LENGTH_VALIDITY
from wenlu.metrics.metric import Column, Columns, Fraction, Metric, Ratio
from wenlu.metrics.of_sums import OfSums
from wenlu.metrics.pass_at_k import pass_at_k, pass_at_k_columns
from wenlu.metrics.perplexity import PERPLEXITY
from wenlu.metrics.references import References, reference_conventions
from wenlu.metrics.rouge import rouge, rouge_columns
from wenlu.metrics.spearman import SPEARMAN, RankCorrelation
from wenlu.metrics.target_accuracy import TARGET_ACCURACY
from wenlu.metrics.target_perplexity import TARGET_PERPLEXITY
from wenlu.metrics.ter import ter, ter_columns
from wenlu.metrics.wer import wer, wer_columns
from wenlu.metrics.word_perplexity import WORD_PERPLEXITY

METRICS: tuple[Metric, ...] = (
    ACCURACY,
    BITS_PER_BYTE,
    BYTE_PERPLEXITY,
    COVERAGE,
    LINE_COUNT_VALIDITY,
    LINE_LENGTH_VALIDITY,
    PERPLEXITY,
    SPEARMAN,
    TARGET_ACCURACY,
    TARGET_PERPLEXITY,
    WORD_PERPLEXITY,
)

TEXT_METRICS: tuple[Callable[..., Metric], ...] = (
    answer_f1,
    bleu,
    cer,
    chrf,
    chrf_plus_plus,
    distinct,
    error_rate,
    exact_match,
    pass_at_k,
    rouge,
    ter,
    wer,
)
"""What makes metrics of generated text."""

__all__ = [
    "ACCURACY",
    "BITS_PER_BYTE",
    "BYTE_PERPLEXITY",
    "COVERAGE",
    "LINE_COUNT_VALIDITY",
    "LINE_LENGTH_VALIDITY",
    "METRICS",
    "PERPLEXITY",
    "SPEARMAN",
    "TARGET_ACCURACY",
    "TARGET_PERPLEXITY",
    "TEXT_METRICS",
    "WORD_PERPLEXITY",
    "Column",
    "Columns",
    "DistinctShare",
    "Fraction",
    "Metric",
    "OfSums",
    "RankCorrelation",
    "Ratio",
    "References",
    "answer_f1",
    "answer_f1_columns",
    "bleu",
    "bleu_columns",
    "cer",
    "cer_columns",
    "chrf",
    "chrf_columns",
    "chrf_plus_plus",
    "chrf_plus_plus_columns",
    "distinct",
    "distinct_columns",
    "error_rate",
    "error_rate_columns",
    "exact_match",
    "exact_match_columns",
    "pass_at_k",
    "pass_at_k_columns",
    "reference_conventions",
    "rouge",
    "rouge_columns",
    "ter",
    "ter_columns",
    "wer",
    "wer_columns",
]
