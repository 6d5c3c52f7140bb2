"""Kill a training run with SIGKILL at random moments; each resumption ends in the same weights, bit for bit.

`make test` tries three moments, `make proof-faults` fifty.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

import wenlu

RECIPE = Path("recipes/tiny.toml")
SETTINGS = [
    "train.duration=60 steps",
    "train.checkpoints=30",
    "train.allocator=as-is",
    "train.threads=2",
    "train.dtype=bfloat16",
    "optimizer.name=muon",
]
KILLS = 50 if os.environ.get("WENLU_PROOF") == "1" else 3


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """A finished run, and the seconds that its training took in a process of its own."""
    out = tmp_path_factory.mktemp("kill") / "whole"
    wenlu.tokenizer(RECIPE, out, SETTINGS)
    begin = time.perf_counter()
    subprocess.run(command(out), check=True, capture_output=True)
    return out, time.perf_counter() - begin


@pytest.mark.timeout(1200)
def test_a_killed_run_resumes_to_the_weights_of_an_uninterrupted_one(
    uninterrupted: tuple[Path, float], tmp_path: Path
) -> None:
    whole, seconds = uninterrupted
    moments = random.Random(7)
    killed = 0
    for attempt in range(KILLS):
        out = tmp_path / str(attempt)
        wenlu.tokenizer(RECIPE, out, SETTINGS)
        process = subprocess.Popen(command(out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(moments.uniform(0.3, 1.0) * seconds)
        process.kill()
        killed += process.wait() == -9
        subprocess.run(command(out), check=True, capture_output=True)
        for name in ("model.safetensors", "config.json", "tokenizer.json"):
            assert (out / "model" / name).read_bytes() == (whole / "model" / name).read_bytes(), (attempt, name)
    assert killed >= KILLS / 2, f"only {killed} of {KILLS} kills hit a living process"


def command(out: Path) -> list[str]:
    return [sys.executable, "-m", "wenlu", "pretrain", str(RECIPE), *SETTINGS, "--out", str(out)]
