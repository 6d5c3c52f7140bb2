"""The cheap baseline of each labelled task, fitted to the same training part; a file each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from wenlu.evaluation.baselines import (
    captioning,
    code,
    dialogue,
    embedding,
    grading,
    image_text_retrieval,
    preference,
    question_answering,
    summarisation,
    text_classification,
    token_classification,
    translation,
    visual_question_answering,
)
from wenlu.progress import Progress
from wenlu.tasks import LabelledTask, Predictor

BASELINES: dict[str, tuple[str, Callable[[Any, Sequence[Any]], Predictor]]] = {
    "captioning": ("nearest-picture", captioning.fit),
    "code": ("nearest-docstring", code.fit),
    "dialogue": ("nearest-turn", dialogue.fit),
    "embedding": ("tfidf-cosine", embedding.fit),
    "grading": ("tfidf-ridge-regression", grading.fit),
    "image-text-retrieval": ("chance", image_text_retrieval.fit),
    "preference": ("length", preference.fit),
    "question-answering": ("sliding-window", question_answering.fit),
    "reward": ("length", preference.fit),
    "summarisation": ("lead-3", summarisation.fit),
    "text-classification": ("tfidf-logistic-regression", text_classification.fit),
    "token-classification": ("commonest-tags", token_classification.fit),
    "translation": ("translation-memory", translation.fit),
    "visual-question-answering": ("commonest-answer", visual_question_answering.fit),
}
"""By task: what it is called, and how it is fitted."""


@dataclass(frozen=True)
class Baseline:
    name: str
    predictor: Predictor


def fit_baseline(task: LabelledTask, examples: Sequence[Any], progress: Progress) -> Baseline | None:
    """The task's baseline fitted to examples; None where it has none."""
    if task.name not in BASELINES:
        return None
    name, fit = BASELINES[task.name]
    progress.start(name, total=len(examples), unit="examples")
    predictor = fit(task, examples)
    progress.finish(f"{len(examples):,} examples")
    return Baseline(name, predictor)
