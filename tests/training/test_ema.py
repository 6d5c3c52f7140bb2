"""A moving average of the weights: what it is, what it is used for, and that training does not notice it."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest
import torch

from wenlu.errors import Interrupted
from wenlu.models import LanguageModel
from wenlu.progress import QUIET, Progress
from wenlu.rundir import Run
from wenlu.tasks import CausalLM
from wenlu.training import AdamWConfig, ScheduleConfig, TrainConfig, TrainData, TrainState, train
from wenlu.training.ema import MovingAverage
from wenlu.training.validation import validate

ADAMW, SCHEDULE = AdamWConfig(lr=0.01), ScheduleConfig(warmup_steps=2)
NewModel = Callable[..., LanguageModel]
NewRun = Callable[[str], Run]


class StopAt(Progress):
    def __init__(self, step: int) -> None:
        self.step = step

    def update(self, done: float, **facts: str) -> None:  # noqa: ARG002
        if done == self.step:
            os.kill(os.getpid(), signal.SIGINT)


def go(
    config: TrainConfig, model: LanguageModel, data: TrainData, run: Run, ema: float | None, progress: Progress = QUIET
) -> TrainState:
    settings = config.model_copy(update={"ema": ema})
    return train(settings, ADAMW, SCHEDULE, model=model, task=CausalLM(), data=data, run=run, seed=1, progress=progress)


def test_an_average_follows_its_weights_slower_as_it_grows_older() -> None:
    average = MovingAverage(0.25, {"a": torch.tensor([0.0], dtype=torch.float64)})
    average.update({"a": torch.tensor([11.0], dtype=torch.float64)})  # keeps 2/11
    assert average.weights["a"].item() == pytest.approx(9.0)
    average.update({"a": torch.tensor([21.0], dtype=torch.float64)})  # keeps min(1/4, 3/12)
    assert average.weights["a"].item() == pytest.approx(9 / 4 + 3 * 21 / 4)
    average.update({"a": torch.tensor([1.0], dtype=torch.float64)})  # keeps 1/4 and no longer 4/13
    assert average.weights["a"].item() == pytest.approx((9 / 4 + 3 * 21 / 4) / 4 + 3 / 4)


def test_the_average_of_bfloat16_weights_is_of_their_float32_masters(new_model: NewModel) -> None:
    state = TrainState(new_model(torch.bfloat16), ADAMW, ema=0.9)
    assert state.ema is not None
    assert {weight.dtype for weight in state.ema.weights.values()} == {torch.float32}


def test_a_skipped_step_does_not_count(new_model: NewModel) -> None:
    state = TrainState(new_model(), ADAMW, ema=0.9)
    assert state.ema is not None
    for weight in state.masters.parameters.values():
        weight.grad = torch.full_like(weight, torch.nan)
    state.update(count=1, factor=1.0, clip_norm=1.0)
    assert state.ema.updates == 0


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_training_does_not_notice_the_average(
    dtype: torch.dtype, config: TrainConfig, new_model: NewModel, data: TrainData, new_run: NewRun
) -> None:
    plain = go(config, new_model(dtype), data, new_run("a"), None)
    run = new_run("b")
    go(config, new_model(dtype), data, run, 0.9)
    checkpoint = run.newest_checkpoint()
    assert checkpoint is not None
    for name, weight in plain.masters.parameters.items():
        assert torch.equal(weight, checkpoint.tensors[f"weights.{name}"])


def test_the_average_is_what_is_validated_and_kept(
    config: TrainConfig, new_model: NewModel, data: TrainData, new_run: NewRun
) -> None:
    model, run = new_model(), new_run("a")
    go(config, model, data, run, 0.9)
    checkpoint = run.newest_checkpoint()
    assert checkpoint is not None
    for name, weight in model.named_parameters():
        assert torch.equal(weight, checkpoint.tensors[f"ema.{name}"])
        assert not torch.equal(weight, checkpoint.tensors[f"weights.{name}"])
    values = {event.name: event.value for event in run.events()}
    assert data.validation is not None
    assert validate(CausalLM(), model, data.validation, config)[0].value == values["validation"]
    assert values["ema"] == 0.9


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_six_steps_a_stop_and_six_more_are_twelve_bit_for_bit(
    dtype: torch.dtype, config: TrainConfig, new_model: NewModel, data: TrainData, new_run: NewRun
) -> None:
    whole, model = new_model(dtype), new_model(dtype)
    first, second = new_run("whole"), new_run("stopped")
    go(config, whole, data, first, 0.9)
    with pytest.raises(Interrupted):
        go(config, new_model(dtype), data, second, 0.9, StopAt(6))
    go(config, model, data, second, 0.9)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), model.parameters(), strict=True))
    expected, found = first.newest_checkpoint(), second.newest_checkpoint()
    assert expected is not None
    assert found is not None
    assert expected.state["ema_updates"] == found.state["ema_updates"] == 12
    assert expected.tensors.keys() == found.tensors.keys()
    assert all(torch.equal(tensor, found.tensors[name]) for name, tensor in expected.tensors.items())


def test_a_finished_run_gives_the_average_again(
    config: TrainConfig, new_model: NewModel, data: TrainData, new_run: NewRun
) -> None:
    run, first, second = new_run("a"), new_model(), new_model()
    go(config, first, data, run, 0.9)
    go(config, second, data, run, 0.9)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
