"""An engine's process comes, answers, breaks and comes again."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from tests.server.asking import byte_tokenizer, tiny_llama

from wenlu.errors import WeightsError
from wenlu.server.link.client import EngineProcess
from wenlu.server.link.engine import EngineGone
from wenlu.server.messages import Delta, Done, Event, Failed, Generate, Rules, Started, TextPrompt, Tokenize, Tokens
from wenlu.server.settings import EngineConfig

starts_often = pytest.mark.skipif(
    os.environ.get("WENLU_PROOF") != "1", reason="a process starts for seconds: WENLU_PROOF=1 runs it"
)
CONFIG = EngineConfig(restart_seconds=0.1, threads=1)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama(tmp_path_factory.mktemp("models") / "tiny", byte_tokenizer(), context=4096)


def running(path: Path, work: Callable[[EngineProcess], Awaitable[Any]], **settings: Any) -> None:
    async def run() -> None:
        link = EngineProcess([("tiny", str(path))], CONFIG, **settings)
        await link.start()
        try:
            await work(link)
        finally:
            await link.close()
        assert link.pid is None

    asyncio.run(run())


def a_text(link: EngineProcess, most: int = 4000) -> Generate:
    return Generate(
        id=link.next_id(),
        model="tiny",
        prompt=TextPrompt("ab"),
        max_tokens=most,
        ignore_end=True,
        rules=Rules(temperature=0),
    )


def test_a_process_answers_is_cancelled_killed_and_answers_again(tiny: Path) -> None:
    async def work(link: EngineProcess) -> None:
        assert [model.name for model in link.models] == ["tiny"]
        events = [event async for event in link.generate(a_text(link, 5))]
        assert isinstance(events[0], Started)
        assert isinstance(events[-1], Done)
        text = "".join(event.text for event in events if isinstance(event, Delta))

        assert link.pid is not None
        for number in (signal.SIGINT, signal.SIGTERM):  # as a terminal or a supervisor sends them to all processes
            os.kill(link.pid, number)
        nobody = Generate(id=link.next_id(), model="nobody", prompt=TextPrompt("a"))
        (failure,) = [event async for event in link.generate(nobody)]
        assert isinstance(failure, Failed)
        assert failure.fault == "model"

        stream = link.generate(a_text(link))
        async for event in stream:
            if isinstance(event, Delta):
                break
        await stream.aclose()
        began = time.monotonic()
        while link.stats is None or link.stats.running or link.stats.generated < 6:
            await asyncio.sleep(0.05)
            assert time.monotonic() - began < 10, "it goes on writing what nobody reads"

        gone: list[str] = []

        async def read() -> None:
            async for _ in link.generate(a_text(link)):
                gone.append("event")

        async def watch() -> None:
            with pytest.raises(EngineGone):
                await read()

        streams = [asyncio.create_task(watch()) for _ in range(3)]
        while len(gone) < 20:
            await asyncio.sleep(0.01)
        first = link.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await asyncio.gather(*streams)
        assert not link.is_ready
        with pytest.raises(EngineGone):
            await link.ask(Tokenize(id=link.next_id(), model="tiny", prompt=TextPrompt("ab")))
        while not link.is_ready:
            await asyncio.sleep(0.05)
        assert (link.restarts, link.pid != first) == (1, True)
        again = [event async for event in link.generate(a_text(link, 5))]
        assert "".join(event.text for event in again if isinstance(event, Delta)) == text
        reply = await link.ask(Tokenize(id=link.next_id(), model="tiny", prompt=TextPrompt("ab")))
        assert isinstance(reply, Tokens)

    running(tiny, work)


@starts_often
def test_a_process_that_hangs_is_ended_and_started_again(tiny: Path) -> None:
    async def work(link: EngineProcess) -> None:
        async def read() -> list[Event]:
            return [event async for event in link.generate(a_text(link))]

        reading = asyncio.create_task(read())
        await asyncio.sleep(0.2)
        assert link.pid is not None
        os.kill(link.pid, signal.SIGSTOP)
        with pytest.raises(EngineGone):
            await reading
        while not link.is_ready:
            await asyncio.sleep(0.05)
        assert link.restarts == 1

    running(tiny, work, silent_seconds=12.0)


@starts_often
def test_what_cannot_be_served_is_said_when_it_starts(tmp_path: Path) -> None:
    async def run() -> None:
        with pytest.raises(WeightsError, match="no such file or folder"):
            await EngineProcess([("x", str(tmp_path / "nothing"))], CONFIG).start()

    asyncio.run(run())


@starts_often
def test_the_process_ends_with_its_parent(tiny: Path) -> None:
    script = (
        "import asyncio, sys\n"
        "from wenlu.server.link.client import EngineProcess\n"
        "from wenlu.server.settings import EngineConfig\n"
        "async def main():\n"
        f"    link = EngineProcess([('tiny', {str(tiny)!r})], EngineConfig(threads=1))\n"
        "    await link.start()\n"
        "    print(link.pid, 'torch' in sys.modules, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid, has_torch = parent.stdout.readline().split()
        parent.kill()
    assert has_torch == "False"
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split(")")[1][:3]:
        assert time.monotonic() < deadline, "it lives on"
        time.sleep(0.05)
