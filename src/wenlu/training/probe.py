"""How many steps a duration is: by arithmetic, or for a time by a probe on this machine."""

from __future__ import annotations

import math
import statistics
from pathlib import Path

from wenlu.config import Duration
from wenlu.errors import UsageError
from wenlu.models import LanguageModel
from wenlu.tasks import Task
from wenlu.training.batches import Batches
from wenlu.training.config import TrainConfig
from wenlu.training.optimizers import OptimizerConfig
from wenlu.training.pace import measure_pace, seconds_of
from wenlu.training.state import TrainState
from wenlu.training.train import TrainData

PROBE_SHARE = 0.05
SHORT_PROBE_STEPS = 3


def resolve_duration(
    config: TrainConfig,
    optimizer: OptimizerConfig,
    model: LanguageModel,
    task: Task,
    data: TrainData,
    seed: int,
    *,
    processes: int = 1,
    folder: Path | None = None,
) -> TrainConfig:
    """`config` with its duration in steps; `model` and the random numbers stay as they are.

    Checkpoints are paid from a time as a probe below `folder` finds them, which is where the run will write them.

    Raises:
        UsageError: the time does not suffice for a single step, or there are several processes.
    """
    if config.budget is not None:
        within = resolve_duration(
            config.model_copy(update={"duration": config.budget, "budget": None}),
            optimizer,
            model,
            task,
            data,
            seed,
            processes=processes,
            folder=folder,
        )
        whole = config.model_copy(update={"budget": None})
        wanted = resolve_duration(whole, optimizer, model, task, data, seed, processes=processes)
        return min(within, wanted, key=lambda each: each.duration.amount)
    amount, unit = config.duration.amount, config.duration.unit
    match unit:
        case "steps":
            steps = math.ceil(amount)
        case "tokens":
            steps = math.ceil(amount / (config.rows_per_step * config.context))
        case "epochs":
            steps = math.ceil(amount * len(data.train) / config.rows_per_step)
        case "seconds":
            if processes > 1:
                raise UsageError(
                    f"train.duration of {amount:g} seconds: a single process measures how many steps that is, and this "
                    f"run has {processes}; give steps, tokens or epochs"
                )
            steps = _steps_in(amount, config, optimizer, model, task, data, seed, folder)
    return config.model_copy(update={"duration": Duration(steps, "steps")})


def seconds_of_a_step(
    config: TrainConfig, optimizer: OptimizerConfig, model: LanguageModel, task: Task, data: TrainData, seed: int
) -> float:
    """Median of a few steps of `model`, whose weights do not move."""
    state = TrainState(model, optimizer)
    batches = Batches(data.train, config.rows_per_step, seed, config.separate_documents)
    durations = [seconds_of(state, task, batches, config) for _ in range(1 + SHORT_PROBE_STEPS)]
    return statistics.median(durations[1:])


def _steps_in(
    seconds: float,
    config: TrainConfig,
    optimizer: OptimizerConfig,
    model: LanguageModel,
    task: Task,
    data: TrainData,
    seed: int,
    folder: Path | None,
) -> int:
    """Steps that fit in `seconds`, with the looks, the checkpoints and the probe itself paid from it."""
    most = PROBE_SHARE * seconds
    pace = measure_pace(config, optimizer, model, task, data, seed, seconds=most, folder=folder)
    steps = int(pace.steps_within(config, seconds - pace.spent))
    if steps < 1:
        raise UsageError(
            f"train.duration of {seconds:g} seconds is too short: a step takes {pace.step:.2f} s, and the "
            f"{config.validations} validations and {max(1, config.checkpoints)} checkpoints {pace.besides(config):.1f} "
            "s on this machine"
        )
    return steps
