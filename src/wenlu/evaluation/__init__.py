"""Score a model on held-out text: likelihood, baseline, intervals, paired comparison."""

from wenlu.evaluation.bootstrap import Difference, Interval, interval, paired_difference
from wenlu.evaluation.evaluate import System, evaluate_run, evaluate_texts, measure
from wenlu.evaluation.kneser_ney import KneserNey
from wenlu.evaluation.likelihood import Scorer, StateScorer, WindowScorer
from wenlu.evaluation.ngrams import NgramCounts
from wenlu.evaluation.predictor import TextPredictor
from wenlu.evaluation.result import Evaluation, Score
from wenlu.evaluation.settings import EvaluateConfig

__all__ = [
    "Difference",
    "EvaluateConfig",
    "Evaluation",
    "Interval",
    "KneserNey",
    "NgramCounts",
    "Score",
    "Scorer",
    "StateScorer",
    "System",
    "TextPredictor",
    "WindowScorer",
    "evaluate_run",
    "evaluate_texts",
    "interval",
    "measure",
    "paired_difference",
]
