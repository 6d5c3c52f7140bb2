"""The best spans are those of all spans written out, and their text is cut out of the context."""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.tasks.tiny import CHINESE, ENGLISH, NewTokenizer

from wenlu.errors import DataError
from wenlu.tasks.spans.answers import Scores, best_spans, located
from wenlu.tasks.spans.windows import NULL, PairLayout, Window, answer_tokens, windows
from wenlu.tokenizers import Spanned, Tokenizer

EXAMPLES = 1000 if os.environ.get("WENLU_PROOF") == "1" else 60
BERT = PairLayout((1,), (2,), (2,))
shared = settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
hard = st.text(
    st.one_of(st.sampled_from("the cat 我们住在，。é\u0301👩\u200d💻Ｆ\u3000\n"), st.characters(codec="utf-8")),
    max_size=30,
)


@pytest.fixture
def bpe(new_tokenizer: NewTokenizer) -> Tokenizer:
    return new_tokenizer((*ENGLISH, *CHINESE), vocab_size=420)


def random_scores(found: tuple[Window, ...], rng: np.random.Generator, padding: int = 2) -> list[Scores]:
    return [rng.normal(size=len(window.ids) + padding).astype(np.float32) for window in found]


def every_span(
    starts: list[Scores], ends: list[Scores], found: tuple[Window, ...], max_tokens: int
) -> dict[tuple[int, int], float]:
    """Characters and best score of each, by trying all pairs of places."""
    best: dict[tuple[int, int], float] = {}
    for start, end, window in zip(starts, ends, found, strict=True):
        for i, (left, first_end) in enumerate(window.spans):
            for j, (last_start, right) in enumerate(window.spans):
                if not i <= j < i + max_tokens or left == first_end or last_start == right:
                    continue
                score = float(start[window.offset + i]) + float(end[window.offset + j])
                best[left, right] = max(score, best.get((left, right), -math.inf))
    return best


@shared
@given(text=hard, seed=st.integers(0, 10**6), null=st.booleans(), max_tokens=st.integers(1, 6))
def test_the_best_spans_are_those_of_all(bpe: Tokenizer, text: str, seed: int, null: bool, max_tokens: int) -> None:
    rng = np.random.default_rng(seed)
    found = windows([5], bpe.encode_spans([text])[0], BERT, max_length=12, stride=4)
    starts, ends = random_scores(found, rng), random_scores(found, rng)
    answers = best_spans(starts, ends, found, text, n_best=1000, max_answer_tokens=max_tokens, null=null)
    expected = every_span(starts, ends, found, max_tokens)
    assert {(one.start, one.end): one.score for one in answers.best} == expected
    assert [one.score for one in answers.best] == sorted(expected.values(), reverse=True)
    assert all(one.text == text[one.start : one.end] and one.text.strip() == one.text != "" for one in answers.best)
    weights = {span: math.exp(score) for span, score in expected.items()}
    total = sum(weights.values())
    if null:
        null_score = min(float(start[0]) + float(end[0]) for start, end in zip(starts, ends, strict=True))
        assert answers.null_score == null_score
        total += math.exp(null_score)
        assert answers.null_probability == pytest.approx(math.exp(null_score) / total)
    for one in answers.best:
        assert one.probability == pytest.approx(weights[one.start, one.end] / total)
    fewer = best_spans(starts, ends, found, text, n_best=3, max_answer_tokens=max_tokens, null=null)
    assert fewer.best == answers.best[:3]


@shared
@given(data=st.data(), text=hard)
def test_an_answer_that_a_window_holds_is_found(bpe: Tokenizer, data: st.DataObject, text: str) -> None:
    spanned = bpe.encode_spans([text])[0]
    places = [place for place, (start, end) in enumerate(spanned.spans) if start < end]
    if not places:
        return
    first = data.draw(st.sampled_from(places))
    last = data.draw(st.sampled_from([place for place in places if first <= place < first + 9]))
    start, end = spanned.spans[first][0], spanned.spans[last][1]
    answer = answer_tokens(spanned.spans, start, end)
    assert answer is not None
    found = windows([5], spanned, BERT, max_length=12, stride=data.draw(st.integers(1, 8)))
    targets = [window.target(answer) for window in found]
    if all(target == (NULL, NULL) for target in targets):
        return
    starts, ends = (
        [np.eye(1, len(window.ids), target[side])[0] for window, target in zip(found, targets, strict=True)]
        for side in (0, 1)
    )
    best = best_spans(starts, ends, found, text, null=True).best[0]
    assert (best.start, best.end, best.score) == (start, end, 2.0)


def letters(size: int) -> tuple[str, Spanned]:
    return " ".join("abcdefghijklm"[:size]), Spanned(
        list(range(100, 100 + size)), [(2 * n, 2 * n + 1) for n in range(size)]
    )


def test_a_span_of_two_windows_counts_once_with_its_better_score() -> None:
    text, context = letters(4)
    found = windows([5], context, BERT, max_length=7, stride=1)  # a b c, b c d
    starts = [np.array([0, 0, 0, 0, 1, 0, 0.0]), np.array([0, 0, 0, 4, 0, 0, 0.0])]
    answers = best_spans(starts, starts, found, text, max_answer_tokens=1)
    assert [(one.text, one.score) for one in answers.best] == [("b", 8), ("a", 0), ("c", 0), ("d", 0)]
    assert sum(one.probability for one in answers.best) == pytest.approx(1)


def test_no_answer_is_given_where_every_window_scores_it_higher_by_the_threshold() -> None:
    text, context = letters(4)
    found = windows([5], context, BERT, max_length=7, stride=1)
    starts = [np.array([3, 0, 0, 1, 0, 0, 0.0]), np.array([2, 0, 0, 0, 0, 0, 0.0])]
    ends = [np.array([3, 0, 0, 1, 0, 0, 0.0]), np.array([2, 0, 0, 0, 0, 0, 0.0])]
    answers = best_spans(starts, ends, found, text, null=True)
    assert answers.null_score == 4, "of the window that is least sure"
    assert answers.null_margin == 2
    assert answers.chosen() is None
    best = answers.chosen(threshold=2)
    assert best is not None
    assert (best.text, best.score) == ("a", 2)
    always = best_spans(starts, ends, found, text)
    assert always.chosen() == always.best[0]
    assert always.null_probability == 0


def test_a_context_without_text_has_no_answer() -> None:
    found = windows([5], Spanned([], []), BERT, max_length=9, stride=1)
    scores: list[Any] = [np.array([1.0, 0, 0, 0])]
    assert best_spans(scores, scores, found, "").chosen() is None
    answers = best_spans(scores, scores, found, "", null=True)
    assert (answers.best, answers.null_score, answers.null_probability) == ((), 2.0, 1.0)
    assert answers.chosen(threshold=100) is None


def test_scores_however_large_have_probabilities() -> None:
    text, context = letters(3)
    found = windows([5], context, BERT, max_length=9, stride=1)
    scores: list[Any] = [np.array([0, 0, 0, 1e4, -1e4, 1e4, 0])]
    answers = best_spans(scores, scores, found, text, max_answer_tokens=1)
    assert [one.probability for one in answers.best] == [0.5, 0.5, 0]


def test_an_answer_of_a_file_stands_where_the_file_says() -> None:
    context = "猫 met a cat, a cat"
    assert located(context, "a cat", 13) == (13, 18)
    with pytest.raises(
        DataError, match=r"answer 'a cat' is not at character 16, where 'at' stands; the nearest is at 13"
    ):
        located(context, "a cat", 16)
    with pytest.raises(DataError, match="it is nowhere in the context"):
        located(context, "a dog", 6)
    with pytest.raises(DataError, match="answer '' is not at character 0"):
        located(context, "", 0)
