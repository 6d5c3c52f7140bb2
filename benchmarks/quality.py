"""Time to quality: what each side reaches in how much time, three seeds: `make bench-quality [QUICK=1]`.

The compiled loop has AdamW at the best of four rates, Hugging Face's Trainer its own defaults, both `SECONDS` of
training; ours, the quickstart's recipe, has a half and a quarter of that. All have the same text, tokens, allocator and
processors, one after another. Writes `benchmarks/quality.md` (not with --quick), and one JSON object as its last line.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from peers.page import processor
from peers.text import prepare

from wenlu.cli.allocator import TUNABLES, VARIABLE

HERE = Path(__file__).parent
SECONDS, QUICK_SECONDS = 60, 20
RATES = (3e-4, 1e-3, 3e-3, 6e-3)
SEEDS = (0, 1, 2)


def trained(text: Path, side: str, seconds: float, seed: int, lr: float = 0.0) -> dict[str, float]:
    environment = {**os.environ, VARIABLE: ":".join(f"{name}={value}" for name, value in TUNABLES.items())}
    environment["PYTHONPATH"] = os.pathsep.join([str(HERE), str(HERE / "peers"), os.environ.get("PYTHONPATH", "")])
    options = {"--text": text, "--seconds": seconds, "--seed": seed, "--lr": lr}
    command = [sys.executable, "-m", "peers.quality", side, *(str(each) for pair in options.items() for each in pair)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{side} ended with {done.returncode}: {done.stderr}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    name = f"{side} {lr or ''} seed {seed}"
    print(f"{name}: {found['bits_per_byte']:.3f} bits/byte in {found['seconds']:.0f} s", file=sys.stderr, flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="20 seconds in place of 60, one seed, no page")
    given = parser.parse_args()
    seconds, seeds = (QUICK_SECONDS, SEEDS[:1]) if given.quick else (SECONDS, SEEDS)
    text = prepare()
    sweep = {lr: trained(text, "compiled_loop", seconds, seeds[0], lr) for lr in RATES}
    best = min(sweep, key=lambda lr: sweep[lr]["bits_per_byte"])
    sides = {
        "compiled loop": [sweep[best], *(trained(text, "compiled_loop", seconds, seed, best) for seed in seeds[1:])],
        "Trainer": [trained(text, "trainer", seconds, seed) for seed in seeds],
        "ours, half the time": [trained(text, "ours", seconds / 2, seed) for seed in seeds],
        "ours, a quarter of the time": [trained(text, "ours", seconds / 4, seed) for seed in seeds],
    }
    if not given.quick:
        write_page(HERE / "quality.md", sides, sweep, best)
    medians = {name: statistics.median(run["bits_per_byte"] for run in runs) for name, runs in sides.items()}
    print(json.dumps({"unit": "bits/byte", "best_lr": best, **medians}))


def write_page(
    path: Path, sides: dict[str, list[dict[str, float]]], sweep: dict[float, dict[str, float]], best: float
) -> None:
    medians = {name: statistics.median(run["bits_per_byte"] for run in runs) for name, runs in sides.items()}
    rows = [_row(name, runs) for name, runs in sides.items()]
    half = max(run["bits_per_byte"] for run in sides["ours, half the time"])
    quarter = max(run["bits_per_byte"] for run in sides["ours, a quarter of the time"])
    verdicts = (
        (
            "the compiled loop's in half of its time",
            half <= min(run["bits_per_byte"] for run in sides["compiled loop"]),
        ),
        ("the Trainer's in a quarter of its time", quarter <= min(run["bits_per_byte"] for run in sides["Trainer"])),
        ("beyond the goal, the compiled loop's in a quarter", quarter <= medians["compiled loop"]),
    )
    lines = [
        "# Time to quality",
        "",
        f"`make bench-quality`, {datetime.now(UTC):%Y-%m-%d}; {processor()}; torch {version('torch')}, transformers "
        f"{version('transformers')}. Held-out modules of this Python's standard library, rows of 256 tokens, bits per "
        f"byte; lower is better. The compiled loop's rate is the best of {', '.join(f'{lr:g}' for lr in RATES)}; "
        "compiling and importing are not counted. The loop and the Trainer train 6 layers × 384, ours the quickstart's "
        "3 layers × 256 with its own optimizer and start.",
        "",
        "| side | seconds | steps | bits/byte, each seed | median |",
        "|---|---|---|---|---|",
        *rows,
        "",
        "Our worst seed against their best: " + "; ".join(f"{text}: {_word(met)}" for text, met in verdicts) + ".",
        "",
        "The sweep, one seed: "
        + ", ".join(f"{lr:g}: {run['bits_per_byte']:.3f}" for lr, run in sweep.items())
        + f"; the best is {best:g}.",
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _word(met: bool) -> str:
    return "met" if met else "**missed**"


def _row(name: str, runs: list[dict[str, Any]]) -> str:
    bits = [run["bits_per_byte"] for run in runs]
    seconds = statistics.median(run["seconds"] for run in runs)
    steps = statistics.median(run["steps"] for run in runs)
    each = ", ".join(f"{value:.3f}" for value in bits)
    return f"| {name} | {seconds:.0f} | {steps:,.0f} | {each} | {statistics.median(bits):.3f} |"


if __name__ == "__main__":
    main()
