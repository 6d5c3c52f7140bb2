"""Beam search against exhaustive search and against `transformers`."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
import torch
from tests.generation.reference import END, to_transformers

from wenlu.errors import UsageError
from wenlu.generation.beam import Hypothesis, beam_search
from wenlu.generation.settings import Sampling
from wenlu.models import LanguageModel


@torch.no_grad()
def exhaustive(model: LanguageModel, prompt: list[int], length: int, penalty: float) -> list[Hypothesis]:
    """Every answer of at most `length` tokens that ends in END or is full, best first."""
    vocab = model.lm_head.weight.shape[0]
    found = []
    for size in range(1, length + 1):
        for answer in product(range(vocab), repeat=size):
            stopped = answer[-1] == END
            if END in answer[:-1] or not (stopped or size == length):
                continue
            logprobs = model(torch.tensor([[*prompt, *answer]])).log_softmax(dim=-1)[0, len(prompt) - 1 : -1]
            total = float(sum(row[token] for row, token in zip(logprobs, answer, strict=True)))
            found.append(Hypothesis(answer, total, total / size**penalty, "stop" if stopped else "length"))
    return sorted(found, key=lambda hypothesis: -hypothesis.score)


@pytest.mark.parametrize("penalty", [0.0, 1.0, 2.0, -1.0])
def test_a_wide_beam_equals_exhaustive_search(make_llama: Callable[..., LanguageModel], penalty: float) -> None:
    model = make_llama(vocab_size=4).double()
    found = beam_search(
        model, [1, 3], num_beams=64, max_new_tokens=3, stop_ids=frozenset({END}), length_penalty=penalty
    )
    expected = exhaustive(model, [1, 3], 3, penalty)
    assert [h.tokens for h in found] == [h.tokens for h in expected]
    assert [h.finish for h in found] == [h.finish for h in expected]
    assert [h.score for h in found] == pytest.approx([h.score for h in expected])


@pytest.mark.parametrize("penalty", [0.6, 1.0, 1.8, -0.5])
@pytest.mark.parametrize(("num_beams", "repetition"), [(2, 1.0), (4, 1.0), (7, 1.3)])
def test_beams_equal_those_of_transformers(
    make_llama: Callable[..., LanguageModel], num_beams: int, penalty: float, repetition: float
) -> None:
    model = make_llama(vocab_size=12).double()
    theirs = to_transformers(model)
    for prompt in ([1, 5, 7], [1, 9], [3, 3, 4, 11, 6]):
        found = beam_search(
            model,
            prompt,
            num_beams=num_beams,
            max_new_tokens=9,
            stop_ids=frozenset({END}),
            length_penalty=penalty,
            rules=Sampling(repetition_penalty=repetition),
        )
        expected = theirs.generate(
            torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt), dtype=torch.int64),
            num_beams=num_beams,
            num_return_sequences=num_beams,
            max_new_tokens=9,
            length_penalty=penalty,
            repetition_penalty=repetition,
            early_stopping="never",
            do_sample=False,
            output_scores=True,
            return_dict_in_generate=True,
        )
        texts = [row[len(prompt) :].tolist() for row in expected.sequences]
        cut = [row[: row.index(END) + 1] if END in row else row for row in texts]
        assert [list(h.tokens) for h in found] == cut
        assert [h.score for h in found] == pytest.approx(expected.sequences_scores.tolist(), rel=1e-5)


def test_one_beam_is_greedy(model: LanguageModel) -> None:
    found = beam_search(model, [1, 2], num_beams=1, max_new_tokens=8)
    ids = [1, 2]
    for _ in range(8):
        ids.append(int(model(torch.tensor([ids]))[0, -1].argmax()))
    assert [list(h.tokens) for h in found] == [ids[2:]]


def test_beams_of_a_recurrent_model_are_scored_as_the_full_forward_scores_them(model: LanguageModel) -> None:
    found = beam_search(model, [1, 2], num_beams=5, max_new_tokens=6, stop_ids=frozenset({END}))
    assert len(found) == 5
    for hypothesis in found:
        answer = list(hypothesis.tokens)
        logprobs = model(torch.tensor([[1, 2, *answer]])).detach().log_softmax(dim=-1)[0, 1:-1]
        assert hypothesis.logprob == pytest.approx(float(logprobs[range(len(answer)), answer].sum()), abs=1e-4)


def test_more_beams_than_tokens_leave_only_the_answers_that_exist(make_llama: Callable[..., LanguageModel]) -> None:
    found = beam_search(make_llama(vocab_size=4), [1], num_beams=50, max_new_tokens=1, stop_ids=frozenset({END}))
    assert sorted(h.tokens for h in found) == [(0,), (1,), (2,), (3,)]


def test_the_context_bounds_a_beam(make_llama: Callable[..., LanguageModel]) -> None:
    found = beam_search(make_llama(context=8), [1] * 5, num_beams=3, max_new_tokens=50)
    assert {len(h.tokens) for h in found} == {3}
    with pytest.raises(UsageError, match="context"):
        beam_search(make_llama(context=8), [1] * 8, num_beams=3, max_new_tokens=1)


def test_the_search_ends_as_soon_as_no_beam_can_overtake_the_finished_ones(
    make_llama: Callable[..., LanguageModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_llama(context=400, vocab_size=4)
    calls = 0
    hidden = model.hidden

    def counted(*arguments: Any, **named: Any) -> torch.Tensor:
        nonlocal calls
        calls += 1
        return hidden(*arguments, **named)

    monkeypatch.setattr(model, "hidden", counted)
    early = beam_search(model, [1], num_beams=2, max_new_tokens=300, stop_ids=frozenset({END}), length_penalty=0.0)
    assert {h.finish for h in early} == {"stop"}
    assert calls < 30
