"""How many steps a duration is: by arithmetic, or for a time by a probe on this machine."""

from __future__ import annotations

import copy
import math
import statistics
import time

import torch

from wenlu.config import Duration
from wenlu.errors import UsageError
from wenlu.models import LanguageModel
from wenlu.tasks import Task
from wenlu.training.batches import Batches
from wenlu.training.config import TrainConfig
from wenlu.training.optimizers import OptimizerConfig
from wenlu.training.state import TrainState
from wenlu.training.train import TrainData, accumulate
from wenlu.training.validation import validate

WARM_UP_STEPS, PROBED_STEPS, PROBE_SHARE = 2, 6, 0.05
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
) -> TrainConfig:
    """`config` with its duration in steps; `model` and the random numbers stay as they are.

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
            steps = _steps_in(amount, config, optimizer, model, task, data, seed)
    return config.model_copy(update={"duration": Duration(steps, "steps")})


def seconds_of_a_step(
    config: TrainConfig, optimizer: OptimizerConfig, model: LanguageModel, task: Task, data: TrainData, seed: int
) -> float:
    """Median of a few steps of `model`, whose weights do not move."""
    state = TrainState(model, optimizer)
    batches = Batches(data.train, config.rows_per_step, seed, config.separate_documents)
    durations = [_seconds_of(state, task, batches, config) for _ in range(1 + SHORT_PROBE_STEPS)]
    return statistics.median(durations[1:])


def _seconds_of(state: TrainState, task: Task, batches: Batches, config: TrainConfig) -> float:
    started = time.perf_counter()
    totals = accumulate(state, task, batches, config)
    state.update(count=totals.count, tokens=totals.tokens, factor=0.0, clip_norm=config.clip_norm)
    return time.perf_counter() - started


def _steps_in(
    seconds: float,
    config: TrainConfig,
    optimizer: OptimizerConfig,
    model: LanguageModel,
    task: Task,
    data: TrainData,
    seed: int,
) -> int:
    """Steps that fit in `seconds`, with the validations and the probe itself paid from it."""
    begin = time.perf_counter()
    random = torch.get_rng_state()
    state = TrainState(copy.deepcopy(model), optimizer, ema=config.ema)
    batches = Batches(data.train, config.rows_per_step, seed, config.separate_documents)
    durations: list[float] = []
    while len(durations) < WARM_UP_STEPS + PROBED_STEPS:
        durations.append(_seconds_of(state, task, batches, config))
        if len(durations) > WARM_UP_STEPS and time.perf_counter() - begin > PROBE_SHARE * seconds:
            break
    validation = 0.0
    if data.validation is not None and config.validations:
        started = time.perf_counter()
        validate(task, state.model, data.validation, config)
        validation = time.perf_counter() - started
    torch.set_rng_state(random)
    step = statistics.median(durations[WARM_UP_STEPS:])
    left = seconds - (time.perf_counter() - begin) - config.validations * validation
    if left < step:
        raise UsageError(
            f"train.duration of {seconds:g} seconds is too short: a step takes {step:.2f} s and the "
            f"{config.validations} validations {config.validations * validation:.1f} s on this machine"
        )
    return int(left / step)
