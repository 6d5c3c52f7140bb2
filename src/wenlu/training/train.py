"""The training loop: pretraining, fine-tuning and distillation differ by task and initial weights, not by loop."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from wenlu.corpus.packing import Rows
from wenlu.distributed import Placement, alone
from wenlu.errors import UsageError
from wenlu.models import LanguageModel
from wenlu.progress import QUIET, Progress
from wenlu.rundir import Run
from wenlu.tasks import Reading, Task, Totals
from wenlu.tokenizers import Tokenizer
from wenlu.training.activations import layers_recomputed
from wenlu.training.batches import Batches
from wenlu.training.best import Best
from wenlu.training.budget import Budget
from wenlu.training.config import TrainConfig
from wenlu.training.guard import guarded
from wenlu.training.memory import is_out_of_memory
from wenlu.training.optimizers import OptimizerConfig
from wenlu.training.profiling import profiled
from wenlu.training.resume import after_step, resume, save, try_to_save
from wenlu.training.samples import sample
from wenlu.training.schedule import ScheduleConfig, learning_rate_factor
from wenlu.training.state import News, TrainState
from wenlu.training.telemetry import Telemetry, due, log
from wenlu.training.totals import over_all
from wenlu.training.validation import device_of, validate


@dataclass(frozen=True)
class TrainData:
    """What to learn from, what to measure on, what to continue along the way, and what not to unlearn."""

    train: Rows
    validation: Rows | None
    prompt: str | None = None
    tokenizer: Tokenizer | None = None
    budget: Budget | None = None


def train(
    config: TrainConfig,
    optimizer: OptimizerConfig,
    schedule: ScheduleConfig,
    *,
    model: LanguageModel,
    task: Task,
    data: TrainData,
    run: Run,
    seed: int,
    placement: Placement | None = None,
    progress: Progress = QUIET,
) -> TrainState:
    """Train `model` in place until `config.duration`, which must be in steps, from the run's newest checkpoint.

    At the end the model has the weights that are to be kept, which may be averages. The processes of a `placement` all
    call this, and take the course of a single one.

    Raises:
        Preempted, Interrupted: on SIGTERM and SIGINT, after a checkpoint; the same call goes on from it.
        Diverged: the gradients keep being infinite or not a number, and there is no going back.
        ResourceError: memory ran out, or a disk at the end.
    """
    steps = int(config.duration.amount)
    placement = placement or alone(model)
    batches = Batches(data.train, config.rows_per_step, seed, config.separate_documents, placement.share)
    state = new_state(config, optimizer, model, data, placement)
    resume(state, config, run, progress)
    telemetry = Telemetry(run, state, task, batches, steps=steps)
    progress.start("train", total=steps, unit="steps")
    validated: dict[str, str] = {}
    with guarded(state, config, run, progress) as stop, profiled(config.profile_steps, run.path, progress) as step_done:
        while state.step < steps and not (state.is_over or placement.world.any(bool(stop))):
            begin = time.perf_counter()
            factor = learning_rate_factor(schedule, state.step, steps)
            totals = accumulate(state, task, batches, config)
            telemetry.before_update(totals)
            norm = state.update(
                count=totals.count,
                loss=totals.sum,
                tokens=totals.tokens,
                factor=factor,
                clip_norm=config.clip_norm,
            )
            if not after_step(state, norm, config, run, progress):
                continue
            speed = totals.tokens / (time.perf_counter() - begin)
            state.seconds += totals.tokens / speed
            telemetry.after_update(totals, unit=task.loss_unit, factor=factor, norm=norm, speed=speed)
            if data.validation is not None and due(state.step, steps, config.validations):
                with state.averaged():
                    validated = look(state, task, data, config, run)
            if due(state.step, steps, config.checkpoints) and state.step < steps:
                try_to_save(state, config, run, progress)
            progress.update(state.step, loss=f"{totals.mean:.3f}", **validated, speed=f"{speed:,.0f} tokens/s")
            step_done()
    save(state, run, keep=config.keep_checkpoints)
    if stop:
        raise stop.error(f"stopped after step {state.step:,} of {steps:,}; the same command goes on from there")
    state.settle()
    progress.finish(f"{state.tokens:,} tokens in {state.seconds:,.0f} s")
    return state


def new_state(
    config: TrainConfig, optimizer: OptimizerConfig, model: LanguageModel, data: TrainData, placement: Placement
) -> TrainState:
    """Before the first step; raises UsageError where the best weights cannot be told or kept."""
    if config.keep_best and data.validation is None:
        raise UsageError("train.keep_best: there is no validation part to tell the best; set data.validation=0.1")
    if config.keep_best and placement.is_cut:
        raise UsageError('train.keep_best: each process holds a part of the model; use distributed.parallel="ddp"')
    best = Best(config.patience) if config.keep_best else None
    state = TrainState(
        model, optimizer, ema=config.ema, spike_factor=config.spike_factor, best=best, placement=placement
    )
    if best is not None and data.budget is not None and data.budget.most is not None:
        best.begin({name: placement.weights[name] for name in state.trained})
    return state


def accumulate(state: TrainState, task: Task, batches: Batches, config: TrainConfig) -> Totals:
    """Sum the gradients of this process's micro-batches; returns the losses and numbers of targets of all.

    Where memory runs out, the step begins again with half the rows a forward pass; raises OutOfMemory at one row. A
    process that holds a part of the model cannot begin again without the others.
    """
    random = torch.get_rng_state()
    while True:
        try:
            totals = sum_gradients(state, task, batches, config)
            break
        except (RuntimeError, MemoryError) as error:
            if state.placement.is_cut or not is_out_of_memory(error):
                raise
            why = str(error).strip().partition("\n")[0] or "the allocator refused"
        torch.set_rng_state(random)
        state.shrink(config.rows_per_forward, why)  # here, where the error no longer holds what the step had made
    return over_all(totals, state.placement)


def sum_gradients(state: TrainState, task: Task, batches: Batches, config: TrainConfig) -> Totals:
    device = device_of(state.model)
    totals = Totals()
    with layers_recomputed(state.model, on=config.activation_checkpointing):
        for draw in batches.micro(state.step, state.rows(config.rows_per_forward)):
            loss = task.loss(state.model, task.batch(draw).to(device))
            torch.autograd.backward(loss.sum)
            state.placement.collect_gradients()
            state.masters.pull_gradients()
            totals = totals.plus(loss)
    state.news += [News("damaged_row", reason, "", f"{reason}; passed over") for reason in batches.damage()]
    return totals


def look(state: TrainState, task: Task, data: TrainData, config: TrainConfig, run: Run) -> dict[str, str]:
    """Log what the model says of held-out rows, and how it continues the prompt; returns what progress shows of it."""
    assert data.validation is not None, "only a run with held-out rows is looked at"
    readings = validate(task, state.model, data.validation, config, state.placement)
    is_allowed = True
    if data.budget is not None:
        nats = data.budget.nats(state.model, config, state.placement)
        log(run, state, "probe", nats, "nats/target")
        is_allowed = data.budget.allows(nats)
    state.look_back(readings[0].value, is_allowed=is_allowed)
    for reading in readings:
        log(run, state, reading.name, reading.value, reading.unit)
    if config.ema is not None:
        log(run, state, "ema", config.ema, "of the average kept at each step; what is validated and saved")
    if data.prompt is not None and data.tokenizer is not None:
        log(run, state, "sample", sample(state.model, task, data.tokenizer, data.prompt), "text")
    return {_label(reading): f"{reading.value:.3f}" for reading in readings}


def _label(reading: Reading) -> str:
    """As progress calls it: the main reading by its unit."""
    return reading.unit if reading.name == "validation" else reading.name
