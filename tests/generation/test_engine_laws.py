"""The same answer whatever the neighbours: token for token and logprob for logprob, to the last bit."""

from __future__ import annotations

import os
import random

import pytest
from tests.generation.engines import PAGED, RULES, STATEFUL, answers, small_pages, some_requests, tiny, tokens

from wenlu.generation.engine import Engine, Request
from wenlu.models import LanguageModel

ROUNDS = 4 if os.environ.get("WENLU_PROOF") == "1" else 1
AT_ONCE = 4
"""A round sets four requests of each family beside random neighbours in five ways, six with pages: 220 pairs."""


def pressed(model: LanguageModel, pages: int) -> Engine:
    """An engine with so many pages that its requests get in each other's way."""
    page = small_pages(model).stats().pages
    return small_pages(model, memory=pages * (page.budget // page.free))


@pytest.mark.parametrize("name", [*PAGED, *STATEFUL])
@pytest.mark.parametrize("number", range(ROUNDS))
def test_an_answer_is_the_same_alone_and_beside_others_however_it_is_read(name: str, number: int) -> None:
    chance = random.Random(f"{name} {number}")
    model = tiny(name)
    requests = some_requests(AT_ONCE, chance)
    alone = [answers(small_pages(model, prefix_cache=False), [request])[0] for request in requests]
    order = chance.sample(range(AT_ONCE), AT_ONCE)
    shuffled = answers(small_pages(model, max_batch=3), [requests[place] for place in order], a_step=1)
    caching = small_pages(model)
    assert answers(caching, requests) == alone, "batched"
    assert answers(caching, requests) == alone, "with prefixes that were read before"
    assert [shuffled[order.index(place)] for place in range(AT_ONCE)] == alone, "shuffled"
    assert answers(small_pages(model, max_prefill_tokens=8), requests, a_step=2) == alone, "chunked"
    assert answers(small_pages(model, prefix_cache=False), requests, a_step=3) == alone, "without prefixes"
    if name in PAGED:
        engine = pressed(model, pages=13)
        assert answers(engine, requests, a_step=2) == alone, "under pressure"


@pytest.mark.parametrize("name", PAGED)
def test_preemption_changes_no_answer(name: str) -> None:
    model = tiny(name)
    requests = [
        Request([n + 1] * (7 + n), max_new_tokens=16, rules=RULES[n % 4], seed=n, priority=n % 2) for n in range(5)
    ]
    engine = pressed(model, pages=7)
    assert answers(engine, requests) == answers(small_pages(model), requests)
    assert engine.stats().preemptions > 0


@pytest.mark.parametrize("cache", ["bfloat16", "int8"])
def test_the_laws_hold_for_what_is_kept_in_fewer_bits(cache: str) -> None:
    model = tiny("llama")
    requests = some_requests(6, random.Random(7))
    alone = [answers(small_pages(model, cache=cache), [request])[0] for request in requests]
    engine = small_pages(model, cache=cache, max_prefill_tokens=8)
    assert answers(engine, requests, a_step=2) == alone
    assert answers(engine, requests) == alone


@pytest.mark.parametrize("name", [*PAGED, *STATEFUL])
def test_without_the_law_requests_share_calls_and_answers_stay_but_for_the_last_digits(name: str) -> None:
    model = tiny(name)
    requests = some_requests(6, random.Random(9))
    one_by_one, together = (
        answers(small_pages(model, invariant=invariant), requests, a_step=2) for invariant in (True, False)
    )
    for left, right in zip(one_by_one, together, strict=True):
        assert tokens(left) == tokens(right)
        assert [each[1] for each in left] == pytest.approx([each[1] for each in right], abs=1e-4)
