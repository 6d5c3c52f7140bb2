"""What a training step costs against its length, width, batch and threads: tokens a second, memory, and the bends.

    python benchmarks/cost.py [--quick]      writes benchmarks/cost.md and cost.svg (--quick: into a temporary folder)

Each point is a process of its own with the command line's allocator: Llama, random tokens, AdamW, the functions that
`wenlu pretrain` calls. What is measured is kept in `.make/cost.json`; a second call goes on from there.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

VOCABULARY = 4096
STEPS, SECONDS = 5, 6.0
KEPT = Path(__file__).parents[1] / ".make" / "cost.json"
BEND = 0.15
"""A change of slope, in powers of the axis, from which on a bend is explained."""
ENDS = (("lowest", "highest"), ("highest", "lowest"))
"""Of the spread of steps: what bends the line most, up and down."""


@dataclass(frozen=True)
class Point:
    """One shape of a step; a step is one micro-batch."""

    length: int = 512
    width: int = 384
    tokens: int = 8192
    threads: int = 2

    @property
    def key(self) -> str:
        return json.dumps(asdict(self))


AXES: dict[str, list[Any]] = {
    "length": [128, 256, 512, 1024, 2048, 4096, 8192],
    "width": [64, 128, 256, 384, 512, 768, 1024],
    "tokens": [512, 1024, 2048, 4096, 8192, 16_384, 32_768],
}
QUICK: dict[str, list[Any]] = {"length": [128, 512, 2048], "width": [64, 128, 256], "tokens": [512, 1024, 2048]}
TITLES = {"length": "tokens a row", "width": "width", "tokens": "tokens a step"}


def measure(point: Point) -> dict[str, float]:
    """Tokens a second, where the time goes, and memory; run in a process of its own."""
    import numpy as np
    import torch

    from wenlu.corpus.packing import PackedRow, Rows
    from wenlu.models import family
    from wenlu.tasks.causal_lm import CausalLM
    from wenlu.training import AdamWConfig, TrainConfig, TrainState, choose_device, choose_dtype
    from wenlu.training.batches import Batches
    from wenlu.training.train import accumulate

    class RandomRows(Rows):
        def __len__(self) -> int:
            return 1 << 20

        def read(self, indices: Any) -> PackedRow:
            shape = (len(indices), self.length + 1)
            ids = np.random.default_rng(int(indices[0])).integers(0, VOCABULARY, shape)
            return PackedRow(ids, np.zeros(shape, np.int64))

    torch.set_num_threads(point.threads)
    llama, task = family("llama"), CausalLM()
    sizes = llama.config.model_validate(
        {
            "vocab_size": VOCABULARY,
            "hidden_size": point.width,
            "intermediate_size": 8 * round(point.width * 704 / 256 / 8),
            "num_hidden_layers": 4,
            "num_attention_heads": max(1, point.width // 64),
            "max_position_embeddings": point.length,
        }
    )
    config = TrainConfig(context=point.length, global_batch_tokens=point.tokens, micro_batch_tokens=point.tokens)
    device = choose_device(config)
    model = llama.build(sizes, dtype=choose_dtype(config, device)).to(device)
    state = TrainState(model, AdamWConfig())
    batches = Batches(RandomRows(point.length), config.rows_per_step, 0)
    durations, updates = [], []
    began = time.perf_counter()
    while len(durations) <= STEPS and (len(durations) < 3 or time.perf_counter() - began < SECONDS):
        start = time.perf_counter()
        totals = accumulate(state, task, batches, config)
        middle = time.perf_counter()
        state.update(count=totals.count, tokens=totals.tokens, factor=0.1, clip_norm=config.clip_norm)
        durations.append(time.perf_counter() - start)
        updates.append(time.perf_counter() - middle)
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    embedding = VOCABULARY * point.width
    matrices = sum(weight.numel() for weight in model.parameters()) - embedding
    attention = 6 * 4 * point.length * point.width  # causal: half of the pairs, forward and twice backward
    step = statistics.median(durations[1:])
    return {
        "tokens_per_second": point.tokens / step,
        "lowest": point.tokens / max(durations[1:]),
        "highest": point.tokens / min(durations[1:]),
        "update": statistics.median(updates[1:]) / step,
        "attention": attention / (6 * matrices + attention),
        "gflops": (6 * matrices + attention) * point.tokens / step / 1e9,
        "peak_bytes": 1024 * int(status["VmHWM"].split()[0]),
    }


def measured(points: list[Point], kept: Path) -> dict[str, dict[str, float]]:
    """All points, those of an earlier call included; each is kept as soon as it is known."""
    from wenlu.cli.allocator import TUNABLES

    tunables = ":".join(f"{name}={value}" for name, value in TUNABLES.items())
    environment = {**os.environ, "GLIBC_TUNABLES": tunables, "GOMP_SPINCOUNT": "1000"}
    found: dict[str, dict[str, float]] = json.loads(kept.read_text()) if kept.exists() else {}
    for number, point in enumerate(points):
        if point.key in found:
            continue
        command = [sys.executable, __file__, "--point", point.key]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        if done.returncode:
            print(f"{point}: failed\n{done.stderr[-800:]}", file=sys.stderr)
            continue
        found[point.key] = json.loads(done.stdout.splitlines()[-1])
        kept.parent.mkdir(exist_ok=True)
        kept.write_text(json.dumps(found, indent=1))
        print(f"{number + 1}/{len(points)} {point}: {found[point.key]['tokens_per_second']:,.0f} tokens/s", flush=True)
    return found


def points_of(axis: str, values: list[Any], base: Point, threads: int) -> list[Point]:
    points = [replace(base, threads=threads, **{axis: value}) for value in values]
    return [replace(point, length=min(point.length, point.tokens)) for point in points]


def bends(values: list[float], rows: list[dict[str, float]]) -> list[str]:
    """Where the slope changes in double logarithms by more than the spread of the steps explains, and why."""
    lines = []
    for place in range(1, len(values) - 1):
        near = rows[place - 1 : place + 2]
        steps = [math.log(right / left) for left, right in pairwise(values[place - 1 : place + 2])]

        def turn(first: float, middle: float, last: float, steps: list[float] = steps) -> float:
            return math.log(last / middle) / steps[1] - math.log(middle / first) / steps[0]

        ends = [turn(near[0][end], near[1][other], near[2][end]) for end, other in ENDS]
        if min(ends) > 0 or max(ends) < 0:
            bend = turn(*(row["tokens_per_second"] for row in near))
            rate = turn(*(row["gflops"] for row in near))
            if abs(bend) >= BEND:
                lines.append(f"- at {values[place]:,}: the slope changes by {bend:+.2f}. {_reason(near, bend, rate)}")
    return lines or [f"- no bend of {BEND:g} or more that the spread of the steps would not explain."]


def _reason(near: list[dict[str, float]], bend: float, rate: float) -> str:
    """Tokens a second are arithmetic a second by arithmetic a token: which of the two bends, in its own numbers."""
    speeds, attention, update = (
        ", ".join(f"{row[name]:{form}}" for row in near)
        for name, form in (("gflops", ",.0f"), ("attention", ".0%"), ("update", ".0%"))
    )
    work = bend - rate
    reasons = []
    if abs(work) >= BEND / 2:
        grows = "more" if work < 0 else "less"
        reasons.append(f"a token's work grows {grows} steeply ({work:+.2f}; attention {attention})")
    if abs(rate) >= BEND / 2:
        reasons.append(f"the arithmetic itself changes pace ({rate:+.2f}; {speeds} GFLOP/s, update {update})")
    return f"Because {' and '.join(reasons)}."


def page(axes: dict[str, list[Any]], base: Point, found: dict[str, dict[str, float]]) -> str:
    facts = Path("/proc/cpuinfo").read_text().splitlines()
    processor = next((line.split(": ")[1] for line in facts if line.startswith("model name")), platform.machine())
    lines = [
        "# Cost against work",
        "",
        f"`make bench-cost`, {datetime.now(UTC):%Y-%m-%d}, {processor}; load average at the end "
        f"{os.getloadavg()[0]:.1f}. Llama of 4 layers, vocabulary {VOCABULARY:,}, random tokens, AdamW. Where an axis "
        f"does not say otherwise: width {base.width}, {base.length} tokens a row, {base.tokens:,} a step. Medians of "
        f"up to {STEPS} steps. *Update*: share of the time. *Attention*: share of the multiplications, counted.",
        "",
        "![tokens a second over each axis](cost.svg)",
    ]
    for axis, values in axes.items():
        lines += [
            "",
            f"## {TITLES[axis]}",
            "",
            "| " + TITLES[axis] + " | threads | tokens/s | update | attention | GFLOP/s | peak memory |",
            "|---|---|---|---|---|---|---|",
        ]
        for threads in (1, 2):
            for value, point in zip(values, points_of(axis, values, base, threads), strict=True):
                lines.append(f"| {value:,} | {threads} | {_cells(found.get(point.key))} |")
        for threads in (1, 2):
            rows = [found.get(point.key) for point in points_of(axis, values, base, threads)]
            whole = [(value, row) for value, row in zip(values, rows, strict=True) if row is not None]
            if len(whole) > 2:
                lines += ["", f"Bends with {threads} threads:" if threads > 1 else "Bends with one thread:", ""]
                lines += bends([value for value, _ in whole], [row for _, row in whole])
    return "\n".join(lines) + "\n"


def _cells(row: dict[str, float] | None) -> str:
    if row is None:
        return "failed | | | |"
    return (
        f"{row['tokens_per_second']:,.0f} ({row['lowest']:,.0f}–{row['highest']:,.0f}) | {row['update']:.0%} "
        f"| {row['attention']:.0%} | {row['gflops']:,.0f} | {row['peak_bytes'] / 1e9:.2f} GB"
    )


def chart(axes: dict[str, list[Any]], base: Point, found: dict[str, dict[str, float]]) -> str:
    """A panel for each axis, both scales logarithmic, a line for each number of threads."""
    width, height, gap = 300, 220, 46
    speeds = [row["tokens_per_second"] for row in found.values()]
    low, high = math.log(min(speeds) / 1.2), math.log(max(speeds) * 1.2)
    parts = []
    for number, (axis, values) in enumerate(axes.items()):
        left, span = number * (width + gap) + gap, math.log(values[-1] / values[0])

        def place(
            value: float, speed: float, first: float = values[0], left: int = left, span: float = span
        ) -> tuple[float, float]:
            x = left + math.log(value / first) / span * width
            return x, 20 + (high - math.log(speed)) / (high - low) * height

        parts.append(f'<rect x="{left}" y="20" width="{width}" height="{height}" fill="none" stroke="#999"/>')
        parts.append(f'<text x="{left + width / 2}" y="{height + 56}" text-anchor="middle">{TITLES[axis]}</text>')
        for value in values:
            parts.append(f'<text x="{place(value, 1)[0]:.0f}" y="{height + 36}" text-anchor="middle">{value}</text>')
        for threads, colour in ((1, "#b5541c"), (2, "#1c6fb5")):
            rows = zip(values, points_of(axis, values, base, threads), strict=True)
            places = [
                place(value, found[point.key]["tokens_per_second"]) for value, point in rows if point.key in found
            ]
            line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
            parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
            if places:
                x, y = places[-1]
                parts.append(
                    f'<text x="{x - 4:.0f}" y="{y - 6:.0f}" text-anchor="end" fill="{colour}">{threads} thr.</text>'
                )
    for power in range(1, 8):
        for digit in (1, 3):
            speed = digit * 10**power
            if low < math.log(speed) < high:
                y = 20 + (high - math.log(speed)) / (high - low) * height
                parts.append(f'<text x="{gap - 4}" y="{y + 4:.0f}" text-anchor="end">{_short(speed)}</text>')
    size = f'width="{len(axes) * (width + gap) + 20}" height="{height + 70}"'
    style = 'font-family="sans-serif" font-size="11"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>{"".join(parts)}</svg>\n'


def _short(speed: int) -> str:
    return f"{speed // 1000}k" if speed >= 1000 else str(speed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few small shapes, into a temporary folder")
    parser.add_argument("--point", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.point:
        print(json.dumps(measure(Point(**json.loads(arguments.point)))))
        return
    axes, base = (QUICK, Point(length=256, width=128, tokens=2048)) if arguments.quick else (AXES, Point())
    points = [point for axis, values in axes.items() for n in (1, 2) for point in points_of(axis, values, base, n)]
    folder = Path(tempfile.mkdtemp()) if arguments.quick else Path(__file__).parent
    found = measured(list(dict.fromkeys(points)), folder / "cost.json" if arguments.quick else KEPT)
    (folder / "cost.svg").write_text(chart(axes, base, found), encoding="utf-8")
    text = page(axes, base, found)
    (folder / "cost.md").write_text(text, encoding="utf-8")
    print(text)
    print(f"{folder / 'cost.md'}, {folder / 'cost.svg'}")


if __name__ == "__main__":
    main()
