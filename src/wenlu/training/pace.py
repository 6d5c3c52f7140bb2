"""How long training takes on this machine: its steps, its looks at held-out rows and its checkpoints, each measured.

Steps differ: rows of about one length share a step, so one may take ten times as long as another, and the first few of
a course say little of the rest. Those that are measured are spread over the course by the work that is in them, and
what they took is carried over to the mean work of all.
"""

from __future__ import annotations

import copy
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from wenlu.models import LanguageModel
from wenlu.rundir.atomic import temporary_name
from wenlu.rundir.checkpoint import save
from wenlu.tasks import Task
from wenlu.training.batches import Batches
from wenlu.training.config import TrainConfig
from wenlu.training.optimizers import OptimizerConfig
from wenlu.training.samples import sample
from wenlu.training.state import TrainState
from wenlu.training.train import TrainData, accumulate
from wenlu.training.validation import validate

PASSES, SURVEYED_STEPS = 2, 256
"""Of so many passes over the data, so many steps are looked at for the work in them."""
PROBED_STEPS = 15
SAVED_BYTES = 64 << 20
"""Of a larger checkpoint so much is written to find the disk's speed."""


@dataclass(frozen=True)
class Pace:
    """Seconds that an average step takes, a look at held-out rows, and a checkpoint; and what measuring them took.

    Attributes:
        checkpoint_bytes: of a checkpoint, as far as a state holds tensors.
    """

    step: float
    look: float
    checkpoint: float
    spent: float
    checkpoint_bytes: int = 0

    def steps_within(self, config: TrainConfig, seconds: float) -> float:
        """How many steps fit, with all looks and checkpoints beside them."""
        return (seconds - self.besides(config)) / self.step

    def besides(self, config: TrainConfig) -> float:
        """What training takes beside its steps."""
        return config.validations * self.look + max(1, config.checkpoints) * self.checkpoint

    def seconds(self, config: TrainConfig, steps: int) -> float:
        """What so many steps take, with the looks and checkpoints that are among them."""
        looks, checkpoints = min(steps, config.validations), max(1, min(steps, config.checkpoints))
        return steps * self.step + looks * self.look + checkpoints * self.checkpoint


def measure_pace(
    config: TrainConfig,
    optimizer: OptimizerConfig,
    model: LanguageModel,
    task: Task,
    data: TrainData,
    seed: int,
    *,
    seconds: float,
    folder: Path | None = None,
) -> Pace:
    """Measure a few steps in about so many `seconds`, a look and a checkpoint, written below `folder` and removed.

    The model and the random numbers stay as they are. Without a folder checkpoints count for nothing.
    """
    begin = time.perf_counter()
    random = torch.get_rng_state()
    state = TrainState(copy.deepcopy(model), optimizer, ema=config.ema)
    batches = Batches(data.train, config.rows_per_step, seed, config.separate_documents)
    step = _seconds_of_average(state, task, batches, config, seconds)
    look = _seconds_of_look(state, task, data, config) if data.validation is not None and config.validations else 0.0
    size = bytes_of_checkpoint(state, keeps_best=config.keep_best)
    checkpoint = 0.0 if folder is None else _seconds_of_checkpoint(state, folder, size)
    torch.set_rng_state(random)
    return Pace(step, look, checkpoint, time.perf_counter() - begin, size)


def seconds_of(state: TrainState, task: Task, batches: Batches, config: TrainConfig) -> float:
    """What the state's next step takes; the weights do not move."""
    started = time.perf_counter()
    totals = accumulate(state, task, batches, config)
    state.update(count=totals.count, tokens=totals.tokens, factor=0.0, clip_norm=config.clip_norm)
    return time.perf_counter() - started


def _seconds_of_average(state: TrainState, task: Task, batches: Batches, config: TrainConfig, most: float) -> float:
    steps, work = surveyed_steps(batches, config.rows_per_forward)
    order = np.argsort(work, kind="stable")

    def measured(place: int) -> float:
        state.step = int(steps[order[place]])
        return seconds_of(state, task, batches, config)

    begin = time.perf_counter()
    for place in (len(order) - 1, len(order) // 2):  # the first ones pay for memory, the longest for the most
        measured(place)
    taken: dict[int, float] = {}
    for share in evenly(PROBED_STEPS):
        place = int(share * len(order))
        taken[place] = measured(place)
        if time.perf_counter() - begin > most:
            break
    return carried_over([float(work[order[place]]) for place in taken], [*taken.values()], float(work.mean()))


def surveyed_steps(batches: Batches, rows_per_forward: int) -> tuple[np.ndarray, np.ndarray]:
    """Steps spread evenly over the first passes of the course, and the work in each."""
    passes = max(1, PASSES * len(batches.source) // batches.rows_per_step)
    steps = np.unique(np.linspace(0, passes - 1, SURVEYED_STEPS).astype(np.int64))
    return steps, np.array([batches.work(int(step), rows_per_forward) for step in steps])


def evenly(count: int) -> Iterator[float]:
    """Places in (0, 1) that are spread evenly whenever one stops (van der Corput 1935)."""
    for number in range(1, count + 1):
        digits = f"{number:b}"
        yield sum(int(digit) / 2 ** (place + 1) for place, digit in enumerate(reversed(digits)))


def carried_over(work: Sequence[float], seconds: Sequence[float], mean_work: float) -> float:
    """What the mean work takes, by the line of least squares through what was measured.

    It falls nowhere and costs nothing below no work; of fewer than three measurements it goes through zero.
    """
    x, y = np.asarray(work), np.asarray(seconds)
    steepest = float(y.mean() / x.mean())
    spread = float(((x - x.mean()) ** 2).sum())
    slope = steepest
    if len(x) > 2:
        slope = float(((x - x.mean()) * (y - y.mean())).sum() / spread) if spread else 0.0
    return float(y.mean() + min(steepest, max(0.0, slope)) * (mean_work - x.mean()))


def _seconds_of_look(state: TrainState, task: Task, data: TrainData, config: TrainConfig) -> float:
    assert data.validation is not None, "only held-out rows are looked at"
    started = time.perf_counter()
    with state.averaged():
        validate(task, state.model, data.validation, config)
        if data.prompt is not None and data.tokenizer is not None:
            sample(state.model, task, data.tokenizer, data.prompt)
    return time.perf_counter() - started


def bytes_of_checkpoint(state: TrainState, *, keeps_best: bool) -> int:
    best = sum(state.placement.weights[name].nbytes for name in state.trained) if keeps_best else 0
    return best + sum(tensor.nbytes for tensor in state.tensors().values())


def _seconds_of_checkpoint(state: TrainState, folder: Path, whole: int) -> float:
    """Of so many bytes, by the speed of writing, reading back and removing a part of what a state holds."""
    written, size = {}, 0
    for name, tensor in state.tensors().items():
        written[name] = tensor
        size += tensor.nbytes
        if size >= SAVED_BYTES:
            break
    scratch = temporary_name(folder / "probe")
    started = time.perf_counter()
    try:
        save(scratch, 0, written, {})
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return (time.perf_counter() - started) * whole / size
