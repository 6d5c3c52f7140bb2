"""What training will take of this machine, from a probe on it."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from wenlu.lifecycle.life import Life
from wenlu.lifecycle.training import Beginning, begin_training
from wenlu.rundir.checkpoint import SHARD_BYTES
from wenlu.training import TrainConfig, fitted, resolve_duration
from wenlu.training.energy import EnergyMeter
from wenlu.training.footprint import Footprint, footprint
from wenlu.training.memory import free_bytes, memory_use, reset_peak
from wenlu.training.pace import Pace, measure_pace
from wenlu.training.validation import device_of


@dataclass(frozen=True)
class Forecast:
    """Bytes, seconds and joules of a training; None where this machine does not tell.

    Attributes:
        memory: of the process at its peak. device_memory: of a CUDA device, likewise.
        disk: of the run once it is trained. disk_peak: while its last checkpoint is written.
        seconds: of the training stage, with looks, checkpoints and what stands before the first step.
    """

    steps: int
    seconds: float
    step_seconds: float
    look_seconds: float
    checkpoint_seconds: float
    begin_seconds: float
    memory: int | None
    device_memory: int | None
    disk: int
    disk_peak: int
    joules: float | None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Probed:
    """A forecast, and what it was made from."""

    forecast: Forecast
    begun: Beginning
    config: TrainConfig
    pace: Pace
    need: Footprint


def forecast(life: Life, seconds: float) -> Probed:
    """Make the model that the life would train, and measure it for about so many `seconds`; nothing is kept of it."""
    started = time.perf_counter()
    begun = begin_training(life)
    began = time.perf_counter() - started
    recipe, device = begun.recipe, device_of(begun.model)
    config = fitted(recipe.train, recipe.optimizer, begun.model, begun.task, begun.data.train, life.progress)
    before = memory_use(device).get("memory")
    reset_peak(device)
    meter, started = EnergyMeter(), time.perf_counter()
    pace = measure_pace(
        config, recipe.optimizer, begun.model, begun.task, begun.data, recipe.seed, seconds=seconds, folder=life.out
    )
    joules, took = meter.since_last(), time.perf_counter() - started
    use = memory_use(device)
    free = free_bytes(device) or 1 << 62
    need = footprint(config, recipe.optimizer, begun.model, begun.task, begun.data.train, free)
    steps = planned_steps(begun, config, pace)
    whole = began + pace.seconds(config, steps)
    kept = min(config.keep_checkpoints, max(1, config.checkpoints)) * pace.checkpoint_bytes
    disk = size_of(life.out) + kept + (weights_of(begun) if recipe.adapter is None else trained_of(begun))
    told = Forecast(
        steps=steps,
        seconds=whole,
        step_seconds=pace.step,
        look_seconds=pace.look,
        checkpoint_seconds=pace.checkpoint,
        begin_seconds=began,
        memory=_memory(use.get("memory_peak"), before, begun, config, need),
        device_memory=None if device.type != "cuda" else int(use["device_memory_peak"]) - weights_of(begun),
        disk=disk,
        disk_peak=disk + pace.checkpoint_bytes,
        joules=None if joules is None else joules / took * whole,
    )
    return Probed(told, begun, config, pace, need)


def _memory(
    peak: float | None, before: float | None, begun: Beginning, config: TrainConfig, need: Footprint
) -> int | None:
    """The peak of the probe, which has a copy of the model that training lacks, and none of the best weights; or that
    of saving."""
    if peak is None or before is None:
        return None
    weights = weights_of(begun) if device_of(begun.model).type == "cpu" else 0
    best = min(weights, trained_of(begun)) if config.keep_best else 0
    lasting = need.weights + need.optimizer
    saving = before + lasting + best + min(2 * SHARD_BYTES, 2 * lasting)
    return int(max(peak - weights + best, saving))


def planned_steps(begun: Beginning, config: TrainConfig, pace: Pace) -> int:
    """What `train.duration` and `train.budget` come to at this pace, at least one."""
    limits = [each.amount for each in (config.duration, config.budget) if each is not None and each.unit == "seconds"]
    steps = [pace.steps_within(config, limit - pace.spent) for limit in limits]
    if config.duration.unit != "seconds":
        whole = config.model_copy(update={"budget": None})
        steps.append(
            resolve_duration(
                whole, begun.recipe.optimizer, begun.model, begun.task, begun.data, begun.recipe.seed
            ).duration.amount
        )
    return max(1, int(min(steps)))


def weights_of(begun: Beginning) -> int:
    return sum(weight.nbytes for weight in begun.model.parameters())


def trained_of(begun: Beginning) -> int:
    """Bytes of the weights that training moves."""
    return sum(weight.nbytes for weight in begun.model.parameters() if weight.requires_grad)


def size_of(folder: Path) -> int:
    """Bytes of the files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
