"""How weights are found: support vectors, logistic regression, NB-SVM, ridge regression, and what is common."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from wenlu.errors import MissingExtra
from wenlu.evaluation.linear.bag import fit_grades, fit_labels
from wenlu.evaluation.linear.groups import Floats, Sparse
from wenlu.evaluation.linear.weights import ODDS, Weights, each_label

Targets = np.ndarray[Any, Any]
"""(n, L) of 0 and 1, or shares (n, T) of scales."""
TOLERANCE = 1e-2
"""Of liblinear's dual solver; scikit-learn's own is 1e-4. The validation part judges what is reached."""
INTERPOLATION = 0.25
"""Of NB-SVM, between naive Bayes (0) and support vectors (1): Wang & Manning 2012, section 4.1."""


@dataclass(frozen=True)
class Learner:
    """A way to fit weights.

    Attributes:
        strengths: settings to choose among on the validation part, the default first: C, alpha, or epochs.
        fit: of rows, targets, a strength, and whether several labels may hold.
        words_only: it counts words alone, where there are any.
    """

    name: str
    strengths: tuple[float, ...]
    fit: Callable[[Sparse, Targets, float, bool], Weights]
    words_only: bool = False


def ready() -> None:
    """Import what linear models are fitted with, which is no part of what a fit costs; raises MissingExtra."""
    try:
        import sklearn.feature_extraction.text
        import sklearn.linear_model
        import sklearn.svm  # noqa: F401
    except ImportError as error:
        raise MissingExtra("scikit-learn", extra="tasks", purpose="fit linear models") from error


def fit_svm(rows: Sparse, holds: Targets, c: float, several: bool) -> Weights:
    """Linear support vectors with squared hinge loss, C = `c`."""
    return each_label(partial(_separated, c=c), rows, holds, several=several)


def fit_logistic(rows: Sparse, holds: Targets, c: float, several: bool) -> Weights:
    """Logistic regression of each label against the others, C = `c`."""
    return each_label(partial(_logistic, c=c), rows, holds, several=several)


def fit_nb_svm(rows: Sparse, holds: Targets, c: float, several: bool) -> Weights:
    """NB-SVM (Wang & Manning 2012, https://aclanthology.org/P12-2018): support vectors over whether a term is there,
    times its log-count ratio.

    The weights have the ratios in them, so that what they multiply is 0 or 1.
    """
    return each_label(partial(_interpolated, c=c), rows, holds, several=several, reads="presence")


def log_count_ratio(present: Sparse, is_it: Targets) -> Floats:
    """(F,) r = ln (p / ‖p‖₁) / (q / ‖q‖₁), of counts p among the texts that a label holds for and q among the others,
    each with one more."""
    p = 1.0 + np.asarray(present[is_it].sum(axis=0)).ravel()
    q = 1.0 + np.asarray(present[~is_it].sum(axis=0)).ravel()
    ratio: Floats = np.log(p / p.sum()) - np.log(q / q.sum())
    return ratio


def fit_ridge(rows: Sparse, shares: Targets, alpha: float, several: bool) -> Weights:  # noqa: ARG001
    """Least squares with a penalty of `alpha` on squared weights."""
    from sklearn.linear_model import Ridge

    model = Ridge(alpha=alpha, random_state=0).fit(rows, shares)
    return Weights.of(np.reshape(model.coef_, (shares.shape[1], -1)), np.reshape(model.intercept_, -1))


def fit_prior(rows: Sparse, holds: Targets, strength: float, several: bool) -> Weights:  # noqa: ARG001
    """No weights: the share of each label as a logarithm, or its odds where several may hold."""
    shares = np.clip(holds.mean(axis=0), np.exp(-ODDS), 1 - np.exp(-ODDS))
    bias = np.log(shares / (1 - shares)) if several else np.log(shares)
    return Weights.of(np.zeros((holds.shape[1], rows.shape[1])), bias)


def fit_mean(rows: Sparse, shares: Targets, strength: float, several: bool) -> Weights:  # noqa: ARG001
    """No weights: the mean score."""
    return Weights.of(np.zeros((shares.shape[1], rows.shape[1])), shares.mean(axis=0))


CLASSIFIERS = (
    Learner("linear-svm", (1.0, 0.1, 10.0), fit_svm),
    Learner("logistic-regression", (10.0, 1.0, 100.0), fit_logistic),
    Learner("nb-svm", (0.1, 0.01, 1.0), fit_nb_svm, words_only=True),
    Learner("bag-of-ngrams", (10.0, 5.0, 20.0), fit_labels, words_only=True),
)
GRADERS = (
    Learner("ridge-regression", (1.0, 0.3, 3.0), fit_ridge),
    Learner("bag-of-ngrams", (10.0, 5.0, 20.0), fit_grades, words_only=True),
)
PRIOR = Learner("prior", (1.0,), fit_prior)
MEAN = Learner("mean-score", (1.0,), fit_mean)


def _separated(rows: Sparse, is_it: Targets, c: float) -> tuple[Floats, float]:
    from sklearn.svm import LinearSVC

    return _fitted(LinearSVC(C=c, tol=TOLERANCE, dual=True, random_state=0), rows, is_it)


def _logistic(rows: Sparse, is_it: Targets, c: float) -> tuple[Floats, float]:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=c, solver="liblinear", dual=True, tol=TOLERANCE, random_state=0)
    return _fitted(model, rows, is_it)


def _interpolated(rows: Sparse, is_it: Targets, c: float) -> tuple[Floats, float]:
    present = rows.sign()
    ratio = log_count_ratio(present, is_it)
    weights, bias = _separated(present.multiply(ratio).tocsr(), is_it, c)
    mixed = (1 - INTERPOLATION) * np.abs(weights).mean() + INTERPOLATION * weights
    return mixed * ratio, bias


def _fitted(model: Any, rows: Sparse, is_it: Targets) -> tuple[Floats, float]:
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the validation part judges what was reached
        model.fit(rows, is_it)
    return np.ravel(model.coef_), float(model.intercept_[0])
