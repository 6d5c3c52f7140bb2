"""A real model behind the server: what many clients get together, and what a prompt that was read before saves."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from serving.servers import Server, real
from serving.wire import Connection, percentile

LONG = 128
"""Tokens of an answer under overload: ten times what can be answered is then less than the clients here can ask."""
OPEN = ("limits.concurrent=100000", "limits.per_minute=10000000")
WORDS = ("harbour", "ferry", "captain", "morning", "island", "letter", "window", "garden", "engine", "river", "market")


def prompt(seed: int, words: int) -> str:
    """Words that share no beginning with those of another seed."""
    chance = random.Random(seed)
    return " ".join(chance.choice(WORDS) for _ in range(words))


def asked(model: str, seed: int, *, words: int = 12, tokens: int = 32, stream: bool = False) -> dict[str, Any]:
    return {
        "model": model,
        "prompt": prompt(seed, words),
        "max_tokens": tokens,
        "temperature": 0,
        "ignore_eos": True,
        "stream": stream,
    }


async def _written(port: int, model: str, clients: int, seconds: float, length: int = 32) -> float:
    """Tokens a second of so many clients that ask again and again for so many."""
    end = time.perf_counter() + seconds
    tokens = 0

    async def client(number: int) -> None:
        nonlocal tokens
        connection, turn = Connection(port), 0
        while time.perf_counter() < end:
            reply = await connection.ask("/v1/completions", asked(model, 1000 * number + turn, tokens=length))
            assert reply.status == 200, reply.body
            tokens += reply.json["usage"]["completion_tokens"]
            turn += 1
        connection.close()

    begin = time.perf_counter()
    await asyncio.gather(*(client(number) for number in range(clients)))
    return tokens / (time.perf_counter() - begin)


def together(models: Sequence[str], model: str, log: Path, seconds: float) -> dict[str, float]:
    """Tokens a second for one client and for sixteen, in turns."""
    with real(models, *OPEN, log=log) as server:
        asyncio.run(_written(server.port, model, 2, 2.0))
        found: dict[int, list[float]] = {1: [], 16: []}
        for _ in range(3):
            for clients, rates in found.items():
                rates.append(asyncio.run(_written(server.port, model, clients, seconds)))
        one, sixteen = (sorted(rates)[1] for rates in found.values())
        return {"one": one, "sixteen": sixteen, "ratio": sixteen / one}


async def _first(port: int, body: dict[str, Any]) -> float:
    connection = Connection(port)
    begin = time.perf_counter()
    first = 0.0
    async for piece in connection.stream("/v1/completions", body):
        if not isinstance(piece, bytes):
            assert piece.status == 200, f"the server answered {piece.status}"
        elif piece.startswith(b"data: {"):
            first = time.perf_counter() - begin
            break
    connection.close()
    return first


def read_before(models: Sequence[str], model: str, log: Path, words: int) -> dict[str, float]:
    """Seconds to the first token of a long prompt, the first time and the second."""
    cold, warm = [], []
    with real(models, *OPEN, log=log) as server:
        asyncio.run(_first(server.port, asked(model, 1, stream=True)))
        for turn in range(3):
            body = asked(model, 100 + turn, words=words, tokens=4, stream=True)
            for seconds in (cold, warm):
                seconds.append(asyncio.run(_first(server.port, body)))
                time.sleep(0.5)
    middle = sorted(cold)[1], sorted(warm)[1]
    return {"cold_seconds": middle[0], "warm_seconds": middle[1], "share": middle[1] / middle[0]}


async def _offered(port: int, model: str, rate: float, seconds: float) -> tuple[list[float], list[float], list[int]]:
    """Requests that arrive `rate` times a second whether or not others were answered: seconds of those that were
    answered, of those that were refused, and what else was said."""
    good: list[float] = []
    refused: list[float] = []
    others: list[int] = []

    async def one(number: int) -> None:
        connection = Connection(port)
        try:
            reply = await connection.ask("/v1/completions", asked(model, number, tokens=LONG))
        except (OSError, EOFError):
            others.append(0)
            return
        finally:
            connection.close()
        if reply.status == 200:
            good.append(reply.seconds)
        elif reply.status == 429:
            refused.append(reply.seconds)
        else:
            others.append(reply.status)

    begin, tasks = time.perf_counter(), []
    for number in range(int(rate * seconds)):
        await asyncio.sleep(max(0.0, begin + number / rate - time.perf_counter()))
        tasks.append(asyncio.create_task(one(number)))
    await asyncio.gather(*tasks)
    return good, refused, others


def overloaded(models: Sequence[str], model: str, log: Path, seconds: float, *settings: str) -> dict[str, float]:
    """Ten times as many requests as it can answer: what it still answers, how soon it refuses, what memory it takes,
    and how soon a single client is served as before."""
    with real(models, *OPEN, *settings, log=log) as server:
        asyncio.run(_written(server.port, model, 4, 2.0))
        capacity = asyncio.run(_written(server.port, model, 16, min(10.0, seconds), LONG)) / LONG  # answers a second
        before = server.resident_bytes()
        begin = time.perf_counter()
        good, refused, others = asyncio.run(_offered(server.port, model, 10 * capacity, seconds))
        spent = time.perf_counter() - begin
        after = server.resident_bytes()
        begin = time.perf_counter()
        connection_status = asyncio.run(Connection(server.port).ask("/v1/completions", asked(model, 1, tokens=1)))
        return {
            "capacity": capacity,
            "goodput": len(good) / spent / capacity,
            "refused_p99_seconds": percentile(refused, 0.99) if refused else 0.0,
            "answered": len(good),
            "refused": len(refused),
            "others": len(others),
            "grown_mb": (after - before) / 1e6,
            "recovery_seconds": time.perf_counter() - begin if connection_status.status == 200 else -1.0,
        }


def soak(models: Sequence[str], model: str, log: Path, seconds: float) -> dict[str, float]:
    """Half of what it can answer for long, every twentieth client leaving in the middle: memory, files and threads."""
    with real(models, *OPEN, log=log) as server:
        capacity = asyncio.run(_written(server.port, model, 16, 10.0)) / 32
        asyncio.run(_half(server.port, model, capacity / 2, seconds / 5))
        points = [_holds(server)]
        for _ in range(4):
            asyncio.run(_half(server.port, model, capacity / 2, seconds / 5))
            points.append(_holds(server))
        minutes = 4 * seconds / 5 / 60
        first, last = points[0], points[-1]
        return {
            "minutes": seconds / 60,
            "grown_mb_in_ten_minutes": (last[0] - first[0]) / 1e6 / minutes * 10,
            "files": last[1] - first[1],
            "threads": last[2] - first[2],
        }


def _holds(server: Server) -> tuple[int, int, int]:
    time.sleep(2.0)
    return server.resident_bytes(), server.open_files(), server.threads()


async def _half(port: int, model: str, rate: float, seconds: float) -> None:
    begin, tasks = time.perf_counter(), []
    for number in range(max(1, int(rate * seconds))):
        await asyncio.sleep(max(0.0, begin + number / rate - time.perf_counter()))
        leaves = number % 20 == 0
        body = asked(model, number, stream=leaves)
        tasks.append(asyncio.create_task(_first(port, body) if leaves else _whole(port, body)))
    await asyncio.gather(*tasks)


async def _whole(port: int, body: dict[str, Any]) -> None:
    connection = Connection(port)
    await connection.ask("/v1/completions", body)
    connection.close()
