"""The training loop: pretraining, fine-tuning and distillation differ by task and initial weights, not by loop."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from wenlu.corpus.packing import Windows
from wenlu.models import LanguageModel
from wenlu.progress import QUIET, Progress
from wenlu.rundir import Run
from wenlu.tasks import CausalLM
from wenlu.tokenizers import Tokenizer
from wenlu.training.batches import Batches
from wenlu.training.config import TrainConfig
from wenlu.training.optimizers import OptimizerConfig
from wenlu.training.resume import resume, save, try_to_save
from wenlu.training.samples import sample
from wenlu.training.schedule import ScheduleConfig, learning_rate_factor
from wenlu.training.state import TrainState
from wenlu.training.stop import StopSignal
from wenlu.training.validation import device_of, validation_bits_per_byte

LOGGED_STEPS = 2000


@dataclass(frozen=True)
class TrainData:
    """What to learn from, what to measure on, and what to continue along the way."""

    train: Windows
    validation: Windows | None
    prompt: str | None = None
    tokenizer: Tokenizer | None = None


def train(
    config: TrainConfig,
    optimizer: OptimizerConfig,
    schedule: ScheduleConfig,
    *,
    model: LanguageModel,
    task: CausalLM,
    data: TrainData,
    run: Run,
    seed: int,
    progress: Progress = QUIET,
) -> TrainState:
    """Train `model` in place until `config.duration`, which must be in steps, from the run's newest checkpoint.

    Raises:
        Preempted, Interrupted: on SIGTERM and SIGINT, after a checkpoint; the same call goes on from it.
        WenluError: the gradients keep being infinite or not a number.
    """
    steps = int(config.duration.amount)
    batches = Batches(data.train, config.rows_per_step, seed)
    state = resume(TrainState(model, optimizer), run, progress)
    progress.start("train", total=steps, unit="steps")
    validated: dict[str, str] = {}
    with StopSignal() as stop:
        while state.step < steps and not stop:
            begin = time.perf_counter()
            factor = learning_rate_factor(schedule, state.step, steps)
            loss, count = accumulate(state, task, batches, config)
            norm = state.update(count=count, factor=factor, clip_norm=config.clip_norm)
            speed = count / (time.perf_counter() - begin)
            state.seconds += count / speed
            if due(state.step, steps, LOGGED_STEPS):
                log(run, state, "loss", loss / count, "nats/token")
                log(run, state, "learning_rate", factor, "of peak")
                log(run, state, "gradient_norm", norm, "nats/token")
                log(run, state, "speed", speed, "tokens/s")
            if data.validation is not None and due(state.step, steps, config.validations):
                bits = validation_bits_per_byte(task, model, data.validation, config)
                log(run, state, "validation", bits, "bits/byte")
                validated = {"bits/byte": f"{bits:.3f}"}
                if data.prompt is not None and data.tokenizer is not None:
                    log(run, state, "sample", sample(model, task, data.tokenizer, data.prompt), "text")
            if due(state.step, steps, config.checkpoints) and state.step < steps:
                try_to_save(state, run, keep=config.keep_checkpoints, progress=progress)
            progress.update(state.step, loss=f"{loss / count:.3f}", **validated, speed=f"{speed:,.0f} tokens/s")
    save(state, run, keep=config.keep_checkpoints)
    if state.step < steps:
        raise stop.error(f"stopped after step {state.step:,} of {steps:,}; the same command goes on from there")
    progress.finish(f"{state.tokens:,} tokens in {state.seconds:,.0f} s")
    return state


def accumulate(state: TrainState, task: CausalLM, batches: Batches, config: TrainConfig) -> tuple[float, int]:
    """Sum the gradients of a step's micro-batches; returns the summed loss in nats and the number of targets."""
    device = device_of(state.model)
    total, count = 0.0, 0
    for rows in batches.micro(state.step, config.rows_per_forward):
        loss = task.loss(state.model, task.batch(rows, separate_documents=config.separate_documents).to(device))
        torch.autograd.backward(loss.sum)
        state.masters.pull_gradients()
        total, count = total + loss.sum.item(), count + loss.count
    return total, count


def due(step: int, steps: int, times: int) -> bool:
    """Whether something that happens `times` in `steps`, evenly and the last time at the end, happens after `step`."""
    return step * times // steps > (step - 1) * times // steps


def log(run: Run, state: TrainState, name: str, value: float | str, unit: str) -> None:
    run.log(name, value, unit, step=state.step, tokens=state.tokens, seconds=state.seconds)
