"""What every side of `benchmarks/train.py` shares: shapes, the text, and how a side is told to take its turn."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Shape:
    """A GPT-2: learned positions, biases, tied embeddings, no dropout."""

    layers: int
    width: int
    heads: int
    context: int
    rows: int
    vocabulary: int

    @property
    def tokens(self) -> int:
        """Of one step."""
        return self.context * self.rows

    @property
    def flops_per_token(self) -> int:
        """6 for each weight of a matrix product (PaLM, arXiv:2204.02311, appendix B), and causal attention once."""
        weights = self.layers * 12 * self.width**2 + self.vocabulary * self.width
        return 6 * weights + 6 * self.layers * self.context * self.width


SHAPES = {
    "tiny": Shape(layers=2, width=64, heads=2, context=64, rows=4, vocabulary=4096),
    "small": Shape(layers=6, width=384, heads=6, context=256, rows=16, vocabulary=4096),
    "124M": Shape(layers=12, width=768, heads=12, context=512, rows=8, vocabulary=50_304),
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--shape", choices=SHAPES, required=True)
    parser.add_argument("--tokens", type=Path, required=True, help="a folder of encoded text")
    return parser.parse_args()


class Blocks:
    """The text in rows of context + 1 tokens, in the order that it has."""

    def __init__(self, folder: Path, context: int) -> None:
        self.ids = np.memmap(folder / "tokens-00000.bin", np.uint16, mode="r")
        self.context = context

    def __len__(self) -> int:
        return (len(self.ids) - 1) // self.context

    def rows(self, numbers: np.ndarray) -> np.ndarray:
        """(len(numbers), context + 1) ids."""
        places = numbers[:, None] * self.context + np.arange(self.context + 1)
        return self.ids[places].astype(np.int64)


class Turns:
    """Waits on standard input for a number of steps, and tells on standard output how long each took.

    Between its turns a side sleeps, so that two of them can be measured in alternation.
    """

    def __init__(self) -> None:
        self._left = 0
        self._seconds: list[float] = []
        self._losses: list[float] = []
        self._begin = 0.0

    def wait(self) -> None:
        """Until there are steps to do; ends the process when there will be none."""
        line = sys.stdin.readline()
        if not line:
            sys.exit(0)
        self._left, self._seconds, self._losses = int(line), [], []
        self._begin = time.perf_counter()

    def done(self, loss: float) -> None:
        """After each step."""
        now = time.perf_counter()
        self._seconds.append(now - self._begin)
        self._losses.append(loss)
        self._begin = now
        self._left -= 1
        if not self._left:
            told = {"seconds": self._seconds, "losses": self._losses, "peak_bytes": peak_bytes()}
            print(json.dumps(told), flush=True)
            self.wait()

    def run(self, step: Callable[[], float]) -> None:
        self.wait()
        while True:
            self.done(step())


def peak_bytes() -> int:
    """Of memory that this process ever held (`VmHWM` of Linux)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("/proc/self/status tells no VmHWM")
