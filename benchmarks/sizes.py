"""Is `model.size = "auto"` right? The size that it chooses beside others, each trained for the same time.

    python benchmarks/sizes.py [--quick]      writes benchmarks/sizes.md (not with --quick)

The quickstart's data and tokenizer, AdamW and the default schedule, one seed; what counts are the bits per byte of the
same held-out modules. Batch and rate are the law's in the whole sweep; two more runs of the chosen size vary them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import tomli_w

from wenlu.config import load
from wenlu.lifecycle import verbs
from wenlu.lifecycle.auto_size import matrix_parameters, peak_rate, shape_at
from wenlu.lifecycle.recipe import Recipe
from wenlu.models import family
from wenlu.rundir import Run

SECONDS, MARGIN = 60, 0.05
WIDTHS = (64, 128, 192, 256, 384)
QUICKSTART = Path(__file__).parents[1] / "recipes" / "quickstart.toml"
STAGES = ("data", "tokenizer", "tokens")


@dataclass(frozen=True)
class Trained:
    """A run of the sweep, and what came of it."""

    name: str
    recipe: Recipe
    parameters: int
    tokens: int
    seconds: float
    bits_per_byte: float


def trained(name: str, sections: Mapping[str, Any], folder: Path) -> Trained:
    """Train with `sections` in place of the quickstart's own; data and tokenizer are made once, in the first run."""
    recipe = tomllib.loads(QUICKSTART.read_text(encoding="utf-8")) | {"optimizer": {"name": "adamw"}, "schedule": {}}
    recipe["train"] |= {"start": "random", "validations": 1, "validation_tokens": 65_536, "checkpoints": 1}
    del recipe["train"]["global_batch_tokens"], recipe["model"]
    for section, values in sections.items():
        recipe[section] = recipe.get(section, {}) | values
    out = folder / "run"
    path = folder / "recipe.toml"
    path.write_text(tomli_w.dumps(recipe), encoding="utf-8")
    verbs.pretrain(path, out)
    resolved = load(Recipe, out / "config.toml")
    with Run.open(out) as run:
        reading = [event for event in run.events() if event.name == "validation"][-1]
    config = resolved.model.resolve(vocab_size=4096, context=2 * resolved.train.context, end_id=0)
    parameters = sum(weight.numel() for weight in family("llama").outline(config).parameters())
    print(
        f"{name}: {reading.value:.3f} {reading.unit}, {reading.tokens:,} tokens in {reading.seconds:.0f} s", flush=True
    )
    return Trained(name, resolved, parameters, reading.tokens, reading.seconds, float(reading.value))


def sweep(seconds: float, widths: tuple[int, ...], folder: Path) -> list[Trained]:
    train = {"duration": f"{seconds:g} seconds"}
    auto = trained("auto", {"model": {"size": "auto"}, "train": train}, folder)
    batch, rate = auto.recipe.train.global_batch_tokens, auto.recipe.optimizer.lr
    found = [auto]
    for width in widths:
        shape = shape_at(family("llama"), width)
        config = family("llama").config.model_validate({"vocab_size": 4096, **shape})
        law = peak_rate(matrix_parameters(family("llama"), config), auto.tokens)
        sections = {"model": shape, "train": {**train, "global_batch_tokens": batch}, "optimizer": {"lr": law}}
        found.append(trained(f"width {width}", sections, folder))
    chosen = {key: (auto.recipe.model.model_extra or {})[key] for key in shape_at(family("llama"), 64)}
    for name, size, peak in (("rate ÷ 3", batch, rate / 3), ("batch × 2", 2 * batch, rate)):
        sections = {"model": chosen, "train": {**train, "global_batch_tokens": size}, "optimizer": {"lr": peak}}
        found.append(trained(name, sections, folder))
    return found


def table(found: list[Trained]) -> list[str]:
    lines = ["| run | shape | parameters | batch | rate | tokens | bits per byte |", "|---|---|---|---|---|---|---|"]
    for run in found:
        model = run.recipe.model.model_extra or {}
        lines.append(
            f"| {run.name} | {model['num_hidden_layers']} × {model['hidden_size']} | {run.parameters / 1e6:.2f} M "
            f"| {run.recipe.train.global_batch_tokens:,} | {run.recipe.optimizer.lr:.2g} | {run.tokens / 1e6:.2f} M "
            f"| {run.bits_per_byte:.3f} |"
        )
    return lines


def verdict(found: list[Trained]) -> str:
    auto, best = found[0], min(found, key=lambda run: run.bits_per_byte)
    over = auto.bits_per_byte / best.bits_per_byte - 1
    kept = "kept" if over <= MARGIN else "**missed**"
    return f"auto is {over:.1%} above the best of all ({best.name}); the margin is {MARGIN:.0%}: {kept}."


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="12 seconds each, three widths, nothing written")
    arguments = parser.parse_args()
    seconds, widths = (12, (64, 128, 256)) if arguments.quick else (SECONDS, WIDTHS)
    with tempfile.TemporaryDirectory() as folder:
        found = sweep(seconds, widths, Path(folder))
    facts = Path("/proc/cpuinfo").read_text().splitlines()
    processor = next((line.split(": ")[1] for line in facts if line.startswith("model name")), platform.machine())
    text = "\n".join(
        [
            "# Sizes",
            "",
            f"{datetime.now(UTC):%Y-%m-%d}, {processor}, {len(os.sched_getaffinity(0))} cores; load average at the end "
            f"{os.getloadavg()[0]:.1f}. {seconds} seconds of training each, AdamW, one seed, held-out modules of the "
            "quickstart. Command: `make bench-sizes`.",
            "",
            *table(found),
            "",
            verdict(found),
            "",
        ]
    )
    print(text)
    if arguments.quick:
        print(json.dumps({run.name: run.bits_per_byte for run in found}))
    else:
        Path(__file__).with_suffix(".md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
