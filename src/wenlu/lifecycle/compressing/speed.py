"""How fast a model answers and what memory that takes, found in a process of its own."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from wenlu.bundle import load
from wenlu.compression.calibration import read
from wenlu.errors import ResourceError
from wenlu.generation.engine import Engine, Request
from wenlu.generation.forward import inference
from wenlu.models import Ability, family_of

_SECONDS = 3600
_PROMPT = 8
_STATUS = Path("/proc/self/status")


@dataclass(frozen=True)
class Speed:
    """Attributes:
    read: tokens a second of texts that are read whole, one after another.
    written: tokens a second of one answer; None of models that do not write.
    peak_bytes: of the process, the program itself included.
    """

    read: float
    written: float | None
    peak_bytes: int


def measure(folder: Path, tokens: int) -> Speed:
    """The speed of the model in a folder; raises ResourceError where the process ends otherwise than it should."""
    command = [sys.executable, "-m", __spec__.name, str(folder), str(tokens)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_SECONDS)
    if done.returncode:
        raise ResourceError(
            f"{folder}: its speed could not be measured ({done.stderr.strip().splitlines()[-1:]}); go on without: "
            "compress.measure=false"
        )
    return Speed(**json.loads(done.stdout.splitlines()[-1]))


def measured(folder: str, tokens: int) -> Speed:
    """As `measure`, in this process."""
    model = load(folder).model
    context = model.config.context or tokens + _PROMPT
    size = min(tokens, context)
    ids = torch.randint(model.config.vocab_size, (1, size), generator=torch.Generator().manual_seed(0))
    rounds = max(1, -(-tokens // size))
    with inference(model):
        read(model, ids[:, : min(size, _PROMPT)])
        begun = time.perf_counter()
        for _ in range(rounds):
            read(model, ids)
        seconds = time.perf_counter() - begun
    written = None
    if family_of(model).abilities & {Ability.CAUSAL, Ability.ENCODER_DECODER}:
        written = _written(model, ids[0, :_PROMPT].tolist(), min(tokens, context - _PROMPT))
    return Speed(read=rounds * size / seconds, written=written, peak_bytes=_peak())


def _peak() -> int:
    """The kernel's own count is of this program; what `getrusage` says begins with that of whoever started it."""
    if _STATUS.exists():
        line = next(line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _written(model: Any, prompt: list[int], count: int) -> float | None:
    if count < 1:
        return None
    engine = Engine(model, max_batch=1)
    engine.submit(Request(prompt, max_new_tokens=count))
    begun, found = time.perf_counter(), 0
    while engine.busy:
        found += len(list(engine.step()))
    return found / (time.perf_counter() - begun)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(vars(measured(sys.argv[1], int(sys.argv[2])))) + "\n")
