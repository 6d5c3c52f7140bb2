"""Speculation changes how fast an answer comes, and never which: to the last bit, or in distribution."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from tests.generation.engines import RULES, VOCAB, Answer, answers, small_pages, some_requests, tiny, told
from tests.generation.test_sampling import chi_square_p
from tests.models.test_native import made

from wenlu.errors import UsageError
from wenlu.generation.constraints import Constraints
from wenlu.generation.engine import Emission, Engine, Request
from wenlu.generation.native_runner import NativeRunner
from wenlu.generation.pages import PagedMemory
from wenlu.generation.settings import Sampling
from wenlu.generation.speculation import Drafter, DraftModel, PromptLookup, first_layers
from wenlu.kernels.native import why_not
from wenlu.models import LanguageModel
from wenlu.models.native import why_not_native

PROOF = os.environ.get("WENLU_PROOF") == "1"
PROMPTS = 500 if PROOF else 24
DRAWS = 4_000 if PROOF else 400
NATIVE = pytest.mark.skipif(why_not("decoder") is not None, reason=f"no native decoder: {why_not('decoder')}")
MODELS = [
    *(pytest.param(name, marks=NATIVE) for name in ("native llama", "native mistral, a window", "native qwen3")),
    *("gemma3", "gpt2"),
]
DRAFTERS: dict[str, Callable[[LanguageModel], Drafter]] = {
    "lookup": lambda _: PromptLookup(),
    "layers": lambda model: DraftModel(first_layers(model, 1)),
    "model": lambda model: DraftModel(draft_of(is_native=is_native(model))),
}


@cache
def model_of(name: str) -> LanguageModel:
    return made(name.removeprefix("native "), vocab_size=VOCAB) if name.startswith("native ") else tiny(name)


@cache
def draft_of(*, is_native: bool) -> LanguageModel:
    return made(vocab_size=VOCAB, num_hidden_layers=1) if is_native else tiny("llama", num_hidden_layers=1)


def is_native(model: LanguageModel) -> bool:
    return why_not_native(model) is None


def engine_of(model: LanguageModel, **settings: Any) -> Engine:
    """With pages as small as the model allows."""
    return Engine(model, **settings) if is_native(model) else small_pages(model, **settings)


def repeating(count: int, seed: int, **changes: Any) -> list[Request]:
    """Prompts that repeat themselves, as what is looked up must."""
    chance = random.Random(seed)
    requests = []
    for _ in range(count):
        stem = [chance.randrange(VOCAB) for _ in range(chance.randint(1, 6))]
        prompt = (stem * 5)[: chance.randint(1, 20)]
        requests.append(Request(prompt, **({"max_new_tokens": chance.randint(2, 20)} | changes)))
    return requests


@pytest.mark.parametrize("kind", DRAFTERS)
@pytest.mark.parametrize("name", MODELS)
def test_greedy_answers_are_those_without_guesses_to_the_last_bit(name: str, kind: str) -> None:
    model = model_of(name)
    requests = repeating(PROMPTS if name.startswith("native") else PROMPTS // 4, seed=1)
    engine = engine_of(model, drafter=DRAFTERS[kind](model), max_batch=8)
    if name.startswith("native"):
        assert isinstance(engine._memory, PagedMemory)
        assert isinstance(engine._memory._runners[None], NativeRunner)
    assert answers(engine, requests, a_step=3) == answers(engine_of(model), requests)
    stats = engine.stats()
    assert 0 <= stats.accepted <= stats.guessed
    assert stats.guessed > 0
    assert stats.pages.used == 0


@pytest.mark.parametrize("name", [pytest.param("native qwen3", marks=NATIVE), "gemma3"])
def test_drawn_answers_are_those_without_guesses_where_these_are_looked_up(name: str) -> None:
    model = model_of(name)
    requests = some_requests(12, random.Random(3))
    engine = engine_of(model, drafter=PromptLookup(least=1), guesses=3)
    assert {request.rules for request in requests} == set(RULES)
    assert answers(engine, requests) == answers(engine_of(model), requests)
    assert engine.stats().guessed > 0


@NATIVE
def test_a_model_that_guesses_for_itself_keeps_all_guesses_and_says_so() -> None:
    model = model_of("native llama")
    engine = Engine(model, drafter=DraftModel(model), guesses=3)
    requests = [Request([n, 2], 10, RULES[n % 2], seed=n) for n in range(4)]
    for request in requests:
        engine.submit(request)
    steps: list[list[Emission]] = [engine.step() for _ in range(4)]
    assert not engine.busy, "one token, four, four, and the last one"
    assert [len(step) for step in steps] == [4, 16, 16, 4]
    assert [(each.guessed, each.kept) for each in steps[1][8:12]] == [(3, True), (0, True), (0, True), (0, False)]
    assert (engine.stats().guessed, engine.stats().accepted, engine.stats().generated) == (24, 24, 40)


def pressed(model: LanguageModel, pages: int, **settings: Any) -> Engine:
    page = engine_of(model).stats().pages
    return engine_of(model, memory=pages * (page.budget // page.free), **settings)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *(pytest.param("native llama", kind, marks=NATIVE) for kind in DRAFTERS),
        ("gemma3", "lookup"),
        ("mistral", "layers"),
    ],
)
def test_who_runs_beside_it_decides_nothing_of_an_answer_with_guesses(name: str, kind: str) -> None:
    model = model_of(name)
    length, pages = (30, 5) if is_native(model) else (7, 8)
    requests = [
        Request([n + 1, 5] * (length // 2), max_new_tokens=16, rules=RULES[n % 4], seed=n, priority=n % 2)
        for n in range(5)
    ]
    alone = [answers(engine_of(model, drafter=DRAFTERS[kind](model)), [request])[0] for request in requests]
    engine = pressed(model, pages, drafter=DRAFTERS[kind](model))
    assert answers(engine, requests) == alone
    assert engine.stats().preemptions > 0


@pytest.mark.parametrize("kind", DRAFTERS)
def test_requests_may_be_cancelled_at_any_moment_and_all_room_comes_back(kind: str) -> None:
    chance, model = random.Random(kind), model_of("llama")
    requests = some_requests(8, chance)
    expected = answers(small_pages(model, drafter=DRAFTERS[kind](model)), requests)
    drafter = DRAFTERS[kind](model)
    engine = pressed(model, 16, max_batch=4, max_prefill_tokens=8, drafter=drafter)
    ids = [engine.submit(request) for request in requests]
    found: dict[int, Answer] = {id: [] for id in ids}
    gone: set[int] = set()
    while engine.busy:
        if chance.random() < 0.3:
            gone.add(chance.choice(ids))
            for id in gone:
                engine.cancel(id)
        for emission in engine.step():
            found[emission.id].append(told(emission))
        pages = engine.stats().pages
        assert pages.used + pages.cached + pages.free == 16
        for row in engine._rows.values():
            assert len(row.seat.pages) == -(-row.seat.read // 4) or not row.seat.decodes, "guesses gave theirs back"
    for id, answer in zip(ids, expected, strict=True):
        assert found[id] == answer[: len(found[id])]
        assert id in gone or found[id] == answer
    assert engine.stats().pages.used == 0
    if isinstance(drafter, DraftModel):
        assert drafter._memory.stats().used == 0


@NATIVE
@pytest.mark.parametrize("kind", ["lookup", "layers"])
def test_two_guessed_tokens_have_the_models_own_distribution(kind: str) -> None:
    model = made(vocab_size=8)
    model.lm_head.weight.data *= 0.5  # so that no token is sure
    prompt = [2, 5, 3, 2, 5]
    engine = Engine(model, drafter=DRAFTERS[kind](model), max_batch=100)
    opens = Constraints(first=3)  # nothing is guessed of a first token
    for seed in range(DRAWS):
        engine.submit(Request(prompt, 4, Sampling(temperature=1.0), opens, seed=seed))
    found: dict[int, list[int]] = {}
    while engine.busy:
        for emission in engine.step():
            found.setdefault(emission.id, []).append(emission.token)
    counts = np.zeros((8, 8))
    for _, one, two, _ in found.values():
        counts[one, two] += 1
    with torch.no_grad():
        first = model(torch.tensor([[*prompt, 3]]))[0, -1].double().softmax(dim=-1)
        second = model(torch.tensor([[*prompt, 3, token] for token in range(8)]))[:, -1].double().softmax(dim=-1)
    expected = DRAWS * (first[:, None] * second).numpy()
    likely = expected > 5
    assert likely.sum() > 10
    rest = [] if likely.all() else [(counts[~likely].sum(), expected[~likely].sum())]
    pairs = np.array([*zip(counts[likely], expected[likely], strict=True), *rest])
    assert chi_square_p(pairs[:, 0], pairs[:, 1]) > 1e-3
    assert 0 < engine.stats().accepted < engine.stats().guessed


def test_what_cannot_be_guessed_is_refused() -> None:
    llama, lstm = model_of("llama"), tiny("lstm")
    with pytest.raises(UsageError, match="speculation: LSTM keeps more than keys and values, so tokens cannot be"):
        Engine(lstm, drafter=PromptLookup())
    with pytest.raises(UsageError, match="speculation: LSTM keeps more than keys and values"):
        DraftModel(lstm)
    other = Engine(llama, drafter=DraftModel(made(vocab_size=40)))
    with pytest.raises(UsageError, match="the draft model has 40 tokens, and the model 48; both need the same token"):
        other.submit(Request([1], 4))
    assert other.submit(Request([1], 4, vocab_size=40)) == 0, "the model's further tokens are never chosen"
