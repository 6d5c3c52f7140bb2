"""Sentences/s of MiniLM's vectors beside transformers: `make bench-encoders [QUICK=1]`.

From texts to vectors, tokenising included. Each side is a process of its own that sleeps while another is measured; in
each round every side has one turn over the same sentences, and a ratio is the median over the rounds. Before, the
vectors are compared with those of transformers in float32. The full form writes `benchmarks/encoders.md`; both print
one JSON object as their last line.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from peers.page import processor, spread
from peers.sentences import FOLDER, SENTENCES, prepare
from peers.side import Side, summary

GOAL, NEAR = 2.0, 0.9999
PEER, EXACT = "transformers, bfloat16", "transformers, float32"


@dataclass(frozen=True)
class Contestant:
    program: str
    dtype: str


SIDES = {
    EXACT: Contestant("encoding_transformers", "float32"),
    PEER: Contestant("encoding_transformers", "bfloat16"),
    "ours, float32": Contestant("encoding_ours", "float32"),
    "ours, bfloat16": Contestant("encoding_ours", "bfloat16"),
}
ROUNDS, QUICK_ROUNDS = 9, 3


def measure(rounds: int) -> dict[str, dict[str, Any]]:
    """Sentences/s of each side, one entry a round, and how near its vectors are to the exact ones."""
    sentences = prepare()
    files = {name: FOLDER / f"{side.program}-{side.dtype}.npy" for name, side in SIDES.items()}
    sides = {}
    for name, side in SIDES.items():
        given = ["--sentences", str(sentences), "--vectors", str(files[name]), "--dtype", side.dtype]
        sides[name] = Side(side.program, "as shipped", given)
        sides[name].seconds_of(1)  # to warm up, and the vectors are there
    exact = np.load(files[EXACT]).astype(np.float64)
    found: dict[str, dict[str, Any]] = {}
    for name, file in files.items():
        vectors = np.load(file).astype(np.float64)
        lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(exact, axis=1)
        found[name] = {"speeds": [], "cosine": float(((vectors * exact).sum(axis=1) / lengths).min())}
    for number in range(rounds):
        for name in sides if number % 2 == 0 else reversed(sides):
            found[name]["speeds"].append(SENTENCES / sides[name].seconds_of(1))
        told = ", ".join(f"{name} {facts['speeds'][-1]:.0f}" for name, facts in found.items())
        print(f"{told} sentences/s", file=sys.stderr, flush=True)
    for name, each in sides.items():
        found[name]["peak_bytes"] = each.peak_bytes
        each.close()
    for facts in found.values():
        ratios = [own / its for own, its in zip(facts["speeds"], found[PEER]["speeds"], strict=True)]
        facts["over_peer"] = summary(ratios)
    return found


def write_page(path: Path, found: dict[str, dict[str, Any]], rounds: int) -> None:
    versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers"))
    lines = [
        "# Vectors of sentences beside transformers",
        "",
        f"`make bench-encoders`, {datetime.now(UTC):%Y-%m-%d}; {processor()}; Python {platform.python_version()}, "
        f"{versions}; {len(os.sched_getaffinity(0))} threads, load average at the end {os.getloadavg()[0]:.1f}. "
        f"all-MiniLM-L6-v2 (6 × 384), {SENTENCES} sentences of film reviews a turn, from texts to vectors. Medians, "
        f"and lowest to highest, of {rounds} rounds, in each of which every side has a turn over the same sentences. "
        "*transformers* sorts them by length into batches of 32; ours keeps the memory of large tensors. "
        "The cosine is the least of a turn's sentences, beside "
        f"transformers in float32; ours is to be above {NEAR}, and {GOAL:g} times as fast as transformers in bfloat16.",
        "",
        "| side | sentences/s | beside transformers in bfloat16 | least cosine | peak memory |",
        "|---|---|---|---|---|",
    ]
    for name, facts in found.items():
        lines.append(
            f"| {name} | {spread(summary(facts['speeds']), '.0f')} | {spread(facts['over_peer'], '.2f')} × | "
            f"{facts['cosine']:.6f} | {facts['peak_bytes'] / 1e9:.2f} GB |"
        )
    name = fastest(found)
    ratio = found[name]["over_peer"]["median"]
    verdict = "met" if ratio >= GOAL else "**missed**"
    lines += ["", f"The goal: {verdict}, by {name} with {ratio:.2f} ×."]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def fastest(found: dict[str, dict[str, Any]]) -> str:
    """Which of ours is near enough and then the fastest."""
    near = [name for name, facts in found.items() if name.startswith("ours") and facts["cosine"] > NEAR]
    return max(near, key=lambda name: found[name]["over_peer"]["median"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="three rounds, and no page is written")
    quick = parser.parse_args().quick
    rounds = QUICK_ROUNDS if quick else ROUNDS
    found = measure(rounds)
    if not quick:
        write_page(Path(__file__).with_suffix(".md"), found, rounds)
    told: dict[str, Any] = {"best": fastest(found)}
    for name, facts in found.items():
        key = name.replace(", ", "/")
        told[f"{key}/sentences_per_second"] = round(summary(facts["speeds"])["median"], 1)
        told[f"{key}/over_transformers_bfloat16"] = round(facts["over_peer"]["median"], 3)
        told[f"{key}/cosine"] = round(facts["cosine"], 7)
    print(json.dumps(told))


if __name__ == "__main__":
    main()
