"""Each optimizer's numbers, against torch's or a plain version written from the paper; and exact resume."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from wenlu.errors import Diverged, Interrupted
from wenlu.models import LanguageModel
from wenlu.progress import QUIET, Progress
from wenlu.rundir import Run
from wenlu.tasks import CausalLM
from wenlu.training import OPTIMIZERS, AdamWConfig, ScheduleConfig, TrainConfig, TrainData, TrainState, train
from wenlu.training.optimizers import Optimizer, read_optimizer
from wenlu.training.resume import after_step
from wenlu.training.validation import validate

NAMES: list[str] = [row.model_fields["name"].default for row in OPTIMIZERS]
STEPS, LR, DECAY = 20, 0.03, 0.2
SHAPES = {"layers.0.q_proj.weight": (6, 4), "lm_head.weight": (3, 5)}
NewModel = Callable[[], LanguageModel]
NewRun = Callable[[str], Run]


def start() -> dict[str, Tensor]:
    torch.manual_seed(1)
    return {name: torch.randn(shape, dtype=torch.float64) for name, shape in SHAPES.items()}


def gradients(step: int) -> dict[str, Tensor]:
    torch.manual_seed(100 + step)
    return {name: torch.randn(shape, dtype=torch.float64) for name, shape in SHAPES.items()}


def factor(step: int) -> float:
    return min(1.0, (step + 1) / 5)


def ours(**settings: Any) -> Optimizer:
    """After 20 steps with 5 of warm-up."""
    optimizer = Optimizer(read_optimizer(settings), {name: nn.Parameter(w) for name, w in start().items()})
    for step in range(STEPS):
        for name, gradient in gradients(step).items():
            optimizer.weights[name].grad = gradient
        optimizer.step(factor(step))
    return optimizer


def assert_equal(found: dict[str, Any], expected: dict[str, Tensor]) -> None:
    for name, weight in expected.items():
        torch.testing.assert_close(found[name].detach(), weight, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("settings", "reference"),
    [
        ({"name": "adam", "betas": (0.8, 0.9)}, lambda w: torch.optim.Adam(w, lr=LR, betas=(0.8, 0.9))),
        (
            {"name": "adamw", "weight_decay": DECAY, "betas": (0.8, 0.9)},
            lambda w: torch.optim.AdamW(w, lr=LR, betas=(0.8, 0.9), weight_decay=DECAY),
        ),
        ({"name": "sgd", "momentum": 0.0}, lambda w: torch.optim.SGD(w, lr=LR)),
        ({"name": "sgd", "momentum": 0.8}, lambda w: torch.optim.SGD(w, lr=LR, momentum=0.8)),
        (
            {"name": "sgd", "momentum": 0.8, "nesterov": True},
            lambda w: torch.optim.SGD(w, lr=LR, momentum=0.8, nesterov=True),
        ),
        ({"name": "adafactor", "weight_decay": DECAY}, lambda w: torch.optim.Adafactor(w, lr=LR, weight_decay=DECAY)),
    ],
    ids=["adam", "adamw", "sgd", "momentum", "nesterov", "adafactor"],
)
def test_twenty_steps_equal_those_of_torch(settings: Any, reference: Callable[[Any], torch.optim.Optimizer]) -> None:
    expected = {name: nn.Parameter(weight) for name, weight in start().items()}
    optimizer = reference([{"params": list(expected.values())}])
    for step in range(STEPS):
        for name, gradient in gradients(step).items():
            expected[name].grad = gradient
        optimizer.param_groups[0]["lr"] = LR * factor(step)
        optimizer.step()
    assert_equal(ours(lr=LR, **settings).weights, {name: weight.detach() for name, weight in expected.items()})


def test_adafactor_equals_the_paper() -> None:
    """Algorithm 4 with relative steps; the rate caps ρ where the paper has 0.01."""
    weights, rows, columns = start(), {}, {}
    for step in range(STEPS):
        for name, gradient in gradients(step).items():
            t, squares = step + 1, gradient.square() + 1e-30
            beta = 1 - t**-0.8
            rows[name] = beta * rows.get(name, 0.0) + (1 - beta) * squares.sum(1)
            columns[name] = beta * columns.get(name, 0.0) + (1 - beta) * squares.sum(0)
            update = gradient / (torch.outer(rows[name], columns[name]) / rows[name].sum()).sqrt()
            update = update / max(1.0, update.square().mean().sqrt().item())
            size = max(1e-3, weights[name].square().mean().sqrt().item()) * min(LR * factor(step), t**-0.5)
            weights[name] = weights[name] - size * update
    assert_equal(ours(name="adafactor", lr=LR).weights, weights)


def test_adafactor_takes_gradients_far_smaller_than_one_for_what_they_are() -> None:
    """In float32 torch's own epsilon would be larger than their squares."""
    tiny = {"layers.0.q_proj.weight": nn.Parameter(torch.ones(2, 2))}
    optimizer = Optimizer(read_optimizer({"name": "adafactor", "lr": 0.01}), tiny)
    tiny["layers.0.q_proj.weight"].grad = torch.tensor([[1e-8, -1e-8], [1e-8, 0.0]])
    optimizer.step(1.0)
    moved = 1 - tiny["layers.0.q_proj.weight"].detach()
    assert moved.square().mean().sqrt() == pytest.approx(0.01, rel=1e-3)


def test_sgd_decays_apart_from_its_momentum() -> None:
    weights, momenta = start(), {name: torch.zeros_like(w) for name, w in start().items()}
    for step in range(STEPS):
        lr = LR * factor(step)
        for name, gradient in gradients(step).items():
            momenta[name] = 0.9 * momenta[name] + gradient
            weights[name] = weights[name] - lr * DECAY * weights[name] - lr * momenta[name]
    assert_equal(ours(name="sgd", lr=LR, momentum=0.9, weight_decay=DECAY).weights, weights)


def test_lion_equals_the_paper() -> None:
    weights, momenta = start(), {name: torch.zeros_like(w) for name, w in start().items()}
    for step in range(STEPS):
        for name, gradient in gradients(step).items():
            sign = (0.9 * momenta[name] + 0.1 * gradient).sign()
            momenta[name] = 0.95 * momenta[name] + 0.05 * gradient
            weights[name] = weights[name] - LR * factor(step) * (sign + DECAY * weights[name])
    assert_equal(ours(name="lion", lr=LR, betas=(0.9, 0.95), weight_decay=DECAY).weights, weights)


def test_schedule_free_adamw_equals_the_paper() -> None:
    z, x, v = start(), start(), {name: torch.zeros_like(w) for name, w in start().items()}
    y, total = start(), 0.0
    for step in range(STEPS):
        rate = LR * (1 - 0.95 ** (step + 1)) ** 0.5 * factor(step)
        total += rate**2
        for name, gradient in gradients(step).items():
            v[name] = 0.95 * v[name] + 0.05 * gradient**2
            z[name] = z[name] - rate * gradient / (v[name].sqrt() + 1e-8) - rate * DECAY * y[name]
            x[name] = (1 - rate**2 / total) * x[name] + rate**2 / total * z[name]
            y[name] = 0.1 * z[name] + 0.9 * x[name]
    optimizer = ours(name="schedule-free", lr=LR, betas=(0.9, 0.95), weight_decay=DECAY)
    assert_equal(optimizer.weights, y)
    assert_equal(optimizer.averages(), x)


def go(name: str, model: LanguageModel, data: TrainData, run: Run, config: TrainConfig, stop: int = 0) -> TrainState:
    class StopAt(Progress):
        def update(self, done: float, **facts: str) -> None:  # noqa: ARG002
            if done == stop:
                os.kill(os.getpid(), signal.SIGINT)

    progress = StopAt() if stop else QUIET
    schedule = ScheduleConfig(name="constant", warmup_steps=2)
    parts: dict[str, Any] = {"task": CausalLM(), "seed": 1, "progress": progress}
    return train(config, read_optimizer({"name": name}), schedule, model=model, data=data, run=run, **parts)


@pytest.mark.parametrize("dtype", ["float64", "bfloat16"])
@pytest.mark.parametrize("name", NAMES)
def test_six_steps_a_stop_and_six_more_are_twelve_bit_for_bit(
    name: str,
    dtype: str,
    config: TrainConfig,
    new_model: Callable[..., LanguageModel],
    data: TrainData,
    new_run: NewRun,
) -> None:
    whole, model = new_model(getattr(torch, dtype)), new_model(getattr(torch, dtype))
    go(name, whole, data, new_run("whole"), config)
    stopped = new_run("stopped")
    with pytest.raises(Interrupted, match="stopped after step 6 of 12"):
        go(name, new_model(getattr(torch, dtype)), data, stopped, config, stop=6)
    go(name, model, data, stopped, config)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), model.parameters(), strict=True))


def test_schedule_free_validates_and_keeps_the_averages(
    config: TrainConfig, new_model: NewModel, data: TrainData, new_run: NewRun
) -> None:
    model, run = new_model(), new_run("a")
    state = go("schedule-free", model, data, run, config)
    averages, checkpoint = state.optimizer.averages(), run.newest_checkpoint()
    assert checkpoint is not None
    for name, weight in model.named_parameters():
        assert torch.equal(weight, averages[name])
        assert torch.equal(weight, checkpoint.tensors[f"optimizer.{name}.average"])
        assert not torch.equal(weight, checkpoint.tensors[f"weights.{name}"])
    logged = [event.value for event in run.events() if event.name == "validation"][-1]
    assert data.validation is not None
    assert validate(CausalLM(), model, data.validation, config)[0].value == logged


def test_looking_at_the_averages_changes_nothing_that_is_learnt(
    config: TrainConfig, new_model: NewModel, data: TrainData, new_run: NewRun
) -> None:
    often, never = new_model(), new_model()
    go("schedule-free", often, data, new_run("a"), config.model_copy(update={"validations": 12}))
    go("schedule-free", never, data, new_run("b"), config.model_copy(update={"validations": 0}))
    assert all(torch.equal(a, b) for a, b in zip(often.parameters(), never.parameters(), strict=True))


@pytest.mark.parametrize(("name", "rates"), [("lion", "optimizer.lr"), ("muon", "optimizer.lr or optimizer.muon_lr")])
def test_advice_on_divergence_names_the_rates_that_the_optimizer_has(
    name: str, rates: str, config: TrainConfig, new_model: NewModel, new_run: NewRun
) -> None:
    state = TrainState(new_model(), read_optimizer({"name": name}))
    state.skipped = [0, 0, 0, 0]
    for weight in state.masters.parameters.values():
        weight.grad = torch.full_like(weight, torch.nan)
    norm = state.update(count=1, factor=1.0, clip_norm=1.0)
    with pytest.raises(Diverged, match=f"Try a lower {rates}, or a longer schedule"):
        after_step(state, norm, config, new_run("a"), QUIET)


def test_adamw_is_what_a_recipe_gets_without_a_word() -> None:
    assert read_optimizer({}) == AdamWConfig(name="adamw")
