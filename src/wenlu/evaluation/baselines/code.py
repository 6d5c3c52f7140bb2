"""The body of the training function whose signature and docstring are most alike: what a model of code has to beat."""

from __future__ import annotations

from collections.abc import Sequence

from wenlu.evaluation.baselines.nearest import Nearest
from wenlu.evaluation.baselines.tfidf import words_and_characters
from wenlu.evaluation.baselines.translation import TranslationMemory
from wenlu.tasks.code import Code
from wenlu.tasks.coding.settings import CodeExample


def fit(task: Code, examples: Sequence[CodeExample]) -> TranslationMemory:  # noqa: ARG001
    """TF-IDF of words and of characters within them, imports included; raises ResourceError where scikit-learn is not
    installed."""
    from sklearn.preprocessing import normalize

    known = [example for example in examples if example.target is not None]
    vectoriser = words_and_characters().fit([example.source for example in known])
    features = normalize(vectoriser.transform([example.source for example in known])).tocsr()
    return TranslationMemory(Nearest(vectoriser, features, tuple(example.target or "" for example in known)))
