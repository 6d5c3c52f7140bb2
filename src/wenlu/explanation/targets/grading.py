"""A score of a text: before it is clipped and rounded, on the scale of the trait; of an ordinal head the logit that it
compares with its thresholds."""

from __future__ import annotations

from torch import Tensor

from wenlu.errors import UsageError
from wenlu.explanation.neural import Aim
from wenlu.explanation.subject import Part, Told
from wenlu.explanation.targets.framed import (
    Framed,
    Question,
    direction,
    number_of,
    pieces_of,
    rows_of_text,
)
from wenlu.models import LanguageModel
from wenlu.tasks.grades.settings import ScoredText
from wenlu.tasks.grading import Grading
from wenlu.tokenizers import Tokenizer


def framed(
    task: Grading, model: LanguageModel, tokenizer: Tokenizer, example: ScoredText, context: int, ask: Question
) -> Framed:
    """Raises UsageError for a contrast, which scores have not."""
    if ask.against is not None:
        raise UsageError("against: a score is held against no other; leave it out, or name a trait as target=")
    headed = task.headed(model)
    (answer,) = task.answer(model, [example], context)
    trait = 0 if ask.target is None else number_of(ask.target, task.names, "target")
    is_ordinal = task.config.head == "ordinal"
    place = sum(count - 1 for count in task.config.grades[:trait]) if is_ordinal else trait
    size = sum(count - 1 for count in task.config.grades) if is_ordinal else len(task.names)
    like = next(headed.parameters())
    towards = direction(size, place, None, like)
    if not is_ordinal:
        towards = towards * float(task.width[trait])

    def score(scores: Tensor) -> Tensor:
        return scores @ towards

    spanned = tokenizer.encode_spans([example.text])[0]
    rows, seen = rows_of_text(task, headed, task.layout, spanned.ids, context, task.config.long)
    told = Told(
        task.name, task.told(answer), task.names[trait], None, "logit" if is_ordinal else "score", "the score itself"
    )
    parts = (Part("text", example.text),)
    return Framed(told, Aim(task.read, towards, score), rows, parts, tuple(pieces_of(0, spanned.spans, seen)))
