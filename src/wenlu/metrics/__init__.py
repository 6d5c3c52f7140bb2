"""Metrics: pure functions with name, unit, direction, signature and source.

Those of generated text differ in conventions by language, so functions make them: `bleu("zh")` is a metric, and
`bleu_columns(predictions, references, "zh")` what it is computed from.
"""

from collections.abc import Callable

from wenlu.metrics.absolute_error import MAE
from wenlu.metrics.accuracy import ACCURACY
from wenlu.metrics.answer_f1 import answer_f1, answer_f1_columns
from wenlu.metrics.auprc import AUPRC, MACRO_AUPRC
from wenlu.metrics.auroc import AUROC, MACRO_AUROC
from wenlu.metrics.balanced_accuracy import BALANCED_ACCURACY
from wenlu.metrics.bits_per_byte import BITS_PER_BYTE
from wenlu.metrics.bleu import bleu, bleu_columns
from wenlu.metrics.brier import BRIER
from wenlu.metrics.byte_perplexity import BYTE_PERPLEXITY
from wenlu.metrics.calibration_error import EXPECTED_CALIBRATION_ERROR, Bin, calibration_error, reliability
from wenlu.metrics.cer import cer, cer_columns
from wenlu.metrics.chrf import chrf, chrf_columns, chrf_plus_plus, chrf_plus_plus_columns
from wenlu.metrics.class_table import ClassRow, confusion_matrix, per_class
from wenlu.metrics.coverage import COVERAGE
from wenlu.metrics.distinct import DistinctShare, distinct, distinct_columns
from wenlu.metrics.edit_similarity import EDIT_SIMILARITY, edit_similarity_columns
from wenlu.metrics.entities import ENTITY_F1, ENTITY_PRECISION, ENTITY_RECALL, Span, entity_columns, per_type
from wenlu.metrics.error_rate import error_rate, error_rate_columns
from wenlu.metrics.exact_match import exact_match, exact_match_columns
from wenlu.metrics.f1 import MACRO_F1, MICRO_F1, WEIGHTED_F1
from wenlu.metrics.line_count_validity import LINE_COUNT_VALIDITY
from wenlu.metrics.line_length_validity import LINE_LENGTH_VALIDITY
from wenlu.metrics.mcc import MCC
from wenlu.metrics.mean_by_group import mean_by_group
from wenlu.metrics.mean_length import mean_length, mean_length_columns
from wenlu.metrics.metric import Column, Columns, Fraction, Metric, OfDraws, OfSums, Ratio
from wenlu.metrics.mrr import MRR
from wenlu.metrics.multilabel_f1 import MULTILABEL_MACRO_F1, MULTILABEL_MICRO_F1, MULTILABEL_SAMPLES_F1
from wenlu.metrics.ndcg import ndcg
from wenlu.metrics.negative_log_likelihood import NEGATIVE_LOG_LIKELIHOOD
from wenlu.metrics.parses import PARSES
from wenlu.metrics.pass_at_k import pass_at_k, pass_at_k_columns
from wenlu.metrics.pearson import PEARSON
from wenlu.metrics.perplexity import PERPLEXITY
from wenlu.metrics.precision import MACRO_PRECISION, MICRO_PRECISION, WEIGHTED_PRECISION
from wenlu.metrics.quadratic_kappa import CONTINUOUS_KAPPA, quadratic_kappa
from wenlu.metrics.ranks import rank_columns
from wenlu.metrics.recall import MACRO_RECALL, MICRO_RECALL, WEIGHTED_RECALL
from wenlu.metrics.recall_at import recall_at
from wenlu.metrics.references import References, reference_conventions
from wenlu.metrics.reward_margin import REWARD_MARGIN
from wenlu.metrics.rouge import rouge, rouge_columns
from wenlu.metrics.spearman import SPEARMAN, RankCorrelation
from wenlu.metrics.squared_error import MSE, RMSE
from wenlu.metrics.subset_accuracy import SUBSET_ACCURACY
from wenlu.metrics.tags import TAG_MACRO_F1, WORD_ACCURACY
from wenlu.metrics.target_accuracy import TARGET_ACCURACY
from wenlu.metrics.target_perplexity import TARGET_PERPLEXITY
from wenlu.metrics.ter import ter, ter_columns
from wenlu.metrics.wer import wer, wer_columns
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
    EDIT_SIMILARITY,
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
    PARSES,
    PEARSON,
    PERPLEXITY,
    REWARD_MARGIN,
    RMSE,
    SPEARMAN,
    SUBSET_ACCURACY,
    TAG_MACRO_F1,
    TARGET_ACCURACY,
    TARGET_PERPLEXITY,
    WEIGHTED_F1,
    WEIGHTED_PRECISION,
    WEIGHTED_RECALL,
    WORD_ACCURACY,
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
    mean_length,
    pass_at_k,
    rouge,
    ter,
    wer,
)
"""What makes metrics of generated text."""

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
    "EDIT_SIMILARITY",
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
    "PARSES",
    "PEARSON",
    "PERPLEXITY",
    "REWARD_MARGIN",
    "RMSE",
    "SPEARMAN",
    "SUBSET_ACCURACY",
    "TAG_MACRO_F1",
    "TARGET_ACCURACY",
    "TARGET_PERPLEXITY",
    "TEXT_METRICS",
    "WEIGHTED_F1",
    "WEIGHTED_PRECISION",
    "WEIGHTED_RECALL",
    "WORD_ACCURACY",
    "WORD_PERPLEXITY",
    "Bin",
    "ClassRow",
    "Column",
    "Columns",
    "DistinctShare",
    "Fraction",
    "Metric",
    "OfDraws",
    "OfSums",
    "RankCorrelation",
    "Ratio",
    "References",
    "Span",
    "answer_f1",
    "answer_f1_columns",
    "bleu",
    "bleu_columns",
    "calibration_error",
    "cer",
    "cer_columns",
    "chrf",
    "chrf_columns",
    "chrf_plus_plus",
    "chrf_plus_plus_columns",
    "confusion_matrix",
    "distinct",
    "distinct_columns",
    "edit_similarity_columns",
    "entity_columns",
    "error_rate",
    "error_rate_columns",
    "exact_match",
    "exact_match_columns",
    "mean_by_group",
    "mean_length",
    "mean_length_columns",
    "ndcg",
    "pass_at_k",
    "pass_at_k_columns",
    "per_class",
    "per_type",
    "quadratic_kappa",
    "rank_columns",
    "recall_at",
    "reference_conventions",
    "reliability",
    "rouge",
    "rouge_columns",
    "ter",
    "ter_columns",
    "wer",
    "wer_columns",
]
