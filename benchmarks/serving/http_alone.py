"""The HTTP process alone: how many requests and events a second, and what it adds to a token's way."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise
from pathlib import Path

from serving.servers import fixed
from serving.wire import Connection, percentile

CHAT = {"model": "writer", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 8}


async def _requests(port: int, seconds: float, clients: int) -> tuple[int, list[float], int]:
    end = time.perf_counter() + seconds
    taken: list[float] = []
    wrong = 0

    async def client() -> None:
        nonlocal wrong
        connection = Connection(port)
        while time.perf_counter() < end:
            reply = await connection.ask("/v1/chat/completions", CHAT)
            taken.append(reply.seconds)
            wrong += reply.status != 200
        connection.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    return len(taken), taken, wrong


def requests_a_second(log: Path, seconds: float) -> dict[str, float]:
    """Answers of eight tokens that are there at once, to sixteen clients that ask again and again."""
    with fixed("limits.concurrent=1000", "limits.per_minute=1000000", log=log) as server:
        asyncio.run(_requests(server.port, 1.0, 16))
        begin, used = time.perf_counter(), server.cpu_seconds()
        count, taken, wrong = asyncio.run(_requests(server.port, seconds, 16))
        spent = time.perf_counter() - begin
        return {
            "a_second": count / spent,
            "p99_seconds": percentile(taken, 0.99),
            "wrong": wrong,
            "cpu_share": (server.cpu_seconds() - used) / spent,
        }


async def _streams(port: int, streams: int, tokens: int) -> tuple[list[list[float]], float]:
    body = {**CHAT, "stream": True, "max_tokens": tokens}
    begin = time.perf_counter()

    async def one() -> list[float]:
        connection = Connection(port)
        reply = await connection.ask("/v1/chat/completions", body)
        connection.close()
        assert reply.status == 200, reply.body
        return reply.times

    found = await asyncio.gather(*(one() for _ in range(streams)))
    return found, time.perf_counter() - begin


def events_a_second(log: Path, tokens: int) -> dict[str, float]:
    """Over 256 streams at once, each of `tokens` that are there at once."""
    with fixed("limits.concurrent=1000", "limits.waiting=1000", "limits.per_minute=1000000", log=log) as server:
        asyncio.run(_streams(server.port, 16, 8))
        times, seconds = asyncio.run(_streams(server.port, 256, tokens))
        return {"a_second": sum(map(len, times)) / seconds, "streams": 256, "seconds": seconds}


def added_to_a_token(log: Path, seconds: float) -> dict[str, float]:
    """How late a token comes at 64 streams of 20 tokens a second, behind the beat of the engine."""
    tokens = int(seconds * 20)
    settings = ("limits.concurrent=1000", "limits.waiting=1000", "limits.per_minute=1000000")
    with fixed("token_seconds=0.05", *settings, log=log) as server:
        asyncio.run(_streams(server.port, 4, 8))
        times, _ = asyncio.run(_streams(server.port, 64, tokens))
    late = [gap - 0.05 for row in times for gap in _gaps(row)]
    return {"p50_seconds": percentile(late, 0.5), "p99_seconds": percentile(late, 0.99), "tokens": len(late)}


def _gaps(times: list[float]) -> list[float]:
    return [after - before for before, after in pairwise(times[1:-1])]
