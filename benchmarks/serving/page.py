"""`benchmarks/serving.md`, from what was measured."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from peers.page import processor

Found = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Goal:
    """A goal of the server.

    Attributes:
        of: the measurement that tells it. told: its numbers in a text.
    """

    of: str
    goal: str
    told: str
    is_met: Callable[[Mapping[str, float]], bool]


GOALS = (
    Goal("requests", "answers a second, HTTP alone: ≥ 800", "{a_second:.0f}", lambda f: f["a_second"] >= 800),
    Goal(
        "events",
        "events a second over 256 streams, HTTP alone: ≥ 8,000",
        "{a_second:,.0f}",
        lambda f: f["a_second"] >= 8000,
    ),
    Goal(
        "added",
        "added to a token, 64 streams of 20 a second, p99: ≤ 0.02 s",
        "{p99_seconds:.4f} s",
        lambda f: f["p99_seconds"] <= 0.02,
    ),
    Goal(
        "together",
        "tokens a second of 16 clients over 1, the tiny model: ≥ 3 ×",
        "{ratio:.2f} × ({sixteen:.0f} over {one:.0f})",
        lambda f: f["ratio"] >= 3,
    ),
    Goal(
        "prefix",
        "first token of a prompt of 2,000 tokens that was read before: ≤ 15 % of the first time",
        "{share:.1%} ({warm_seconds:.3f} s of {cold_seconds:.3f} s)",
        lambda f: f["share"] <= 0.15,
    ),
    Goal(
        "overload",
        "ten times what it can answer: ≥ 90 % of that is still answered",
        "{goodput:.0%}",
        lambda f: f["goodput"] >= 0.9,
    ),
    Goal(
        "overload",
        "… refusals within 0.05 s, p99",
        "{refused_p99_seconds:.3f} s of {refused:,.0f}",
        lambda f: f["refused_p99_seconds"] <= 0.05,
    ),
    Goal("overload", "… memory grows by ≤ 64 MB", "{grown_mb:.0f} MB", lambda f: f["grown_mb"] <= 64),
    Goal(
        "overload",
        "… a client is served again within 2 s",
        "{recovery_seconds:.2f} s",
        lambda f: 0 <= f["recovery_seconds"] <= 2,
    ),
    Goal("overload", "… nothing but answers and refusals", "{others:.0f} others", lambda f: f["others"] == 0),
    Goal(
        "spared",
        "the same with `engine.threads=1`, which leaves the clients a core: ≥ 90 % is still answered",
        "{goodput:.0%} of {capacity:.0f} a second, refusals within {refused_p99_seconds:.3f} s",
        lambda f: f["goodput"] >= 0.9 and f["refused_p99_seconds"] <= 0.05,
    ),
    Goal(
        "slow",
        "500 senders and 200 readers that stall: p99 of another client ≤ 2 × alone",
        "{ratio:.2f} × ({beside_p99_seconds:.3f} s over {alone_p99_seconds:.3f} s)",
        lambda f: f["ratio"] <= 2,
    ),
    Goal(
        "disconnects",
        "the place of a client that left is free within 0.25 s, every time",
        "{in_time:.0f} of {trials:.0f}, p99 {p99_seconds:.3f} s",
        lambda f: f["in_time"] == f["trials"],
    ),
    Goal(
        "killed",
        "the engine killed: every stream is told",
        "{streams_told:.0f} of {streams:.0f}",
        lambda f: f["streams_told"] == f["streams"],
    ),
    Goal(
        "killed",
        "… ready within 5 s and what a start takes",
        "{worst_seconds:.1f} s at worst, a start {load_seconds:.1f} s",
        lambda f: f["worst_seconds"] <= 5 + f["load_seconds"],
    ),
    Goal(
        "soak",
        "half load, and clients that leave: memory grows by < 1 MB in ten minutes",
        "{grown_mb_in_ten_minutes:+.2f} MB, over {minutes:.0f} minutes",
        lambda f: f["grown_mb_in_ten_minutes"] < 1,
    ),
    Goal(
        "soak",
        "… open files and threads stay as they are",
        "{files:+.0f} files, {threads:+.0f} threads",
        lambda f: f["files"] <= 0 and f["threads"] <= 0,
    ),
)


def write_page(path: Path, found: Found, command: str) -> None:
    """One row for each goal that was measured."""
    lines = [
        "# The server under load, faults and attack",
        "",
        f"`{command}`, {datetime.now(UTC):%Y-%m-%d}; {processor()}; Python {platform.python_version()}. Clients and "
        'server share two cores. "HTTP alone" is the server on an engine that writes the same tokens whatever it is '
        "asked; the tiny model is a Llama of 3.5 million parameters.",
        "",
        "| goal | measured | |",
        "|---|---|---|",
    ]
    for goal in GOALS:
        if goal.of in found:
            numbers = found[goal.of]
            verdict = "met" if goal.is_met(numbers) else "**missed**"
            lines.append(f"| {goal.goal} | {goal.told.format(**numbers)} | {verdict} |")
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
