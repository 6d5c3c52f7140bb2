"""Tokens/s of our engine beside other engines: `make bench-generate [QUICK=1]`.

llama.cpp, OpenVINO GenAI, CTranslate2, Hugging Face and we generate with SmolLM2-135M on two threads, each a process of
its own that sleeps while another is measured; in each round every side has a turn of every kind, so a ratio compares
what was measured within seconds, and is the median over the rounds. The peers live in an environment of their own
(`make peers`); those that are not installed are left out and named. The full form also scores held-out text with every
precision and writes `benchmarks/generation.md`; both print one JSON object as their last line.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from generation_files import FOLDER, held_out_ids, model_files
from generation_page import TORCH, write_page
from peers.side import summary

HERE = Path(__file__).parent
PEERS = HERE.parent / ".venv-peers" / "bin" / "python"
THREADS = 2


@dataclass(frozen=True)
class Contestant:
    """A side of the measurement.

    Attributes:
        program: in `peers/generation`.
        model: which of `model_files`.
        bits: of most weights; ratios are of ours with as many.
        scores: whether it tells the likelihood of a text.
    """

    program: str
    model: str
    bits: int
    options: tuple[str, ...] = ()
    scores: bool = True

    @property
    def is_ours(self) -> bool:
        return self.program == "ours_side"

    @property
    def python(self) -> Path:
        return Path(sys.executable) if self.is_ours else PEERS


SIDES = {
    "ours, int4": Contestant("ours_side", "package", 4, ("int4",)),
    "ours, int8": Contestant("ours_side", "package", 8, ("int8",)),
    "ours, bfloat16": Contestant("ours_side", "package", 16, ("bfloat16",)),
    "llama.cpp, Q4_1": Contestant("llama_cpp_side", "gguf-q4_1", 4),
    "llama.cpp, Q8_0": Contestant("llama_cpp_side", "gguf-q8_0", 8),
    "OpenVINO GenAI, int4": Contestant("openvino_side", "openvino-int4", 4, scores=False),
    "OpenVINO GenAI, int8": Contestant("openvino_side", "openvino-int8", 8, scores=False),
    "CTranslate2, int8": Contestant("ctranslate2_side", "ctranslate2-int8", 8),
    "transformers, bfloat16": Contestant("transformers_side", "folder", 16),
}
TURNS: dict[str, dict[str, Any]] = {
    "prefill 512": {"do": "prefill", "tokens": 512},
    "batch 1": {"do": "decode", "batch": 1, "context": 128, "tokens": 32},
    "batch 8": {"do": "decode", "batch": 8, "context": 128, "tokens": 16},
    "batch 16": {"do": "decode", "batch": 16, "context": 128, "tokens": 16},
}
QUICK_TURNS = ("prefill 512", "batch 1", "batch 16")
QUICK_SIDES = ("ours, int4", "ours, int8", "llama.cpp, Q4_1", "llama.cpp, Q8_0", "transformers, bfloat16")


class Side:
    """A process that loads the model, and then waits."""

    def __init__(self, told: Contestant, model: str) -> None:
        command = [str(told.python), str(HERE / "peers" / "generation" / f"{told.program}.py"), model, str(THREADS)]
        self.process = subprocess.Popen(
            [*command, *told.options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.peak_bytes = 0
        self.facts: dict[str, int] = {}

    def ask(self, turn: Mapping[str, Any]) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(turn) + "\n")
        self.process.stdin.flush()
        while line := self.process.stdout.readline():
            if line.startswith("{"):
                found: dict[str, Any] = json.loads(line)
                self.peak_bytes = found["peak_bytes"]
                self.facts = {key: found[key] for key in ("weight_bytes", "cache_bytes") if key in found}
                return found
        raise SystemExit(f"a side ended: {self.process.args}")

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def tokens_of(turn: Mapping[str, Any]) -> int:
    return int(turn["tokens"] * turn.get("batch", 1))


def bandwidth(size: int) -> float:
    """Bytes/s at which `THREADS` threads read a buffer of that size, the best of a few times."""
    torch.set_num_threads(THREADS)
    buffer = torch.ones(size // 8, dtype=torch.int64)
    seconds = []
    for _ in range(5):
        begin = time.perf_counter()
        buffer.sum()
        seconds.append(time.perf_counter() - begin)
    return buffer.nbytes / min(seconds)


def measure(
    sides: Mapping[str, Side], turns: Mapping[str, Mapping[str, Any]], rounds: int, say: Callable[[str], None]
) -> dict[str, dict[str, Any]]:
    """Tokens/s of every side in every turn, a list with one number a round; and bytes/s that memory gave."""
    speeds: dict[str, dict[str, list[float]]] = {name: {turn: [] for turn in turns} for name in sides}
    read: list[float] = []
    for name, side in sides.items():  # what is only done once is not measured
        say(f"warm up: {name}")
        side.ask({"do": "prefill", "tokens": 64})
        side.ask({"do": "decode", "batch": 2, "context": 32, "tokens": 4})
    for number in range(rounds):
        for turn, asked in turns.items():
            say(f"round {number + 1} of {rounds}: {turn}")
            order = list(sides) if number % 2 == 0 else list(sides)[::-1]
            for name in order:
                speeds[name][turn].append(tokens_of(asked) / sides[name].ask(asked)["seconds"])
            read.append(bandwidth(96_000_000))
    return {
        "speeds": {
            name: {turn: {"rounds": found, **summary(found)} for turn, found in row.items()}
            for name, row in speeds.items()
        },
        "bandwidth": summary(read),
    }


def ratios(speeds: Mapping[str, Mapping[str, Mapping[str, Any]]], names: Mapping[str, Contestant]) -> dict[str, float]:
    """Ours over each peer with as many bits (over those of eight with ours of eight), round by round."""
    found = {}
    for name, told in names.items():
        if told.is_ours:
            continue
        own = next((key for key, each in names.items() if each.is_ours and each.bits == told.bits), "ours, int8")
        for turn in speeds[name]:
            pairs = zip(speeds[own][turn]["rounds"], speeds[name][turn]["rounds"], strict=True)
            found[f"{turn}: {own} over {name}"] = summary([ours / its for ours, its in pairs])["median"]
    return found


def cold_starts(
    files: Mapping[str, str], names: Mapping[str, Contestant], times: int, say: Callable[[str], None]
) -> dict[str, Any]:
    """Seconds from the start of a process to its first token, of a prompt of eight; files are in memory."""
    found: dict[str, list[float]] = {name: [] for name in names}
    for number in range(times):
        say(f"cold start {number + 1} of {times}")
        for name, told in names.items():
            begin = time.perf_counter()
            side = Side(told, files[told.model])
            side.ask({"do": "prefill", "tokens": 8})
            found[name].append(time.perf_counter() - begin)
            side.close()
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import torch"], check=True)
        found.setdefault(TORCH, []).append(time.perf_counter() - begin)
    return {name: summary(seconds) for name, seconds in found.items()}


def likelihoods(
    sides: Mapping[str, Side], names: Mapping[str, Contestant], say: Callable[[str], None]
) -> dict[str, Any]:
    """Nats a token of held-out text under each side that tells it."""
    texts = held_out_ids(count=24, length=480)
    found: dict[str, Any] = {}
    for name, side in sides.items():
        if names[name].scores:
            say(f"score held-out text: {name}")
            nats = [value for ids in texts for value in side.ask({"do": "score", "ids": ids})["nats"]]
            found[name] = {"nats_per_token": sum(nats) / len(nats), "tokens": len(nats)}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="within five minutes, and no page is written")
    is_quick = parser.parse_args().quick

    def say(text: str) -> None:
        print(text, file=sys.stderr, flush=True)

    files, left_out = model_files(PEERS, say=say, wanted={each.model for each in SIDES.values()})
    names = {
        name: each
        for name, each in SIDES.items()
        if each.model in files and (not is_quick or name in QUICK_SIDES) and (each.is_ours or PEERS.exists())
    }
    turns = {name: turn for name, turn in TURNS.items() if not is_quick or name in QUICK_TURNS}
    starts = {} if is_quick else cold_starts(files, names, times=3, say=say)
    sides = {name: Side(each, files[each.model]) for name, each in names.items()}
    try:
        found = measure(sides, turns, rounds=2 if is_quick else 7, say=say)
        found["likelihoods"] = {} if is_quick else likelihoods(sides, names, say)
        found["peak_bytes"] = {name: side.peak_bytes for name, side in sides.items()}
        found["facts"] = {name: side.facts for name, side in sides.items() if side.facts}
        found["starts"] = starts
    finally:
        for side in sides.values():
            side.close()
    found["ratios"] = ratios(found["speeds"], names)
    found["left_out"] = left_out
    if not is_quick:
        (FOLDER / "found.json").write_text(json.dumps(found))
        write_page(HERE / "generation.md", found)
    flat: dict[str, Any] = {"bandwidth_gb_per_second": round(found["bandwidth"]["median"] / 1e9, 1)}
    flat |= {
        f"{name}/{turn}": round(row["median"], 1)
        for name, each in found["speeds"].items()
        for turn, row in each.items()
    }
    flat |= {name: round(value, 2) for name, value in found["ratios"].items()}
    print(json.dumps({**flat, "left_out": left_out}))


if __name__ == "__main__":
    main()
