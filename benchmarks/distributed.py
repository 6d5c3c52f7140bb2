"""What sharing one processor among processes costs: one process with all threads against two that share them.

    python benchmarks/distributed.py [--quick]

Each figure is the median speed of the steps of a run of its own, the sides in turn. It writes
benchmarks/distributed.md.
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import torch

from wenlu.rundir import Run
from wenlu.rundir.provenance import hardware

ROUNDS, STEPS, WARM_UP = (1, 6, 2) if "--quick" in sys.argv else (3, 12, 3)
SHAPE = ["model.hidden_size=384", "model.intermediate_size=1024", "model.num_hidden_layers=6"]
SHAPE += ["model.num_attention_heads=6", "tokenizer.vocab_size=4096", "train.context=256"]
SHAPE += ["train.global_batch_tokens=8192", f"train.duration={STEPS} steps"]
SHAPE += ["train.validations=0", "train.checkpoints=0", "train.dtype=bfloat16", "optimizer.name=adamw"]
TWO = "--launch=torchrun --nproc-per-node 2"
SIDES = {
    "one process": [],
    "two, ddp": [TWO],
    "two, fsdp": [TWO, "distributed.parallel=fsdp"],
    "two, tensor parallel": [TWO, "distributed.tensor_parallel=2"],
}


def speed(settings: list[str]) -> float:
    """Tokens a second, the median of the steps after the first few."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        command = [sys.executable, "-m", "wenlu", "pretrain", "recipes/tiny.toml", *SHAPE, *settings, "--out", str(out)]
        subprocess.run(command, check=True, capture_output=True)
        found = [float(event.value) for event in Run.open(out).events() if event.name == "speed"]
    return statistics.median(found[WARM_UP:])


def main() -> None:
    rounds = []
    for _ in range(ROUNDS):
        rounds.append({side: speed(settings) for side, settings in SIDES.items()})
        print(rounds[-1], file=sys.stderr)
    machine = hardware()
    lines = [
        "# Several processes on one processor",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, {machine['cpu']}, {machine['cores']} cores, "
        f"Python {platform.python_version()}, torch {torch.__version__}; load average at the end "
        f"{os.getloadavg()[0]:.1f}. Command: `python benchmarks/distributed.py`. A Llama of 6 layers × 384, 32 rows "
        "of 256 tokens a step, bfloat16, AdamW, "
        f"gloo; all sides use all cores. Tokens a second: the median of {STEPS - WARM_UP} steps, and of it the median "
        f"(lowest to highest) of {ROUNDS} runs, in turn.",
        "",
        "| | tokens/s | beside one process, in the same turn |",
        "|---|---|---|",
    ]
    for side in SIDES:
        speeds = [found[side] for found in rounds]
        ratios = [found[side] / found["one process"] for found in rounds]
        lines.append(
            f"| {side} | {statistics.median(speeds):,.0f} ({min(speeds):,.0f} to {max(speeds):,.0f}) | "
            f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) |"
        )
    lines += [
        "",
        "Nothing is gained on one processor, as nothing can be: the same cores do the same products, and add up the "
        "gradients beside. More processes are for more machines, which nobody has measured yet.",
    ]
    text = "\n".join(lines) + "\n"
    print(text)
    if "--quick" not in sys.argv:
        Path(__file__).with_suffix(".md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
