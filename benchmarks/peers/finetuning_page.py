"""`benchmarks/finetune.md`, from what `benchmarks/finetune.py` measured."""

from __future__ import annotations

import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from peers.page import processor, spread
from peers.questions import SHAPES

GOALS = {"trainer, as shipped": 3.0, "trainer, bf16 and sorted": 1.5}
ORIGINS = {"384": "as `run_qa` cuts them", "256": "as `recipes/answer.toml` cuts them"}


def write_page(path: Path, found: dict[str, Any], chosen: str, rounds: int, steps: int) -> None:
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "accelerate"))
    lines = [
        "# Fine-tuning speed beside Hugging Face's Trainer",
        "",
        f"`make bench-finetune`, {datetime.now(UTC):%Y-%m-%d}; {processor()}; Python {platform.python_version()}, "
        f"{versions}. Medians, and lowest to highest, of {rounds} rounds, in each of which every side has a turn "
        f"of {steps} steps that stand for all lengths of an epoch; as shipped, where all are as long, of a quarter.",
        "All sides train all-MiniLM-L6-v2 (6 × 384, 22 M parameters) with dropout of 0.1 and AdamW on the same windows "
        "of SQuAD 1.1, 32 a step. *As shipped*: float32, random order, every window padded to the longest that there "
        "may be. *bf16 and sorted*: `bf16=True`, `group_by_length` over all windows, padded to the longest of the "
        "step. Both have the C library's allocator as it is; *same allocator*: the tunables and the pool of memory "
        "that `wenlu` trains with. Ours are the steps of `wenlu finetune recipes/answer.toml`, which chooses "
        f"{chosen.removeprefix('ours, ')} here; its checkpoints and validations are not in the time, nor are theirs.",
    ]
    for shape, sides in found.items():
        lines += [
            "",
            f"## Windows of {SHAPES[shape].length} tokens that share {SHAPES[shape].overlap}, {ORIGINS[shape]}",
            "",
            "| side | sentences/s | peak memory | ours is faster | goal |",
            "|---|---|---|---|---|",
        ]
        lines += [_row(name, facts, is_chosen=name == chosen) for name, facts in sides.items()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _row(name: str, facts: dict[str, Any], *, is_chosen: bool) -> str:
    speed, peak = spread(facts["sentences_per_second"], ".1f"), f"{facts['peak_bytes'] / 1e9:.2f} GB"
    if is_chosen:
        return f"| **{name}** | {speed} | {peak} | | |"
    goal = GOALS.get(name)
    reached = facts["ours_over_it"]["median"] >= (goal or 0.0)
    stated = f"≥ {goal:g} ×: {'met' if reached else '**missed**'}" if goal else ""
    return f"| {name} | {speed} | {peak} | {spread(facts['ours_over_it'], '.2f')} × | {stated} |"
