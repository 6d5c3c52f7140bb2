"""Metrics: pure functions with name, unit, direction, signature and source."""

from wenlu.metrics.accuracy import ACCURACY
from wenlu.metrics.bits_per_byte import BITS_PER_BYTE
from wenlu.metrics.byte_perplexity import BYTE_PERPLEXITY
from wenlu.metrics.coverage import COVERAGE
from wenlu.metrics.line_count_validity import LINE_COUNT_VALIDITY
from wenlu.metrics.line_length_validity import LINE_LENGTH_VALIDITY
from wenlu.metrics.metric import Column, Columns, Fraction, Metric, Ratio
from wenlu.metrics.perplexity import PERPLEXITY
from wenlu.metrics.spearman import SPEARMAN, RankCorrelation
from wenlu.metrics.stand_ins import MAE, MRR, MSE, PEARSON, RMSE, mean_by_group, ndcg, quadratic_kappa, recall_at
from wenlu.metrics.target_accuracy import TARGET_ACCURACY
from wenlu.metrics.target_perplexity import TARGET_PERPLEXITY
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

__all__ = [
    "ACCURACY",
    "BITS_PER_BYTE",
    "BYTE_PERPLEXITY",
    "COVERAGE",
    "LINE_COUNT_VALIDITY",
    "LINE_LENGTH_VALIDITY",
    "MAE",
    "METRICS",
    "MRR",
    "MSE",
    "PEARSON",
    "PERPLEXITY",
    "RMSE",
    "SPEARMAN",
    "TARGET_ACCURACY",
    "TARGET_PERPLEXITY",
    "WORD_PERPLEXITY",
    "Column",
    "Columns",
    "Fraction",
    "Metric",
    "RankCorrelation",
    "Ratio",
    "mean_by_group",
    "ndcg",
    "quadratic_kappa",
    "recall_at",
]
