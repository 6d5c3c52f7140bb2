"""Clients that leave, clients that stall, and an engine that is killed."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from serving.servers import Server, is_ready, real
from serving.under_load import OPEN, asked
from serving.wire import HOST, Connection, percentile

STEADY_SECONDS = 12.0
SLOW_SECONDS = 0.25
"""By when the place of a client that left must be free."""


async def _metric(port: int, name: str) -> float:
    body = (await Connection(port).ask("/metrics")).body.decode()
    return sum(float(line.rpartition(" ")[2]) for line in body.splitlines() if line.startswith(name))


async def _freed(port: int, patience: float) -> float:
    """Seconds until nothing runs or waits; more than `patience` where that does not come."""
    begin = time.perf_counter()
    while time.perf_counter() - begin < patience:
        if await _metric(port, "requests_running") + await _metric(port, "requests_waiting") == 0:
            return time.perf_counter() - begin
        await asyncio.sleep(0.01)
    return patience * 2


async def _leave(port: int, body: dict[str, Any], after: float) -> None:
    connection = Connection(port)
    task = asyncio.create_task(connection.ask("/v1/completions", body))
    await asyncio.sleep(after)
    connection.close()
    task.cancel()
    with suppress(asyncio.CancelledError, OSError, EOFError):
        await task


def disconnects(models: Sequence[str], model: str, log: Path, trials: int) -> dict[str, Any]:
    """Clients that hang up while they wait, while their prompt is read, and while they are answered; streams or not."""
    found: dict[str, list[float]] = {}
    with real(models, *OPEN, "engine.max_batch=4", log=log) as server:
        asyncio.run(Connection(server.port).ask("/v1/completions", asked(model, 0)))
        for trial in range(trials):
            stage = ("queue", "prefill", "decode")[trial % 3]
            body = asked(model, trial, words=1500 if stage == "prefill" else 12, tokens=400, stream=trial % 2 == 0)
            found.setdefault(stage, []).append(asyncio.run(_trial(server.port, model, stage, body)))
    waits = [each for row in found.values() for each in row]
    return {
        "trials": len(waits),
        "in_time": sum(each <= SLOW_SECONDS for each in waits),
        "p99_seconds": percentile(waits, 0.99),
        **{f"{stage}_p50_seconds": percentile(row, 0.5) for stage, row in found.items()},
    }


async def _trial(port: int, model: str, stage: str, body: dict[str, Any]) -> float:
    if stage != "queue":
        await _leave(port, body, 0.05 if stage == "prefill" else 0.3)
        return await _freed(port, 5.0)
    runners = [Connection(port) for _ in range(4)]
    tasks = [
        asyncio.create_task(runner.ask("/v1/completions", asked(model, 7000 + number, tokens=400)))
        for number, runner in enumerate(runners)
    ]
    await asyncio.sleep(0.2)
    await _leave(port, body, 0.1)
    begin, patience = time.perf_counter(), 5.0
    while await _metric(port, "requests_waiting") > 0 and time.perf_counter() - begin < patience:
        await asyncio.sleep(0.01)
    seconds = time.perf_counter() - begin
    for runner, task in zip(runners, tasks, strict=True):
        runner.close()
        task.cancel()
    with suppress(asyncio.CancelledError, OSError, EOFError):
        await asyncio.gather(*tasks, return_exceptions=True)
    await _freed(port, patience)
    return seconds


def slow_clients(models: Sequence[str], model: str, log: Path, seconds: float) -> dict[str, float]:
    """500 clients that send a byte a second and 200 that read nothing, beside one that behaves."""
    with real(models, *OPEN, log=log) as server:
        alone = asyncio.run(_healthy(server.port, model, seconds / 4))
        beside = asyncio.run(_beside_slow(server.port, model, seconds))
        return {
            "alone_p99_seconds": percentile(alone, 0.99),
            "beside_p99_seconds": percentile(beside, 0.99),
            "ratio": percentile(beside, 0.99) / percentile(alone, 0.99),
        }


async def _healthy(port: int, model: str, seconds: float) -> list[float]:
    end, found = time.perf_counter() + seconds, []
    connection, turn = Connection(port), 0
    while time.perf_counter() < end:
        reply = await connection.ask("/v1/completions", asked(model, 90_000 + turn, tokens=8))
        assert reply.status == 200, reply.body
        found.append(reply.seconds)
        turn += 1
    connection.close()
    return found


async def _beside_slow(port: int, model: str, seconds: float) -> list[float]:
    tasks = [asyncio.create_task(_trickle(port, seconds)) for _ in range(500)]
    tasks += [asyncio.create_task(_stall(port, model, number, seconds)) for number in range(200)]
    await asyncio.sleep(1.0)
    found = await _healthy(port, model, seconds - 2)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return found


async def _trickle(port: int, seconds: float) -> None:
    """A request that never gets ready: a byte of a header each second."""
    _, writer = await asyncio.open_connection(HOST, port)
    try:
        writer.write(b"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ")
        for _ in range(int(seconds)):
            writer.write(b"a")
            await writer.drain()
            await asyncio.sleep(1.0)
    except OSError:
        pass
    finally:
        writer.transport.abort()


async def _stall(port: int, model: str, number: int, seconds: float) -> None:
    """A stream of which nothing is read."""
    connection = Connection(port)
    try:
        reader, _ = await connection.open()
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        async for _ in connection.stream("/v1/completions", asked(model, 50_000 + number, tokens=8, stream=True)):
            pass
        await asyncio.sleep(seconds)
    except (OSError, EOFError):
        pass
    finally:
        connection.close()


def engine_killed(models: Sequence[str], model: str, log: Path, times: int) -> dict[str, float]:
    """kill -9 of the engine's process in the middle of streams: what they are told, and when it is ready again."""
    told, ready = 0, []
    with real(models, *OPEN, log=log) as server:
        asyncio.run(Connection(server.port).ask("/v1/completions", asked(model, 0)))
        for _ in range(times):
            told += asyncio.run(_killed(server, model))
            begin = time.perf_counter()
            while not is_ready(server.port):
                time.sleep(0.05)
            ready.append(time.perf_counter() - begin)
            time.sleep(STEADY_SECONDS)  # kills one upon the other would measure the pause that grows with them
    return {
        "streams": 4 * times,
        "streams_told": told,
        "ready_p50_seconds": percentile(ready, 0.5),
        "worst_seconds": max(ready),
    }


async def _killed(server: Server, model: str) -> int:
    """How many of four streams ended with an error that says so."""
    bodies = [asked(model, number, tokens=400, stream=True) for number in range(4)]
    tasks = [asyncio.create_task(Connection(server.port).ask("/v1/completions", body)) for body in bodies]
    await asyncio.sleep(0.5)
    for pid in server.pids[1:]:
        with suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    replies = await asyncio.gather(*tasks, return_exceptions=True)
    return sum(not isinstance(reply, BaseException) and b'"error"' in reply.body for reply in replies)
