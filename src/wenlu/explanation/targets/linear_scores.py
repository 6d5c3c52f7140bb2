"""A label's or a trait's score of a linear model."""

from __future__ import annotations

import numpy as np

from wenlu.errors import UsageError
from wenlu.evaluation.linear.predictor import LinearModel, item_of
from wenlu.explanation.linear import LinearSubject
from wenlu.explanation.subject import Part, Piece, Told
from wenlu.explanation.targets.framed import Question, number_of
from wenlu.explanation.units import spans_of
from wenlu.tasks.grades.settings import ScoredText
from wenlu.tasks.grading import Grading
from wenlu.tasks.text_classification import LabelledText


def linear_subject(
    model: LinearModel, example: LabelledText | ScoredText, columns: dict[str, str], digest: str, ask: Question
) -> LinearSubject:
    """Raises UsageError for a label that is none, or a score in contrast to another."""
    item, names = item_of(example, columns), model.outputs
    (answer,) = model.answer_items([item])
    towards = np.zeros(len(names))
    is_score = isinstance(model.task, Grading)
    if is_score and ask.against is not None:
        raise UsageError("against: a score is held against no other; leave it out, or name a trait as target=")
    best = 0 if is_score else int(np.argmax(answer.probabilities))
    target = best if ask.target is None else number_of(ask.target, names, "target")
    against = None if ask.against is None else number_of(ask.against, names, "against")
    if target == against:
        raise UsageError("target and against are the same, so there is no difference to explain; give another against")
    towards[target] = float(model.task.width[target]) if isinstance(model.task, Grading) else 1.0
    if against is not None:
        towards[against] = -1.0
    part = Part("text", item.text)
    words = list(spans_of(item.text, "word")) or [(0, len(item.text))]
    told = Told(
        model.task.name,
        model.task.told(answer),
        names[target],
        None if against is None else names[against],
        "score" if against is None else "difference of scores",
        "the score itself" if is_score else "probability",
    )
    return LinearSubject(
        model=model,
        item=item,
        towards=towards,
        column=None if is_score else target,
        told=told,
        parts=(part,),
        pieces=tuple(Piece(0, *span) for span in words),
        model_digest=f"sha256:{digest}",
    )
