"""Metrics: pure functions with name, unit, direction, signature and source."""

from wenlu.metrics.absolute_error import MAE
from wenlu.metrics.accuracy import ACCURACY
from wenlu.metrics.auprc import AUPRC, MACRO_AUPRC
from wenlu.metrics.auroc import AUROC, MACRO_AUROC
from wenlu.metrics.balanced_accuracy import BALANCED_ACCURACY
from wenlu.metrics.bits_per_byte import BITS_PER_BYTE
from wenlu.metrics.brier import BRIER
from wenlu.metrics.byte_perplexity import BYTE_PERPLEXITY
from wenlu.metrics.calibration_error import EXPECTED_CALIBRATION_ERROR, Bin, calibration_error, reliability
from wenlu.metrics.class_table import ClassRow, confusion_matrix, per_class
from wenlu.metrics.coverage import COVERAGE
from wenlu.metrics.entities import ENTITY_F1, ENTITY_PRECISION, ENTITY_RECALL, Span, entity_columns, per_type
from wenlu.metrics.f1 import MACRO_F1, MICRO_F1, WEIGHTED_F1
from wenlu.metrics.line_count_validity import LINE_COUNT_VALIDITY
from wenlu.metrics.line_length_validity import LINE_LENGTH_VALIDITY
from wenlu.metrics.mcc import MCC
from wenlu.metrics.mean_by_group import mean_by_group
from wenlu.metrics.metric import Column, Columns, Fraction, Metric, OfDraws, OfSums, Ratio
from wenlu.metrics.mrr import MRR
from wenlu.metrics.multilabel_f1 import MULTILABEL_MACRO_F1, MULTILABEL_MICRO_F1, MULTILABEL_SAMPLES_F1
from wenlu.metrics.ndcg import ndcg
from wenlu.metrics.negative_log_likelihood import NEGATIVE_LOG_LIKELIHOOD
from wenlu.metrics.pearson import PEARSON
from wenlu.metrics.perplexity import PERPLEXITY
from wenlu.metrics.precision import MACRO_PRECISION, MICRO_PRECISION, WEIGHTED_PRECISION
from wenlu.metrics.quadratic_kappa import CONTINUOUS_KAPPA, quadratic_kappa
from wenlu.metrics.ranks import rank_columns
from wenlu.metrics.recall import MACRO_RECALL, MICRO_RECALL, WEIGHTED_RECALL
from wenlu.metrics.recall_at import recall_at
from wenlu.metrics.spearman import SPEARMAN, RankCorrelation
from wenlu.metrics.squared_error import MSE, RMSE
from wenlu.metrics.subset_accuracy import SUBSET_ACCURACY
from wenlu.metrics.target_accuracy import TARGET_ACCURACY
from wenlu.metrics.target_perplexity import TARGET_PERPLEXITY
from wenlu.metrics.word_perplexity import WORD_PERPLEXITY

METRICS: tuple[Metric, ...] = (
    ACCURACY,
    AUPRC,
    AUROC,
    BALANCED_ACCURACY,
    BITS_PER_BYTE,
    BRIER,
    BYTE_PERPLEXITY,
    CONTINUOUS_KAPPA,
    COVERAGE,
    ENTITY_F1,
    ENTITY_PRECISION,
    ENTITY_RECALL,
    EXPECTED_CALIBRATION_ERROR,
    LINE_COUNT_VALIDITY,
    LINE_LENGTH_VALIDITY,
    MACRO_AUPRC,
    MACRO_AUROC,
    MACRO_F1,
    MACRO_PRECISION,
    MACRO_RECALL,
    MAE,
    MCC,
    MICRO_F1,
    MICRO_PRECISION,
    MICRO_RECALL,
    MRR,
    MSE,
    MULTILABEL_MACRO_F1,
    MULTILABEL_MICRO_F1,
    MULTILABEL_SAMPLES_F1,
    NEGATIVE_LOG_LIKELIHOOD,
    PEARSON,
    PERPLEXITY,
    RMSE,
    SPEARMAN,
    SUBSET_ACCURACY,
    TARGET_ACCURACY,
    TARGET_PERPLEXITY,
    WEIGHTED_F1,
    WEIGHTED_PRECISION,
    WEIGHTED_RECALL,
    WORD_PERPLEXITY,
)

__all__ = [
    "ACCURACY",
    "AUPRC",
    "AUROC",
    "BALANCED_ACCURACY",
    "BITS_PER_BYTE",
    "BRIER",
    "BYTE_PERPLEXITY",
    "CONTINUOUS_KAPPA",
    "COVERAGE",
    "ENTITY_F1",
    "ENTITY_PRECISION",
    "ENTITY_RECALL",
    "EXPECTED_CALIBRATION_ERROR",
    "LINE_COUNT_VALIDITY",
    "LINE_LENGTH_VALIDITY",
    "MACRO_AUPRC",
    "MACRO_AUROC",
    "MACRO_F1",
    "MACRO_PRECISION",
    "MACRO_RECALL",
    "MAE",
    "MCC",
    "METRICS",
    "MICRO_F1",
    "MICRO_PRECISION",
    "MICRO_RECALL",
    "MRR",
    "MSE",
    "MULTILABEL_MACRO_F1",
    "MULTILABEL_MICRO_F1",
    "MULTILABEL_SAMPLES_F1",
    "NEGATIVE_LOG_LIKELIHOOD",
    "PEARSON",
    "PERPLEXITY",
    "RMSE",
    "SPEARMAN",
    "SUBSET_ACCURACY",
    "TARGET_ACCURACY",
    "TARGET_PERPLEXITY",
    "WEIGHTED_F1",
    "WEIGHTED_PRECISION",
    "WEIGHTED_RECALL",
    "WORD_PERPLEXITY",
    "Bin",
    "ClassRow",
    "Column",
    "Columns",
    "Fraction",
    "Metric",
    "OfDraws",
    "OfSums",
    "RankCorrelation",
    "Ratio",
    "Span",
    "calibration_error",
    "confusion_matrix",
    "entity_columns",
    "mean_by_group",
    "ndcg",
    "per_class",
    "per_type",
    "quadratic_kappa",
    "rank_columns",
    "recall_at",
    "reliability",
]
