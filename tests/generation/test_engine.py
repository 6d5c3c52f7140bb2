"""The engine's laws: an answer depends on its request alone, whoever runs beside it."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
import torch

from wenlu.errors import UsageError, WenluError
from wenlu.generation.engine import Emission, Engine, Request
from wenlu.generation.settings import Sampling
from wenlu.models import LanguageModel

VOCAB = 48
RULES = (
    Sampling(),
    Sampling(temperature=1.0),
    Sampling(temperature=0.9, top_k=8, repetition_penalty=1.2),
    Sampling(temperature=1.3, top_p=0.9, presence_penalty=0.5, frequency_penalty=0.2),
)


def some_requests(n: int, seed: int) -> list[Request]:
    chance = random.Random(seed)
    return [
        Request(
            prompt=[chance.randrange(VOCAB) for _ in range(chance.randint(1, 12))],
            max_new_tokens=chance.randint(1, 14),
            rules=chance.choice(RULES),
            stop_ids=frozenset({chance.randrange(VOCAB)}),
            seed=chance.randrange(100),
            choice=chance.randrange(3),
        )
        for _ in range(n)
    ]


def run(engine: Engine, requests: list[Request], *, a_step: int = 100) -> list[list[Emission]]:
    """The emissions of each request, `a_step` of which are submitted before each step."""
    waiting = list(requests)
    ids: list[int] = []
    emitted: dict[int, list[Emission]] = {}
    while waiting or engine.busy:
        for request in waiting[:a_step]:
            ids.append(engine.submit(request))
            emitted[ids[-1]] = []
        waiting = waiting[a_step:]
        for emission in engine.step():
            emitted[emission.id].append(emission)
    return [emitted[id] for id in ids]


def tokens(emissions: list[Emission]) -> list[int]:
    return [emission.token for emission in emissions]


@torch.no_grad()
def greedy(model: LanguageModel, prompt: list[int], n: int) -> list[int]:
    """Reference: the whole text through the model for each token."""
    ids = list(prompt)
    for _ in range(n):
        ids.append(int(model(torch.tensor([ids]))[0, -1].argmax()))
    return ids[len(prompt) :]


def test_a_greedy_answer_equals_argmax_of_the_full_forward(model: LanguageModel) -> None:
    prompts = [[1, 2, 3], [7], [5, 6, 7, 8, 9, 10]]
    answers = run(Engine(model), [Request(prompt, max_new_tokens=20) for prompt in prompts])
    assert [tokens(answer) for answer in answers] == [greedy(model, prompt, 20) for prompt in prompts]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize(("max_batch", "a_step", "budget"), [(4, 1, 8192), (16, 100, 8192), (3, 2, 10)])
def test_batched_answers_equal_single_ones(
    model: LanguageModel, dtype: torch.dtype, max_batch: int, a_step: int, budget: int
) -> None:
    model.to(dtype)
    requests = some_requests(24, seed=max_batch)
    alone = [run(Engine(model), [request])[0] for request in requests]
    engine = Engine(model, max_batch=max_batch, max_prefill_tokens=budget)
    together = run(engine, requests, a_step=a_step)
    for single, batched in zip(alone, together, strict=True):
        assert tokens(single) == tokens(batched)
        assert [e.finish for e in single] == [e.finish for e in batched]
        assert [e.logprob for e in single] == pytest.approx([e.logprob for e in batched], abs=1e-4)


def test_the_order_of_submission_changes_no_answer(model: LanguageModel) -> None:
    requests = some_requests(12, seed=1)
    forward = run(Engine(model, max_batch=5), requests, a_step=3)
    backward = run(Engine(model, max_batch=5), requests[::-1], a_step=3)[::-1]
    assert [tokens(a) for a in forward] == [tokens(b) for b in backward]


def test_logprobs_are_those_of_the_model_before_the_rules(model: LanguageModel) -> None:
    request = Request([1, 2], max_new_tokens=6, rules=Sampling(temperature=2.0, top_k=10, repetition_penalty=1.5))
    emissions = run(Engine(model), [request])[0]
    ids = torch.tensor([[1, 2, *tokens(emissions)]])
    logprobs = model(ids).detach().log_softmax(dim=-1)[0, 1:-1]
    expected = [float(row[token]) for row, token in zip(logprobs, tokens(emissions), strict=True)]
    assert [e.logprob for e in emissions] == pytest.approx(expected, abs=1e-5)


def test_a_stop_token_ends_the_answer_and_is_emitted(model: LanguageModel) -> None:
    free = greedy(model, [4, 5], 12)
    stop = free[5]
    emissions = run(Engine(model), [Request([4, 5], max_new_tokens=12, stop_ids=frozenset({stop}))])[0]
    assert tokens(emissions) == free[: free.index(stop) + 1]
    assert [e.finish for e in emissions] == [*[None] * (len(emissions) - 1), "stop"]


def test_max_new_tokens_ends_an_answer_with_reason_length(model: LanguageModel) -> None:
    emissions = run(Engine(model), [Request([4], max_new_tokens=3)])[0]
    assert [e.finish for e in emissions] == [None, None, "length"]


def test_the_end_of_the_context_ends_an_answer_with_reason_length(make_llama: Callable[..., LanguageModel]) -> None:
    emissions = run(Engine(make_llama(context=10)), [Request([1, 2, 3], max_new_tokens=99)])[0]
    assert len(emissions) == 7
    assert emissions[-1].finish == "length"


def test_a_prompt_that_fills_the_context_is_refused(make_llama: Callable[..., LanguageModel]) -> None:
    engine = Engine(make_llama(context=10))
    with pytest.raises(UsageError, match=r"prompt has 10 tokens.* of 10 must also hold an answer; shorten"):
        engine.submit(Request([1] * 10, max_new_tokens=1))
    assert not engine.busy


def test_a_prompt_without_tokens_is_refused(model: LanguageModel) -> None:
    with pytest.raises(UsageError, match="no tokens; give at least one character"):
        Engine(model).submit(Request([], max_new_tokens=1))


def test_an_answer_goes_on_the_same_when_its_beginning_is_given_as_prompt(model: LanguageModel) -> None:
    rules = Sampling(temperature=1.2, top_p=0.95, repetition_penalty=1.1)
    whole = tokens(run(Engine(model), [Request([3, 1, 4], max_new_tokens=16, rules=rules, seed=8)])[0])
    for cut in (1, 7, 15):
        rest = Request([3, 1, 4, *whole[:cut]], max_new_tokens=16 - cut, rules=rules, seed=8)
        assert tokens(run(Engine(model), [rest])[0]) == whole[cut:]


def test_a_cancelled_request_emits_nothing_more_and_changes_no_neighbour(model: LanguageModel) -> None:
    requests = [Request([n + 1, n + 2], max_new_tokens=10, rules=RULES[1], seed=n) for n in range(6)]
    expected = [tokens(answer) for answer in run(Engine(model), requests)]
    engine = Engine(model, max_batch=4)
    ids = [engine.submit(request) for request in requests]
    emitted: dict[int, list[int]] = {id: [] for id in ids}
    for step in range(40):
        if step == 3:
            engine.cancel(ids[1])  # running
            engine.cancel(ids[5])  # waiting
        for emission in engine.step():
            emitted[emission.id].append(emission.token)
    assert not engine.busy
    assert emitted[ids[1]] == expected[1][:3]
    assert emitted[ids[5]] == []
    assert [emitted[ids[n]] for n in (0, 2, 3, 4)] == [expected[n] for n in (0, 2, 3, 4)]


def test_cancelling_the_last_request_leaves_an_idle_engine_that_takes_new_ones(model: LanguageModel) -> None:
    engine = Engine(model)
    id = engine.submit(Request([1], max_new_tokens=5))
    engine.step()
    engine.cancel(id)
    engine.cancel(999)
    assert not engine.busy
    assert engine.step() == []
    assert len(run(engine, [Request([1], max_new_tokens=5)])[0]) == 5


def test_no_more_than_max_batch_requests_run_side_by_side(model: LanguageModel) -> None:
    engine = Engine(model, max_batch=2)
    for n in range(5):
        engine.submit(Request([n + 1], max_new_tokens=2))
    sizes = []
    while engine.busy:
        sizes.append(len(engine.step()))
    assert sizes == [2, 2, 2, 2, 1, 1]


def test_a_step_reads_no_more_prompt_than_its_budget_unless_one_prompt_is_longer(model: LanguageModel) -> None:
    engine = Engine(model, max_prefill_tokens=8)
    for number, length in enumerate((4, 4, 3, 20, 1)):
        engine.submit(Request([number] * length, max_new_tokens=10))
    assert [len(engine.step()) for _ in range(4)] == [2, 3, 4, 5]


def test_answers_to_one_prompt_and_seed_differ_by_choice(model: LanguageModel) -> None:
    rules = Sampling(temperature=1.5)
    requests = [Request([1], max_new_tokens=12, rules=rules, seed=4, choice=choice) for choice in range(4)]
    assert len({tuple(tokens(answer)) for answer in run(Engine(model), requests)}) == 4


def test_a_training_model_answers_without_dropout_and_stays_in_training(
    make_llama: Callable[..., LanguageModel],
) -> None:
    model = make_llama()
    expected = greedy(model, [1, 2], 5)
    model.lm_head = torch.nn.Sequential(torch.nn.Dropout(0.9), model.lm_head)
    model.train()
    assert tokens(run(Engine(model), [Request([1, 2], max_new_tokens=5)])[0]) == expected
    assert model.training


def test_a_model_that_answers_nan_is_an_error(model: LanguageModel) -> None:
    with torch.no_grad():
        next(model.lm_head.parameters())[3, 0] = torch.nan
    engine = Engine(model)
    engine.submit(Request([1], max_new_tokens=1))
    with pytest.raises(WenluError, match="answers NaN: its weights are damaged"):
        engine.step()


def test_sampled_first_tokens_follow_the_model(make_llama: Callable[..., LanguageModel]) -> None:
    model = make_llama(vocab_size=8)
    n = 4000
    engine = Engine(model, max_batch=500)
    answers = run(engine, [Request([2, 3], 1, Sampling(temperature=1.0), seed=seed) for seed in range(n)])
    counts = torch.bincount(torch.tensor([tokens(a)[0] for a in answers]), minlength=8)
    expected = n * model(torch.tensor([[2, 3]]))[0, -1].softmax(dim=-1).detach()
    statistic = ((counts - expected) ** 2 / expected).sum()
    assert float(torch.special.gammaincc(torch.tensor(3.5), statistic / 2)) > 1e-3
