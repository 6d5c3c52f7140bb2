"""A client that hangs up frees its place within a quarter of a second, whatever was being done for it."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable

import pytest
from tests.server.fixed_engine import FixedEngine
from tests.server.live import Live, live

from wenlu.server.dialects import DIALECTS
from wenlu.server.settings import Limits

TRIALS = 34 if os.environ.get("WENLU_PROOF") == "1" else 2
"""Of each of six kinds: 204 in the proof."""
ALLOWED_SECONDS = 0.25
CHAT = {"model": "writer", "messages": [{"role": "user", "content": "Once upon a time"}]}
MESSAGE = {**CHAT, "max_tokens": 9}


def _ask(server: Live, path: str, body: dict[str, object]) -> Callable[[], None]:
    client = server.connect()
    data = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {len(data)}"
    client.sendall(head.encode() + b"\r\n\r\n" + data)
    return client.close


def _wait(condition: Callable[[], object], seconds: float = 10.0) -> float:
    """How long it took to become true."""
    begun = time.perf_counter()
    while not condition():
        assert time.perf_counter() - begun < seconds, "it did not happen"
        time.sleep(0.001)
    return time.perf_counter() - begun


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("stage", ["queue", "prefill", "decode"])
def test_who_hangs_up_frees_its_place(stage: str, stream: bool) -> None:
    engine = FixedEngine(prefill_seconds=60 if stage == "prefill" else 0, token_seconds=60)
    draw = random.Random(0)
    held = int(stage == "queue")
    with live(engine, Limits(drain_seconds=0.1), dialects=DIALECTS, places=1) as server:
        if stage == "queue":
            hold = _ask(server, "/v1/chat/completions", dict(CHAT))
            _wait(lambda: engine.running)

        def is_free() -> bool:
            admission = server.served.admission
            return (admission.running, admission.waiting, len(engine.running)) == (held, 0, held)

        for _ in range(TRIALS):
            path, body = draw.choice([("/v1/chat/completions", CHAT), ("/v1/messages", MESSAGE)])
            before = len(engine.asked)
            leave = _ask(server, path, {**body, "stream": stream})
            if stage == "queue":
                _wait(lambda: server.served.admission.waiting)
            else:
                _wait(lambda before=before: len(engine.asked) > before)  # type: ignore[misc]
            time.sleep(draw.uniform(0, 0.05))
            leave()
            assert _wait(is_free) < ALLOWED_SECONDS
        assert stage in set(engine.cancelled.values()) | {"queue"}
        if stage == "queue":
            assert len(engine.asked) == 1, "who left the queue never reached the engine"
            hold()
            _wait(lambda: not engine.running)


def test_an_explanation_that_is_left_is_given_up_and_those_that_wait_take_nobody_s_place() -> None:
    why = {"model": "judge", "input": "not bad"}
    engine = FixedEngine(prefill_seconds=60, token_seconds=0)
    with live(engine, Limits(drain_seconds=0.1), dialects=DIALECTS, places=2) as server:
        first = _ask(server, "/v1/explain", dict(why))
        _wait(lambda: len(engine.running) == 1)
        second = _ask(server, "/v1/explain", dict(why))
        _wait(lambda: server.served.explanations.waiting)
        other = _ask(server, "/v1/classify", dict(why))
        _wait(lambda: len(engine.asked) == 2)
        assert [type(asked).__name__ for asked in engine.asked] == ["Explain", "Answer"]
        first()
        assert _wait(lambda: [type(asked).__name__ for asked in engine.asked][2:] == ["Explain"]) < ALLOWED_SECONDS
        assert engine.cancelled == {1: "prefill"}
        second()
        other()
        _wait(lambda: not engine.running)
        assert (server.served.explanations.running, server.served.admission.running) == (0, 0)
