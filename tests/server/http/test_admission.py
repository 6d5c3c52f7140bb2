"""Places at the engine: bounded, in order, and always given back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.server.asgi import until
from tests.server.fixed_engine import FixedEngine

from wenlu.server.http.admission import Admission
from wenlu.server.http.alarm import Alarm
from wenlu.server.http.errors import ApiError
from wenlu.server.http.gateway import Caller
from wenlu.server.http.rates import Rates
from wenlu.server.http.served import Served
from wenlu.server.messages import Answer, Delta, Done, Event, Generate, TextPrompt
from wenlu.server.settings import Limits

ANSWER = Answer(id=1, model="judge", ability="classify", examples=({"text": "fine"},))
ALICE = Caller("alice", frozenset({"infer"}), "request-1")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def _hold(admission: Admission, done: asyncio.Event, answers: int = 1, tokens: int = 10) -> None:
    async with admission.place(answers, tokens):
        await done.wait()


def _generate(served: Served, **settings: object) -> Generate:
    return Generate(id=served.next_id(), model="writer", prompt=TextPrompt("Once upon"), **settings)  # type: ignore[arg-type]


async def _collect(events: AsyncIterator[Event]) -> list[Event]:
    async with aclosing(events) as opened:  # type: ignore[type-var]
        return [event async for event in opened]


def test_what_finds_no_place_waits_its_turn_and_what_finds_no_room_is_told_when_to_come_again() -> None:
    async def run() -> None:
        clock, done = Clock(), asyncio.Event()
        admission = Admission(Limits(waiting=2), places=1, clock=clock)
        holding = [asyncio.create_task(_hold(admission, done)) for _ in range(3)]
        await asyncio.sleep(0)
        assert (admission.running, admission.waiting, admission.waiting_tokens) == (1, 2, 20)
        assert admission.is_full
        with pytest.raises(ApiError, match="2 requests are waiting") as refused:
            await _hold(admission, done)
        assert refused.value.status == 429
        assert refused.value.headers["retry-after-ms"] == "2000"  # nothing has ended yet
        done.set()
        await asyncio.gather(*holding)
        assert (admission.running, admission.waiting) == (0, 0)

    asyncio.run(run())


def test_the_time_to_come_again_is_measured() -> None:
    async def run() -> None:
        clock, done = Clock(), asyncio.Event()
        done.set()
        admission = Admission(Limits(), places=1, clock=clock)
        for _ in range(4):
            await _hold(admission, done)
            clock.now += 0.5
        assert admission.retry_after == pytest.approx(0.5)  # nobody waits: one more, at two a second

    asyncio.run(run())


def test_long_prompts_fill_the_queue_too_but_one_alone_may_always_wait() -> None:
    async def run() -> None:
        done = asyncio.Event()
        admission = Admission(Limits(waiting_tokens=100), places=1)
        holding = [asyncio.create_task(_hold(admission, done, tokens=count)) for count in (5, 5000)]
        await asyncio.sleep(0)
        assert admission.waiting == 1
        with pytest.raises(ApiError, match="about 5000 tokens are waiting"):
            await _hold(admission, done, tokens=1)
        done.set()
        await asyncio.gather(*holding)

    asyncio.run(run())


def test_who_waits_too_long_is_told_so() -> None:
    async def run() -> None:
        done = asyncio.Event()
        admission = Admission(Limits(wait_seconds=0.02), places=1)
        first = asyncio.create_task(_hold(admission, done))
        await asyncio.sleep(0)
        with pytest.raises(ApiError, match="no place within") as refused:
            await _hold(admission, done)
        assert (refused.value.status, refused.value.code) == (503, "queue_timeout")
        assert admission.waiting == 0
        done.set()
        await first

    asyncio.run(run())


def test_a_server_that_stops_lets_nobody_in() -> None:
    admission = Admission(Limits(), places=1)
    admission.closed = True
    with pytest.raises(ApiError, match="stopping"):
        asyncio.run(_hold(admission, asyncio.Event()))


STEPS = st.lists(
    st.tuples(st.sampled_from(["come", "leave", "end"]), st.integers(0, 20), st.integers(1, 6)), max_size=60
)


@settings(max_examples=60)
@given(STEPS)
def test_places_are_never_exceeded_nor_lost(steps: list[tuple[str, int, int]]) -> None:
    async def run() -> None:
        admission = Admission(Limits(waiting=5), places=4)
        tasks: list[tuple[asyncio.Task[None], asyncio.Event]] = []
        for what, which, answers in steps:
            if what == "come":
                done = asyncio.Event()
                tasks.append((asyncio.create_task(_hold(admission, done, answers)), done))
            elif tasks:
                task, done = tasks[which % len(tasks)]
                task.cancel() if what == "leave" else done.set()
            if which % 2:
                await asyncio.sleep(0)
            assert 0 <= admission._taken <= 4
            assert admission.waiting <= 5
        for _, done in tasks:
            done.set()
        await asyncio.gather(*(task for task, _ in tasks), return_exceptions=True)
        assert (admission._taken, admission.waiting, admission.running) == (0, 0, 0)

    asyncio.run(run())


@pytest.mark.parametrize("stage", ["queue", "prefill", "decode"])
def test_who_leaves_frees_its_place_and_is_counted(stage: str) -> None:
    async def run() -> None:
        engine = FixedEngine(prefill_seconds=60 if stage == "prefill" else 0, token_seconds=60)
        served = Served(engine, Limits(), places=1)
        holding = asyncio.create_task(_hold(served.admission, asyncio.Event(), answers=int(stage == "queue")))
        await asyncio.sleep(0)
        task = asyncio.create_task(_collect(served.generate(ALICE, _generate(served))))
        await asyncio.sleep(0.02)
        assert (served.admission.waiting, len(engine.running)) == ((1, 0) if stage == "queue" else (0, 1))
        task.cancel()
        await until(lambda: not engine.running and not served.admission.waiting, seconds=0.25)
        await asyncio.gather(task, return_exceptions=True)
        holding.cancel()
        assert f'cancelled_total{{stage="{stage}"}} 1.0' in served.metrics.text().decode()

    asyncio.run(run())


def test_an_answer_ends_with_length_at_its_deadline() -> None:
    async def run() -> None:
        served = Served(FixedEngine(["a"] * 100, token_seconds=0.02), Limits(answer_seconds=0.05), grace_seconds=0.05)
        events = await _collect(served.generate(ALICE, _generate(served, n=2)))
        ends = [event for event in events if isinstance(event, Delta) and event.finish]
        assert [(end.choice, end.finish, end.deadline) for end in ends] == [(0, "length", True), (1, "length", True)]
        assert isinstance(events[-1], Done)
        assert served.link.asked[0].deadline_seconds == 0.05  # type: ignore[attr-defined]

    asyncio.run(run())


@pytest.mark.parametrize("kind", ["generate", "ask"])
def test_what_has_not_begun_by_its_deadline_is_a_refusal(kind: str) -> None:
    async def run() -> None:
        served = Served(FixedEngine(prefill_seconds=60), Limits(answer_seconds=0.02), grace_seconds=0.01)
        with pytest.raises(ApiError, match=r"nothing was answered within 0\.02 seconds") as late:
            await (served.ask(ALICE, ANSWER) if kind == "ask" else _collect(served.generate(ALICE, _generate(served))))
        assert late.value.status == 503
        assert not served.link.running  # type: ignore[attr-defined]

    asyncio.run(run())


@pytest.mark.parametrize("kind", ["generate", "ask"])
def test_an_engine_that_is_gone_is_a_503_that_may_be_asked_again(kind: str) -> None:
    async def run() -> None:
        engine = FixedEngine()
        engine.broken.set()
        served = Served(engine, Limits())
        with pytest.raises(ApiError, match="the engine broke") as gone:
            await (served.ask(ALICE, ANSWER) if kind == "ask" else _collect(served.generate(ALICE, _generate(served))))
        assert gone.value.headers["x-should-retry"] == "true"
        assert served.admission.running == 0

    asyncio.run(run())


def test_no_key_shares_what_another_one_s_prompts_left() -> None:
    async def run() -> None:
        served = Served(FixedEngine(), Limits())
        salts = []
        for caller in (ALICE, Caller("bob", frozenset(), "2"), Caller("", frozenset(), "3")):
            await _collect(served.generate(caller, _generate(served, salt="own")))
            salts.append(served.link.asked[-1].salt)  # type: ignore[attr-defined]
        assert salts == ["alice/own", "bob/own", "own"]

    asyncio.run(run())


def test_a_key_may_ask_so_often_in_a_minute_and_so_many_at_a_time() -> None:
    clock = Clock()
    rates = Rates(Limits(per_minute=2, concurrent=2), clock=clock)
    with rates.counted("alice") as headers, rates.counted("alice"):
        assert headers["x-ratelimit-limit-requests"] == "2"
        assert headers["x-ratelimit-remaining-requests"] == "1"
        assert headers["x-ratelimit-reset-requests"] == "30.000s"
        with pytest.raises(ApiError, match="2 requests of this key run"), rates.counted("alice"):
            pass
        with rates.counted("bob"), rates.counted(""):
            pass
    with pytest.raises(ApiError, match="asked 2 times within a minute") as refused, rates.counted("alice"):
        pass
    assert refused.value.headers["retry-after"] == "30"
    assert refused.value.headers["x-ratelimit-remaining-requests"] == "0"
    clock.now += 30
    with rates.counted("alice"):
        pass


def test_tokens_are_paid_afterwards_and_an_overdraft_is_waited_for() -> None:
    clock = Clock()
    rates = Rates(Limits(tokens_per_minute=600), clock=clock)
    with rates.counted("alice"):
        rates.pay("alice", 700)
    with pytest.raises(ApiError, match="used 600 tokens") as refused, rates.counted("alice"):
        pass
    assert refused.value.headers["retry-after-ms"] == "10100"  # 101 tokens at ten a second
    clock.now += 10.2
    with rates.counted("alice") as headers:
        assert headers["x-ratelimit-remaining-tokens"] == "2"


def test_a_key_pays_for_prompt_and_answer() -> None:
    async def run() -> None:
        served = Served(FixedEngine(["a"] * 6), Limits(tokens_per_minute=600))
        await _collect(served.generate(ALICE, _generate(served)))
        with served.rates.counted("alice") as headers:
            assert headers["x-ratelimit-remaining-tokens"] == str(600 - len("Once upon") - 6)

    asyncio.run(run())


def test_models_of_metrics_are_those_that_are_served() -> None:
    async def run() -> None:
        served = Served(FixedEngine(), Limits())
        for model in ("writer", 'x",evil="1'):
            await _collect(served.generate(ALICE, Generate(id=1, model=model, prompt=TextPrompt("ab"))))
        text = served.metrics.text().decode()
        assert 'prompt_tokens_total{model="writer"} 2.0' in text
        assert 'prompt_tokens_total{model="unknown"} 2.0' in text
        assert 'generation_tokens_total{model="writer"} 5.0' in text
        assert 'time_to_first_token_seconds_count{model="writer"} 1.0' in text
        assert 'inter_token_latency_seconds_count{model="writer"} 4.0' in text
        assert "evil" not in text
        assert "engine_up 1.0" in text

    asyncio.run(run())


def test_an_alarm_ends_what_waits_and_what_would_but_nothing_between() -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        with Alarm(loop.time() + 0.03) as alarm:
            assert await alarm.wait(lambda: asyncio.sleep(0, "quick")) == "quick"
            with pytest.raises(TimeoutError):
                await alarm.wait(lambda: asyncio.sleep(60))
            await asyncio.sleep(0.001)
            with pytest.raises(TimeoutError):
                await alarm.wait(lambda: asyncio.sleep(0))
        with Alarm(loop.time() + 0.01) as alarm:
            await asyncio.sleep(0.03)  # it rings while nothing waits under it
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0

    asyncio.run(run())


def test_an_alarm_lets_a_cancellation_from_outside_through() -> None:
    async def run() -> None:
        async def patient() -> None:
            with Alarm(asyncio.get_running_loop().time() + 60) as alarm:
                await alarm.wait(lambda: asyncio.sleep(60))

        task = asyncio.create_task(patient())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
