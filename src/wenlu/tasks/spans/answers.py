"""The likeliest parts of a context, of the scores that a model gives to starts and ends in its windows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wenlu.errors import DataError
from wenlu.tasks.spans.windows import NULL, Window
from wenlu.tokenizers import Span

Scores = np.ndarray[Any, np.dtype[np.floating[Any]]]


@dataclass(frozen=True)
class Answer:
    """Characters `start` to before `end` of the context.

    Attributes:
        score: the sum of what the model gives to its start and to its end.
        probability: among all spans that it could have been, and no answer where that was asked for.
    """

    text: str
    start: int
    end: int
    score: float
    probability: float


@dataclass(frozen=True)
class Answers:
    """What a model says to one question.

    Attributes:
        best: the best first.
        null_score: that there is no answer, of the window that is least sure of it; None: it was not asked for.
        null_probability: of no answer; 0 where it was not asked for.
    """

    best: tuple[Answer, ...]
    null_score: float | None
    null_probability: float

    @property
    def null_margin(self) -> float:
        """By how much no answer scores higher than the best one: what a threshold is set for, on data of its own."""
        if not self.best:
            return float("inf")
        return float("-inf") if self.null_score is None else self.null_score - self.best[0].score

    def chosen(self, threshold: float = 0.0) -> Answer | None:
        """The best answer; None where there is none, or where no answer scores more than `threshold` higher."""
        return None if self.null_margin > threshold else self.best[0]


def best_spans(
    start_logits: Sequence[Scores],
    end_logits: Sequence[Scores],
    windows: Sequence[Window],
    context: str,
    *,
    n_best: int = 20,
    max_answer_tokens: int = 30,
    null: bool = False,
) -> Answers:
    """The best spans of the context over all its windows.

    A span is one that starts before it ends, in at most `max_answer_tokens` tokens of one window, and counts once with
    its best score. Probabilities are a softmax over all of them.

    Args:
        start_logits, end_logits: (T,) of each window; what stands behind its ids is not read.
        null: whether there may be no answer (SQuAD 2.0): its score is that of NULL, the smallest over the windows.
    """
    assert len(start_logits) == len(end_logits) == len(windows) > 0, "scores of each window"
    spans, scores = _spans(start_logits, end_logits, windows, max_answer_tokens)
    order = np.lexsort((spans[:, 1], spans[:, 0], -scores))[:n_best]
    null_score = None
    everything = scores
    if null:
        pairs = zip(start_logits, end_logits, strict=True)
        null_score = min(float(start[NULL]) + float(end[NULL]) for start, end in pairs)
        everything = np.append(scores, null_score)
    peak = everything.max(initial=-np.inf)
    total = np.exp(everything - peak).sum()

    def probability(score: float) -> float:
        return float(np.exp(score - peak) / total)

    best = tuple(
        Answer(context[start:end], start, end, score, probability(score))
        for (start, end), score in zip(spans[order].tolist(), scores[order].tolist(), strict=True)
    )
    return Answers(best, null_score, 0.0 if null_score is None else probability(null_score))


def _spans(
    start_logits: Sequence[Scores], end_logits: Sequence[Scores], windows: Sequence[Window], max_tokens: int
) -> tuple[np.ndarray[Any, np.dtype[np.int64]], Scores]:
    """(S, 2) characters and (S,) best score of each span."""
    keys, values = [], []
    width = 1 + max((end for window in windows for _, end in window.spans), default=0)
    for starts, ends, window in zip(start_logits, end_logits, windows, strict=True):
        size = len(window.spans)
        here = slice(window.offset, window.offset + size)
        left, right = np.array(window.spans, np.int64).reshape(size, 2).T
        first = np.repeat(np.arange(size), max_tokens)
        last = first + np.tile(np.arange(max_tokens), size)
        first, last = first[last < size], last[last < size]
        is_text = left < right
        kept = is_text[first] & is_text[last] & (left[first] < right[last])
        first, last = first[kept], last[kept]
        keys.append(left[first] * width + right[last])
        values.append(np.asarray(starts, np.float64)[here][first] + np.asarray(ends, np.float64)[here][last])
    found, owner = np.unique(np.concatenate(keys), return_inverse=True)
    scores = np.full(len(found), -np.inf)
    np.maximum.at(scores, owner, np.concatenate(values))
    return np.stack(np.divmod(found, width), axis=1), scores


def located(context: str, text: str, start: int) -> Span:
    """Characters of an answer that a file gives as `text` and `start`; raises DataError where it is not there."""
    end = start + len(text)
    if text and start >= 0 and context[start:end] == text:
        return start, end
    places = [place for place in range(len(context)) if text and context.startswith(text, place)]
    nearest = min(places, key=lambda place: abs(place - start), default=None)
    hint = (
        "it is nowhere in the context" if nearest is None else f"the nearest is at {nearest}; offsets count characters"
    )
    raise DataError(
        f"answer {text!r} is not at character {start}, where {context[max(start, 0) : end]!r} stands; {hint}"
    )
