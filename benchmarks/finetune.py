"""Sentences/s in fine-tuning on SQuAD beside Hugging Face's Trainer: `make bench-finetune [QUICK=1]`.

All sides train MiniLM (6 × 384, 22 M parameters) on the same windows, 32 a step, each a process of its own that sleeps
while another is measured. A turn of a side is a few steps whose lengths stand for all of an epoch; in each round every
side has one, and a ratio is the median over the rounds. The full form writes `benchmarks/finetune.md`; both print one
JSON object as their last line.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peers.finetuning_page import write_page
from peers.questions import ROWS, prepare
from peers.side import Side, summary

from wenlu.training import TrainConfig, choose_dtype


@dataclass(frozen=True)
class Contestant:
    """A side of the measurement.

    Attributes:
        share: of the steps of a turn, where every step is as long.
    """

    program: str
    allocator: str
    options: tuple[str, ...] = ()
    share: float = 1.0


SIDES = {
    "trainer, as shipped": Contestant("finetuning_trainer", "as shipped", share=0.25),
    "trainer, bf16 and sorted": Contestant("finetuning_trainer", "as shipped", ("--sorted",)),
    "trainer, bf16 and sorted, same allocator": Contestant("finetuning_trainer", "same", ("--sorted",)),
    "ours, float32": Contestant("finetuning_ours", "same", ("--dtype=float32",)),
    "ours, bfloat16": Contestant("finetuning_ours", "same", ("--dtype=bfloat16",)),
}


@dataclass(frozen=True)
class Plan:
    rounds: int
    steps: int
    shapes: tuple[str, ...]


FULL = Plan(rounds=5, steps=4, shapes=("384", "256"))
QUICK = Plan(rounds=2, steps=4, shapes=("384",))


def measure(shape: str, plan: Plan, names: list[str]) -> dict[str, dict[str, Any]]:
    """Sentences/s of each side, one entry a round."""
    windows = prepare(shape)
    sides, steps = {}, {}
    for name in names:
        side = SIDES[name]
        steps[name] = max(1, round(plan.steps * side.share))
        given = ["--windows", str(windows), "--steps", str(steps[name]), *side.options]
        sides[name] = Side(side.program, side.allocator, given)
        sides[name].seconds_of(steps[name])  # to warm up: all lengths once
    speeds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(plan.rounds):
        turn = play(sides, steps, names if number % 2 == 0 else names[::-1])
        for name, seconds in turn.items():
            speeds[name].append(steps[name] * ROWS / seconds)
        told = ", ".join(f"{name} {speed[-1]:.1f}" for name, speed in speeds.items())
        print(f"{shape}: {told} sentences/s", file=sys.stderr, flush=True)
    for side in sides.values():
        side.close()
    return {name: {"speeds": speeds[name], "peak_bytes": sides[name].peak_bytes} for name in names}


def play(sides: dict[str, Side], steps: dict[str, int], order: list[str]) -> dict[str, float]:
    """One round: the seconds of each side's turn."""
    return {name: sides[name].seconds_of(steps[name]) for name in order}


def compared(found: dict[str, dict[str, Any]], chosen: str) -> dict[str, Any]:
    """Ratios above 1 are ours, in the number format that is chosen here, ahead."""
    ours = found[chosen]["speeds"]
    return {
        name: {
            "sentences_per_second": summary(side["speeds"]),
            "peak_bytes": side["peak_bytes"],
            "ours_over_it": summary([own / its for own, its in zip(ours, side["speeds"], strict=True)]),
        }
        for name, side in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="within four minutes, and no page is written")
    plan = QUICK if parser.parse_args().quick else FULL
    for shape in plan.shapes:
        prepare(shape)
    dtype = str(choose_dtype(TrainConfig(), torch.device("cpu"))).removeprefix("torch.")
    chosen = f"ours, {dtype}"
    names = list(SIDES) if plan is FULL else ["trainer, as shipped", "trainer, bf16 and sorted", chosen]
    found = {shape: compared(measure(shape, plan, names), chosen) for shape in plan.shapes}
    if plan is FULL:
        write_page(Path(__file__).parent / "finetune.md", found, chosen, plan.rounds, plan.steps)
    flat: dict[str, Any] = {"dtype": dtype}
    for shape, sides in found.items():
        for name, side in sides.items():
            key = f"{shape}/{name.replace(', ', '/').replace(' ', '-')}"
            flat[f"{key}/sentences_per_second"] = round(side["sentences_per_second"]["median"], 2)
            if name != chosen:
                flat[f"{key}/speed"] = round(side["ours_over_it"]["median"], 3)
    print(json.dumps(flat))


if __name__ == "__main__":
    main()
