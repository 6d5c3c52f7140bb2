"""The answer to a question: the score of its start plus that of its end, or by how much it exceeds another span's."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from wenlu.errors import UsageError
from wenlu.explanation.neural import Aim
from wenlu.explanation.subject import Part, Told
from wenlu.explanation.targets.framed import Framed, Question, pieces_of, row
from wenlu.models import LanguageModel
from wenlu.tasks.question_answering import QuestionAnswering
from wenlu.tasks.spans.examples import Question as Asked
from wenlu.tasks.spans.rows import QuestionRows
from wenlu.tasks.spans.windows import answer_tokens
from wenlu.tasks.task import Batch
from wenlu.tokenizers import Span, Tokenizer


def framed(
    task: QuestionAnswering,
    model: LanguageModel,
    tokenizer: Tokenizer,
    example: Asked,
    context: int,
    ask: Question,
) -> Framed:
    """The window that has the answer, and most tokens around it. Raises UsageError for a span that is not there."""
    headed = task.headed(model)
    (example,) = task.bare([example])
    (answer,) = task.answer(model, [example], context)
    best = answer.chosen or (answer.answers.best[0] if answer.answers.best else None)
    if ask.target is None and best is None:
        raise UsageError("the model found no span to answer with; name one that stands in the context: target=TEXT")
    target = (best.start, best.end) if ask.target is None and best is not None else _span(example, ask.target, "target")
    against = None if ask.against is None else _span(example, ask.against, "against")

    source = task.rows([example], context)
    assert isinstance(source, QuestionRows), "made by the task for questions"
    spans = source.characters[0].tolist()
    goal = _tokens(spans, target, "target")
    other = None if against is None else _tokens(spans, against, "against")
    number = _window(source, [goal, *([] if other is None else [other])])
    window = source.window(number)
    ids, size = window.ids.tolist(), len(window.spans)
    question = tokenizer.encode_spans([example.question])[0]
    asked = window.offset - len(task.layout.before) - len(task.layout.between)
    owners = np.full(len(ids), -1)
    owners[len(task.layout.before) : len(task.layout.before) + asked] = np.arange(asked)
    owners[window.offset : window.offset + size] = asked + np.arange(size)

    shift = window.offset - window.start
    read_at = np.zeros(len(ids))
    like = next(headed.parameters())
    towards = like.new_zeros(2 * len(ids), dtype=torch.promote_types(like.dtype, torch.float32))
    for tokens, sign in ((goal, 1.0), (other, -1.0)):
        if tokens is not None:
            towards[2 * (tokens[0] + shift)] += sign
            towards[2 * (tokens[1] + shift) + 1] += sign
    for place in goal:
        read_at[place + shift] += 0.5

    def read(model: LanguageModel, batch: Batch) -> Tensor:
        return task.read(model, batch).flatten(1)  # (B, T, 2) as (B, 2 T)

    def chance(scores: Tensor) -> Tensor:
        possible = scores.view(len(scores), -1, 2)[:, window.offset : window.offset + size].softmax(dim=1)
        return possible[:, goal[0] - window.start, 0] * possible[:, goal[1] - window.start, 1]

    told = Told(
        task.name,
        task.told(answer),
        example.context[target[0] : target[1]],
        None if against is None else example.context[against[0] : against[1]],
        "logit of start and end" if against is None else "difference of logits of start and end",
        "probability",
    )
    pieces = [*pieces_of(0, question.spans, range(asked)), *pieces_of(1, window.spans, range(size))]
    only_row = row(headed, ids, window.token_types.tolist(), owners.tolist(), read_at)
    parts = (Part("question", example.question), Part("context", example.context))
    return Framed(told, Aim(read, towards, chance), (only_row,), parts, tuple(pieces))


def _span(example: Asked, text: str | None, what: str) -> Span:
    start = example.context.find(text or "")
    if not text or start < 0:
        raise UsageError(f"{what}={text!r}: does not stand in the context, so it is no answer to it")
    return start, start + len(text)


def _tokens(spans: list[Span], span: Span, what: str) -> tuple[int, int]:
    found = answer_tokens(spans, *span)
    if found is None:
        raise UsageError(f"{what}: the tokenizer makes nothing of it, so it is no answer")
    return found


def _window(source: QuestionRows, spans: list[tuple[int, int]]) -> int:
    """Raises UsageError where no window has all of the spans."""

    def room(number: int) -> int:
        window = source.window(number)
        firsts, lasts = [first for first, _ in spans], [last for _, last in spans]
        return min(min(firsts) - window.start, window.start + len(window.spans) - 1 - max(lasts))

    best = max(range(len(source)), key=room)
    if room(best) < 0:
        raise UsageError("target and against stand too far from each other for one row; raise context=")
    return best
