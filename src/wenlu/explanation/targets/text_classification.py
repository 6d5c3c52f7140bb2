"""A label of a text: its logit, or by how much it exceeds another's."""

from __future__ import annotations

from torch import Tensor

from wenlu.explanation.neural import Aim, Row
from wenlu.explanation.subject import Part, Told
from wenlu.explanation.targets.framed import (
    Framed,
    Question,
    direction,
    number_of,
    pieces_of,
    read_by_pooling,
    row,
    rows_of_text,
)
from wenlu.models import LanguageModel
from wenlu.tasks.labelled.headed import Headed
from wenlu.tasks.labelled.layout import shortened
from wenlu.tasks.text_classification import LabelledText, TextClassification
from wenlu.tokenizers import Spanned, Tokenizer


def framed(
    task: TextClassification,
    model: LanguageModel,
    tokenizer: Tokenizer,
    example: LabelledText,
    context: int,
    ask: Question,
) -> Framed:
    headed, labels = task.headed(model), task.config.labels
    (answer,) = task.answer(model, [example], context)
    chosen = max(range(len(labels)), key=answer.probabilities.__getitem__)
    target = chosen if ask.target is None else number_of(ask.target, labels, "target")
    against = None if ask.against is None else number_of(ask.against, labels, "against")

    first = tokenizer.encode_spans([example.text])[0]
    parts = [Part("text", example.text)]
    if example.second is None:
        rows, seen = rows_of_text(task, headed, task.layout, first.ids, context, task.config.long)
        pieces = pieces_of(0, first.spans, seen)
    else:
        second = tokenizer.encode_spans([example.second])[0]
        parts.append(Part("second", example.second))
        left, right = shortened(range(len(first.ids)), range(len(second.ids)), task.layout.room(context, pair=True))
        rows = (_row_of_pair(task, headed, first, second, len(left), len(right)),)
        pieces = [*pieces_of(0, first.spans, left), *pieces_of(1, second.spans, right)]

    def chance(scores: Tensor) -> Tensor:
        scaled = scores / task.config.temperature
        shares = scaled.sigmoid() if task.config.several else scaled.softmax(dim=1)
        return shares[:, target]

    towards = direction(len(labels), target, against, next(headed.parameters()))
    told = Told(
        task.name,
        task.told(answer),
        labels[target],
        None if against is None else labels[against],
        "logit" if against is None else "difference of logits",
        "probability",
    )
    return Framed(told, Aim(task.read, towards, chance), rows, tuple(parts), tuple(pieces))


def _row_of_pair(
    task: TextClassification, headed: Headed, first: Spanned, second: Spanned, left: int, right: int
) -> Row:
    """The first `left` and `right` tokens of the two texts, which are pieces in that order."""
    ids, types = task.layout.row(first.ids[:left], second.ids[:right])
    owners = [-1] * len(ids)
    owners[len(task.layout.before) : len(task.layout.before) + left] = range(left)
    start = len(task.layout.before) + left + len(task.layout.between)
    owners[start : start + right] = range(left, left + right)
    return row(headed, ids, types, owners, read_by_pooling(task, headed, len(ids)))
