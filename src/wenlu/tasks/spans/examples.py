"""A question about a context, with its answers, as a record of the data tells it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from wenlu.errors import DataError
from wenlu.tasks.spans.answers import located
from wenlu.tokenizers import Span


@dataclass(frozen=True)
class Question:
    """What is asked of a text.

    Attributes:
        answers: characters of each answer that is right; none: the context has no answer; None: it is not known.
    """

    question: str
    context: str
    answers: tuple[Span, ...] | None = None
    id: str = ""

    @property
    def texts(self) -> list[str]:
        """The right answers."""
        return [self.context[start:end] for start, end in self.answers or ()]


def answers_of(value: Any, context: str, id: str) -> tuple[Span, ...]:
    """Of a list of objects with `text` and `start` (or `answer_start`), or of an object of two lists, as on Hugging
    Face; raises DataError."""
    return tuple(_located(text, start, context, id) for text, start in _pairs(value, id))


def _pairs(value: Any, id: str) -> Sequence[tuple[Any, Any]]:
    match value:
        case {"text": list() as texts, "answer_start": list() as starts} if len(texts) == len(starts):
            return list(zip(texts, starts, strict=True))
        case list() if all(isinstance(one, dict) for one in value):
            return [(one.get("text"), one.get("start", one.get("answer_start"))) for one in value]
    shown = json.dumps(value, ensure_ascii=False)[:60]
    raise DataError(f"{id}: answers {shown}; give a list of objects with text and start, an empty one for no answer")


def _located(text: Any, start: Any, context: str, id: str) -> Span:
    if not isinstance(text, str) or not isinstance(start, int) or isinstance(start, bool):
        shown = json.dumps([text, start], ensure_ascii=False)[:60]
        raise DataError(f"{id}: an answer of text and start {shown}; give a string and a whole number")
    try:
        return located(context, text, start)
    except DataError as error:
        raise DataError(f"{id}: {error}") from error
