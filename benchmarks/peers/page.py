"""`benchmarks/training.md`, from what `benchmarks/train.py` measured."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from peers.turns import SHAPES

GOALS = {
    ("124M", "trainer, as shipped"): 3.0,
    ("124M", "compiled_loop, same"): 1.5,
    ("small", "trainer, as shipped"): 3.0,
    ("small", "compiled_loop, same"): 1.3,
}
MFU, MEMORY = 0.5, 0.75


def write_page(path: Path, found: dict[str, Any], turns: int, steps: dict[str, int]) -> None:
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "accelerate"))
    lines = [
        "# Training speed beside peers",
        "",
        f"`make bench-train`, {datetime.now(UTC):%Y-%m-%d}; {processor()}; Python {platform.python_version()}, "
        f"{versions}. Medians, and lowest to highest, of {turns} turns of each pair, of which ours is always one.",
        "All sides train the same GPT-2 in bfloat16 with float32 master weights and AdamW, on the same text: this "
        "Python's standard library. *Shipped*: the C library's allocator as it is; *same*: with the tunables "
        "and the pool of memory that `wenlu` trains with. The compiled loop was written before ours was tuned, and is "
        "frozen.",
    ]
    for name, sides in found.items():
        shape = SHAPES[name]
        lines += [
            "",
            f"## {name}: {shape.layers} layers × {shape.width}, context {shape.context}, {shape.rows} rows, "
            f"vocabulary {shape.vocabulary:,}; turns of {steps[name]} steps",
            "",
            "| side | tokens/s | peak memory | ours is faster | goal | our memory / its |",
            "|---|---|---|---|---|---|",
        ]
        lines += [_row(name, side, facts) for side, facts in sides.items()]
        lines += ["", _verdict(name, sides)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _row(shape: str, side: str, facts: dict[str, Any]) -> str:
    speed, peak = spread(facts["tokens_per_second"], ",.0f"), f"{facts['peak_bytes'] / 1e9:.2f} GB"
    if side == "ours":
        return f"| **ours** (MFU {facts['mfu']:.2f}) | {speed} | {peak} | | | |"
    goal = GOALS.get((shape, side))
    reached = facts["ours_over_it"]["median"] >= (goal or 0.0)
    stated = f"≥ {goal:g} ×: {'met' if reached else '**missed**'}" if goal else ""
    ratio = spread(facts["ours_over_it"], ".2f")
    return f"| {side} | {speed} | {peak} | {ratio} × | {stated} | {facts['our_memory_over_its']:.2f} |"


def _verdict(shape: str, sides: dict[str, Any]) -> str:
    shipped = {
        name: sides[f"{name}, as shipped"]["tokens_per_second"]["median"] for name in ("trainer", "compiled_loop")
    }
    ratio = shipped["compiled_loop"] / shipped["trainer"]
    told = f"The compiled loop as shipped is {ratio:.2f} × the Trainer"
    told += "." if ratio >= 1.5 else ": under the 1.5 × that a fair peer should reach."
    memory = sides["compiled_loop, same"]["peak_bytes"]
    share = sides["ours"]["peak_bytes"] / memory
    told += (
        f" Memory, goal ≤ {MEMORY} of the compiled loop's: {share:.2f}, {'met' if share <= MEMORY else '**missed**'}."
    )
    if shape == "124M":
        mfu = sides["ours"]["mfu"]
        told += f" MFU, goal ≥ {MFU} of 2,500 GFLOP/s: {mfu:.2f}, {'met' if mfu >= MFU else '**missed**'}."
    return told


def spread(summary: dict[str, float], form: str) -> str:
    return f"{summary['median']:{form}} ({summary['low']:{form}} to {summary['high']:{form}})"


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return f"{line.partition(':')[2].strip()}, {len(os.sched_getaffinity(0))} processors"
    return platform.processor()
