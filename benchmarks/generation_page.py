"""`benchmarks/generation.md`, from what `benchmarks/generate.py` measured."""

from __future__ import annotations

import math
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from peers.page import processor, spread


def write_page(path: Path, found: dict[str, Any]) -> None:
    speeds = found["speeds"]
    turns = list(next(iter(speeds.values())))
    rounds = len(next(iter(speeds.values()))[turns[0]]["rounds"])
    bandwidth = {key: value / 1e9 for key, value in found["bandwidth"].items()}
    lines = [
        "# Generation beside other engines",
        "",
        f"`make bench-generate`, {datetime.now(UTC):%Y-%m-%d}; {processor()}; Python {platform.python_version()}. "
        "SmolLM2-135M-Instruct on two threads, each side a process of its own that sleeps while another is measured. "
        f"Tokens/s: medians, and lowest to highest, of {rounds} rounds, in each of which every side has a turn. "
        "Prefill reads 512 tokens; batches go on from contexts of 128 tokens that share nothing. Ours is the engine "
        "of `wenlu predict` and `wenlu chat`, whose answers do not depend on what runs beside them; switching that "
        "off changes nothing of the native call, so there is no second column.",
        "",
        f"Memory gave {spread(bandwidth, '.1f')} GB/s to two threads that read 96 MB.",
        "",
        "| side | " + " | ".join(turns) + " | peak memory |",
        "|---|" + "---|" * (len(turns) + 1),
    ]
    for name, row in speeds.items():
        cells = " | ".join(spread(row[turn], ".0f") for turn in turns)
        lines.append(f"| {name} | {cells} | {found['peak_bytes'][name] / 1e9:.2f} GB |")
    lines += ["", *bounds(found, bandwidth["median"])]
    if found["starts"]:
        lines += ["", "From the start of a process to its first token, a prompt of eight tokens, files in memory:", ""]
        lines += ["| side | seconds |", "|---|---|"]
        lines += [f"| {name} | {spread(row, '.1f')} |" for name, row in found["starts"].items()]
    lines += ["", "Ours over a peer with as many bits, round by round:", "", "| | " + " | ".join(turns) + " |"]
    lines += ["|---|" + "---|" * len(turns)]
    pairs = dict.fromkeys(key.split(": ", 1)[1] for key in found["ratios"])
    for pair in pairs:
        lines.append(
            f"| {pair} | " + " | ".join(f"{found['ratios'][f'{turn}: {pair}']:.2f} ×" for turn in turns) + " |"
        )
    lines += ["", "| goal | reached | |", "|---|---|---|"]
    lines += [f"| {goal} | {reached} | {'met' if is_met else '**missed**'} |" for goal, reached, is_met in goals(found)]
    if found["likelihoods"]:
        lines += [
            "",
            "Held-out text (SQuAD's development set), perplexity a token:",
            "",
            "| side | perplexity | tokens |",
        ]
        lines += ["|---|---|---|"]
        for name, row in found["likelihoods"].items():
            lines.append(f"| {name} | {math.exp(row['nats_per_token']):.4f} | {row['tokens']:,} |")
    if found["left_out"]:
        lines += ["", "Left out: " + "; ".join(f"{name} ({why})" for name, why in found["left_out"].items()) + "."]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


TORCH = "Python and `import torch` alone"
CONTEXT = 144
"""Tokens that are seen at batch 1, in the middle of a turn."""


def bounds(found: dict[str, Any], gigabytes: float) -> list[str]:
    """How much of what memory gives our own sides read at batch 1."""
    lines = ["Of what memory gave, at batch 1 (weights and keys and values of 144 tokens are read for each token):", ""]
    lines += ["| side | MB a token | tokens/s at most | reached |", "|---|---|---|---|"]
    for name, facts in found["facts"].items():
        read = (facts["weight_bytes"] + CONTEXT * facts["cache_bytes"]) / 1e9
        most = gigabytes / read
        share = found["speeds"][name]["batch 1"]["median"] / most
        lines.append(f"| {name} | {1000 * read:.1f} | {most:.0f} | {share:.2f} |")
    return lines


def goals(found: dict[str, Any]) -> list[tuple[str, str, bool]]:
    """Each goal of ours with what was reached, and whether that is enough."""
    rows: list[tuple[str, str, bool]] = []

    def at_least(goal: str, reached: float, wanted: float) -> None:
        rows.append((f"{goal} ≥ {wanted:g}", f"{reached:.2f}", reached >= wanted))

    ratios = found["ratios"]
    for turn, wanted in (("batch 1", 1.3), ("batch 16", 2.0)):
        for pair in ("ours, int4 over llama.cpp, Q4_1", "ours, int8 over llama.cpp, Q8_0"):
            if (key := f"{turn}: {pair}") in ratios:
                at_least(key, ratios[key], wanted)
    others = [value for key, value in ratios.items() if key.startswith("batch 16: ours, int")]
    if others:
        at_least("batch 16: ours over the best peer of as many bits", min(others), 1.5)
    for key in (key for key in ratios if key.startswith("prefill") and "OpenVINO" in key):
        at_least(key, ratios[key], 1.0)
    for name, facts in found["facts"].items():
        if "int" in name:
            read = facts["weight_bytes"] + CONTEXT * facts["cache_bytes"]
            share = found["speeds"][name]["batch 1"]["median"] * read / found["bandwidth"]["median"]
            at_least(f"{name}: share of the bandwidth bound at batch 1", share, 0.8)
    likely = found["likelihoods"]
    for ours, its in (("ours, int4", "llama.cpp, Q4_1"), ("ours, int8", "llama.cpp, Q8_0")):
        if ours in likely and its in likely:
            more = math.exp(likely[ours]["nats_per_token"] - likely[its]["nats_per_token"])
            rows.append((f"perplexity of {ours} over {its} ≤ 1", f"{more:.5f}", more <= 1))
    starts = found["starts"]
    if starts:
        ours = min(row["median"] for name, row in starts.items() if name.startswith("ours"))
        rows.append(("cold start ≤ 2 s", f"{ours:.1f} s, {starts[TORCH]['median']:.1f} of it {TORCH}", ours <= 2))
    return rows
