"""Questions as rows: each with every window of its context, and where the answer is in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wenlu.corpus.examples import Examples
from wenlu.corpus.packing import Ids
from wenlu.corpus.ragged import Ragged
from wenlu.errors import DataError
from wenlu.tasks.spans.windows import PairLayout, Window, answer_tokens, windows
from wenlu.tokenizers import Span, Spanned, Tokenizer

CONTEXTS_AT_ONCE = 1000


@dataclass(frozen=True)
class Asked:
    """A question about a context, and the characters of its answer; None: there is none, or it is not known."""

    question: str
    context: str
    answer: Span | None = None
    id: str = ""


@dataclass(frozen=True)
class Cutting:
    """How questions become rows.

    Attributes:
        overlap: tokens that a window shares with the one before it, but never more than half of them.
    """

    layout: PairLayout
    max_length: int
    max_question_tokens: int
    overlap: int


class QuestionRows(Examples):
    """Rows that know which characters of their context each token is of.

    Attributes:
        characters: (N, 2) of each distinct context. contexts: (R,) whose part a row is.
        parts: (R, 3) the first token of it, how many, and where in the row they begin.
    """

    def __init__(
        self,
        inputs: Ragged,
        *,
        length: int,
        pad_id: int,
        owners: Ids,
        types: Ragged,
        labels: Ids | None,
        characters: Sequence[np.ndarray[Any, Any]],
        contexts: Ids,
        parts: Ids,
    ) -> None:
        super().__init__(inputs, length=length, pad_id=pad_id, owners=owners, types=types, labels=labels)
        self.token_types = types
        self.characters = characters
        self.contexts = contexts
        self.parts = parts

    def window(self, row: int) -> Window:
        start, size, offset = self.parts[row].tolist()
        spans = self.characters[self.contexts[row]][start : start + size].tolist()
        found = tuple((left, right) for left, right in spans)
        return Window(self.inputs[row], self.token_types[row], start, found, offset)


def question_rows(
    questions: Sequence[Asked], cutting: Cutting, tokenizer: Tokenizer, *, are_answered: bool
) -> QuestionRows:
    """Raises DataError for a question that leaves no room for its context.

    An answer that is in no token (control characters, in BERT's vocabulary) counts as none.
    """
    numbers = {text: number for number, text in enumerate(dict.fromkeys(each.context for each in questions))}
    spanned = _spanned([*numbers], tokenizer)
    layout = cutting.layout
    longest_question = min(cutting.max_question_tokens, max(0, (cutting.max_length - layout.size) // 2))
    ids: list[Ids] = []
    types: list[np.ndarray[Any, Any]] = []
    facts: list[tuple[int, int, int, int, int]] = []
    places: list[tuple[int, int]] = []
    for number, (asked, tokens) in enumerate(
        zip(questions, tokenizer.encode_batch([each.question for each in questions]), strict=True)
    ):
        context = spanned[numbers[asked.context]]
        tokens = tokens[:longest_question]
        room = cutting.max_length - layout.size - len(tokens)
        stride = max(1, room - cutting.overlap, (room + 1) // 2)
        try:
            found = windows(tokens, context, layout, max_length=cutting.max_length, stride=stride)
        except DataError as error:
            raise DataError(f"{asked.id}: {error}") from error
        answer = None if asked.answer is None else answer_tokens(context.spans, *asked.answer)
        for window in found:
            ids.append(window.ids.astype(np.int32))
            types.append(window.token_types.astype(np.int8))
            facts.append((number, numbers[asked.context], window.start, len(window.spans), window.offset))
            places.append(window.target(answer))
    columns = np.array(facts, np.int64).reshape(-1, 5)
    return QuestionRows(
        Ragged.of(ids),
        length=cutting.max_length,
        pad_id=tokenizer.pad_id or 0,
        owners=columns[:, 0],
        types=Ragged.of(types, np.int8),
        labels=np.array(places, np.int64).reshape(-1, 2) if are_answered else None,
        characters=[np.array(one.spans, np.int32).reshape(-1, 2) for one in spanned],
        contexts=columns[:, 1],
        parts=columns[:, 2:],
    )


def _spanned(texts: Sequence[str], tokenizer: Tokenizer) -> list[Spanned]:
    return [
        one
        for begin in range(0, len(texts), CONTEXTS_AT_ONCE)
        for one in tokenizer.encode_spans(texts[begin : begin + CONTEXTS_AT_ONCE])
    ]
