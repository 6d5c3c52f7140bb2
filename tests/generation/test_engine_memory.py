"""What an engine's memory holds, for whom, and that it comes back."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.generation.engines import PAGE, UNIT, answers, small_pages, some_requests, tiny, tokens, told

from wenlu.errors import ResourceError, UsageError
from wenlu.generation.engine import Engine, Request
from wenlu.generation.pages import PagedMemory
from wenlu.generation.settings import Sampling
from wenlu.models.adapters import Form, attach, draw, targets_in, view_of

REQUESTS = 10_000 if os.environ.get("WENLU_PROOF") == "1" else 300
PAGE_BYTES = 2 * 2 * 4 * PAGE * 4 * 4
"""Keys and values, layers, heads, tokens, numbers a head, bytes a number."""
DRAWN = Sampling(temperature=1.0)


def engine_of(pages: int, **settings: Any) -> Engine:
    return small_pages(tiny("llama"), memory=pages * PAGE_BYTES, **settings)


def test_the_pages_of_a_model_take_no_more_than_the_budget() -> None:
    for cache, pages in (("plain", 10), ("bfloat16", 20), ("int8", 20)):  # of int8, half is scales: heads are of 4
        engine = small_pages(tiny("llama"), memory=10 * PAGE_BYTES + 17, cache=cache)
        memory = engine._memory
        assert isinstance(memory, PagedMemory)
        assert sum(tensor.nbytes for tensor in memory.pool.tensors) == 10 * PAGE_BYTES
        assert engine.stats().pages.budget == 10 * PAGE_BYTES
        assert engine.stats().pages.free == pages


def test_at_every_step_pages_are_used_kept_or_free_and_none_is_lost() -> None:
    engine = engine_of(pages=14)
    for request in some_requests(12, random.Random(1)):
        engine.submit(request)
    while engine.busy:
        engine.step()
        pages = engine.stats().pages
        assert pages.used + pages.cached + pages.free == 14
        assert pages.nbytes == (pages.used + pages.cached) * PAGE_BYTES <= pages.budget
    assert engine.stats().pages.used == 0


def test_memory_returns_to_its_start_after_many_requests() -> None:
    model = tiny("llama", num_hidden_layers=1)
    engine = small_pages(model, max_batch=8)
    chance = random.Random(2)
    sizes = []
    for _ in range(3):
        for _ in range(REQUESTS // 3):
            prompt = [chance.randrange(48) for _ in range(chance.randint(1, 20))]
            id = engine.submit(Request(prompt, max_new_tokens=chance.randint(1, 4)))
            if chance.random() < 0.1:
                engine.cancel(id)
            engine.step()
        while engine.busy:
            engine.step()
        sizes.append(_resident())
    stats = engine.stats()
    assert (stats.running, stats.waiting, stats.pages.used) == (0, 0, 0)
    engine.forget_prefixes()
    assert engine.stats().pages.free == 8 * 64 // PAGE
    assert sizes[-1] - sizes[0] < 8 * 2**20


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_request_that_could_never_fit_is_refused_with_what_to_try() -> None:
    engine = engine_of(pages=3)
    engine.submit(Request([1] * 8, max_new_tokens=5))  # the last token is never read
    with pytest.raises(
        UsageError,
        match=r"may take 13 tokens, for which 4,096 bytes are needed, and the budget holds 3,072; raise memory, sh",
    ):
        engine.submit(Request([1] * 8, max_new_tokens=6))
    with pytest.raises(UsageError, match=f"memory=100 bytes hold no page of 4 tokens, which takes {PAGE_BYTES}"):
        small_pages(tiny("llama"), memory=100)


def test_memory_that_the_system_does_not_give_is_an_error_of_its_own() -> None:
    with pytest.raises(ResourceError, match=r"the system gives no .* bytes for keys and values; set memory lower"):
        small_pages(tiny("llama"), memory=2**58)


def test_parts_of_prompts_are_units_of_whole_pages() -> None:
    with pytest.raises(UsageError, match="unit=6: prompts are read in whole pages of 4 tokens; give a multiple"):
        small_pages(tiny("llama"), unit=6)


@pytest.mark.parametrize("setting", [{"cache": "int8"}, {"memory": 1 << 20}])
def test_a_model_that_remembers_otherwise_has_no_pages(setting: dict[str, Any]) -> None:
    (name,) = setting
    with pytest.raises(UsageError, match=f"{name} = .* keep keys and values alone, and LSTM remembers otherwise"):
        Engine(tiny("lstm"), **setting)


def test_a_long_prompt_is_read_in_parts_while_others_are_answered() -> None:
    engine = engine_of(pages=40, max_prefill_tokens=UNIT)
    first = engine.submit(Request([5], max_new_tokens=20))
    engine.step()
    second = engine.submit(Request(list(range(30)), max_new_tokens=2))
    emitted = [[emission.id for emission in engine.step()] for _ in range(5)]
    assert emitted == [[first], [first], [first], [first, second], [first, second]]


def test_a_prompt_that_begins_as_one_before_is_read_from_there_on() -> None:
    engine = engine_of(pages=60)
    stem = list(range(20))
    answers(engine, [Request([*stem, 40], max_new_tokens=2)])
    assert engine.stats().prefix_hits == 0
    assert engine.stats().pages.cached == 2 * UNIT // PAGE  # of 21 tokens two units are whole
    answers(engine, [Request([*stem, 41, 42], max_new_tokens=2)])
    assert engine.stats().prefix_hits == 2 * UNIT
    answers(engine, [Request(stem[: 2 * UNIT], max_new_tokens=2)])
    assert engine.stats().prefix_hits == 3 * UNIT, "the last token is always read, for its logits"


def test_only_prompts_with_the_same_salt_share_what_was_read() -> None:
    engine = engine_of(pages=60)
    prompt = list(range(20))
    for salt in ("one", "other", ""):
        answers(engine, [Request(prompt, max_new_tokens=1, salt=salt)])
    assert engine.stats().prefix_hits == 0
    answers(engine, [Request(prompt, max_new_tokens=1, salt="one")])
    assert engine.stats().prefix_hits == 2 * UNIT


def test_what_was_kept_gives_way_to_requests_and_the_longest_unused_first() -> None:
    engine = engine_of(pages=9)
    old, new = ([start + offset for offset in range(17)] for start in (0, 20))
    for prompt in (old, new):  # four pages of each are kept
        answers(engine, [Request(prompt, max_new_tokens=1)])
    assert engine.stats().pages.cached == 8
    answers(engine, [Request([47] * 9, max_new_tokens=1)])  # takes the one free page, and two of the old prompt
    hits = []
    for prompt in (new, old):
        before = engine.stats().prefix_hits
        answers(engine, [Request(prompt, max_new_tokens=1)])
        hits.append(engine.stats().prefix_hits - before)
    assert hits == [2 * UNIT, UNIT]


def test_answers_to_one_prompt_share_its_pages_until_they_part() -> None:
    engine = engine_of(pages=40)
    prompt = list(range(10))  # three pages, the last of them half full
    for choice in range(4):
        engine.submit(Request(prompt, max_new_tokens=5, rules=DRAWN, choice=choice))
    assert len(engine.step()) == 4
    assert engine.stats().pages.used == 3
    engine.step()
    assert engine.stats().pages.used == 2 + 4, "each writes on in a copy of the last page"


@pytest.mark.parametrize("name", ["llama", "t5", "gru"])
def test_who_shares_a_prompt_answers_as_if_alone_and_may_be_cancelled_or_outlive_the_reader(name: str) -> None:
    model = tiny(name)
    requests = [Request(list(range(20)), max_new_tokens=5, rules=DRAWN, choice=choice) for choice in range(4)]
    expected = [answers(small_pages(model), [request])[0] for request in requests]
    for gone in range(4):
        engine = small_pages(model, max_prefill_tokens=UNIT)
        ids = [engine.submit(request) for request in requests]
        found: dict[int, list[Any]] = {id: [] for id in ids}
        while engine.busy:
            for emission in engine.step():
                found[emission.id].append(told(emission))
            engine.cancel(ids[gone])
        assert [found[id] for id in ids if id != ids[gone]] == [a for i, a in enumerate(expected) if i != gone]
        assert engine.stats().pages.used == 0


@pytest.mark.parametrize("seed", range(3))
def test_requests_may_be_cancelled_at_any_moment(seed: int) -> None:
    chance = random.Random(seed)
    model = tiny("llama")
    requests = some_requests(10, chance)
    expected = answers(small_pages(model), requests)
    engine = small_pages(model, memory=16 * PAGE_BYTES, max_batch=4, max_prefill_tokens=UNIT)
    ids = [engine.submit(request) for request in requests]
    found: dict[int, list[Any]] = {id: [] for id in ids}
    gone: set[int] = set()
    while engine.busy:
        if chance.random() < 0.3:
            id = chance.choice(ids)
            gone.add(id)
            engine.cancel(id)
        for emission in engine.step():
            found[emission.id].append(told(emission))
    for id, answer in zip(ids, expected, strict=True):
        assert found[id] == answer[: len(found[id])]
        assert id in gone or found[id] == answer
    assert engine.stats().pages.used == 0


def test_requests_of_lower_priority_number_go_first_and_take_the_memory_they_need() -> None:
    engine = engine_of(pages=9, max_batch=2)
    late, soon, now = (Request([n] * 16, max_new_tokens=8, priority=n) for n in (2, 1, 0))
    ends: list[int] = []
    ids = [engine.submit(late)]
    engine.step()
    ids += [engine.submit(soon), engine.submit(now)]
    while engine.busy:
        ends += [emission.id for emission in engine.step() if emission.finish]
    assert ends == [ids[2], ids[1], ids[0]]
    assert engine.stats().preemptions > 0


def test_who_goes_first_does_not_wait_for_another_who_reads_the_same_prompt() -> None:
    engine = engine_of(pages=60, max_prefill_tokens=UNIT)
    prompt = list(range(4 * UNIT))
    slow = engine.submit(Request(prompt, max_new_tokens=1, priority=2))
    engine.step()
    middle = engine.submit(Request([7] * 2 * UNIT, max_new_tokens=1, priority=1))
    first = engine.submit(Request(prompt, max_new_tokens=1, priority=0))
    ends: list[int] = []
    while engine.busy:
        ends += [emission.id for emission in engine.step()]
    assert ends == [first, middle, slow]


def test_of_the_same_priority_the_first_to_come_is_never_stopped_by_later_ones() -> None:
    engine = engine_of(pages=8)
    ids = [engine.submit(Request([n + 1] * 8, max_new_tokens=16)) for n in range(4)]
    times: dict[int, list[int]] = {id: [] for id in ids}
    step = 0
    while engine.busy:
        for emission in engine.step():
            times[emission.id].append(step)
        step += 1
    assert times[ids[0]] == list(range(16))
    assert engine.stats().preemptions > 0


def test_pages_that_no_window_sees_any_longer_are_free_again() -> None:
    model = tiny("mistral", max_position_embeddings=256)
    engine = small_pages(model)
    engine.submit(Request([1, 2, 3], max_new_tokens=120))
    used = []
    while engine.busy:
        engine.step()
        used.append(engine.stats().pages.used)
    assert max(used) <= 11 // PAGE + 2


def test_each_request_is_answered_with_its_adapter_and_all_share_the_weights() -> None:
    base = tiny("llama")
    adapters = {}
    for name in ("one", "two"):
        adapters[name] = view_of(base)
        parts = draw(adapters[name], [place for place in targets_in(base) if "proj" in place], Form(2, 8.0))
        for part in parts.values():
            torch.nn.init.normal_(part.lora_B, std=0.5)
        attach(adapters[name], parts)
    requests = [
        Request(list(range(12)), max_new_tokens=6, adapter=name, choice=choice)
        for choice, name in enumerate((None, "one", "two", "one", None))
    ]
    alone = [
        answers(small_pages(base if request.adapter is None else adapters[request.adapter]), [bare])[0]
        for request in requests
        for bare in [Request(request.prompt, request.max_new_tokens)]
    ]
    engine = small_pages(base, adapters=adapters)
    assert answers(engine, requests) == alone
    assert answers(engine, requests) == alone
    assert len({tuple(tokens(answer)) for answer in alone}) == 3
    pointers = {weight.data_ptr() for weight in base.parameters()}
    assert pointers <= {weight.data_ptr() for weight in adapters["one"].parameters()}
    with pytest.raises(UsageError, match="no adapter 'ones': did you mean one"):
        engine.submit(Request([1], max_new_tokens=1, adapter="ones"))
    with pytest.raises(UsageError, match="no adapter 'one': this engine has none"):
        small_pages(base).submit(Request([1], max_new_tokens=1, adapter="one"))
