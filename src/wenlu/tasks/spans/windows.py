"""A question, and a long text in windows that overlap, each with the question before it (Devlin et al. 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from wenlu.corpus.packing import Ids
from wenlu.errors import ConfigError, DataError
from wenlu.tokenizers import Span, Spanned, Tokenizer

NULL = 0
"""The place that stands for no answer: the first token, [CLS]."""


@dataclass(frozen=True)
class PairLayout:
    """Special tokens around a question and its text: BERT's [CLS] question [SEP] text [SEP]."""

    before: tuple[int, ...]
    between: tuple[int, ...]
    behind: tuple[int, ...]

    def __post_init__(self) -> None:
        assert self.before, "a row starts with a token that stands for no answer"

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> Self:
        """What tokenizer.json says; where it puts nothing around a pair, the begin before it and the end behind each.

        Raises ConfigError where nothing stands before a pair.
        """
        before, between, behind = map(tuple, tokenizer.pair_frame)
        if not (before or between or behind):
            begin, end = (() if one is None else (one,) for one in (tokenizer.bos_id, tokenizer.eos_id))
            before, between, behind = begin, end, end
        if not before:
            raise ConfigError(
                "the tokenizer puts no token before a pair of texts, and answers need one that stands for none; "
                "take a tokenizer whose tokenizer.json has a post-processor for pairs, as BERT's"
            )
        return cls(before, between, behind)

    @property
    def size(self) -> int:
        return len(self.before) + len(self.between) + len(self.behind)


@dataclass(frozen=True)
class Window:
    """One row: a question and a part of the context.

    Attributes:
        ids: (T,).
        token_types: (T,), 1 for the context and what is behind it, else 0.
        start: which token of the context is the first here.
        spans: characters of each token of the part, in the whole context.
        offset: place of the first of them in `ids`.
    """

    ids: Ids
    token_types: Ids
    start: int
    spans: tuple[Span, ...]
    offset: int

    def target(self, answer: tuple[int, int] | None) -> tuple[int, int]:
        """Places of the first and the last token of an answer, as `answer_tokens` numbers them.

        (NULL, NULL) where the window does not hold all of it, or there is none.
        """
        if answer is None or answer[0] < self.start or answer[1] >= self.start + len(self.spans):
            return NULL, NULL
        shift = self.offset - self.start
        return answer[0] + shift, answer[1] + shift


def answer_tokens(spans: Sequence[Span], start: int, end: int) -> tuple[int, int] | None:
    """The first and the last token of a context with a character from `start` to before `end`; None: there is none."""
    found = [number for number, (left, right) in enumerate(spans) if left < right and left < end and right > start]
    return (found[0], found[-1]) if found else None


def windows(
    question_ids: Sequence[int], context: Spanned, layout: PairLayout, *, max_length: int, stride: int
) -> tuple[Window, ...]:
    """Rows of at most `max_length` tokens that together hold all of the context; one row where it is empty.

    Args:
        stride: how many tokens after the one before it a window starts, as in Devlin et al.; in Hugging Face's
            tokenizers the word means the overlap. Where a window holds fewer, the next one starts at its end.

    Raises ConfigError for a stride below 1, DataError for a question that leaves no room.
    """
    if stride < 1:
        raise ConfigError(f"stride {stride}: the next window starts at least one token later")
    room = max_length - layout.size - len(question_ids)
    if room < 1:
        raise DataError(
            f"a question of {len(question_ids)} tokens leaves no room for the context in {max_length} tokens; "
            "shorten it, or give longer rows"
        )
    head = (*layout.before, *question_ids, *layout.between)
    size = len(context.ids)
    found: list[Window] = []
    start = 0
    while True:
        part = slice(start, min(start + room, size))
        tail = (*context.ids[part], *layout.behind)
        ids = np.array([*head, *tail], np.int64)
        types = np.repeat([0, 1], [len(head), len(tail)])
        found.append(Window(ids, types, start, tuple(context.spans[part]), len(head)))
        if part.stop == size:
            return tuple(found)
        start += min(room, stride)
