"""A number that is not finite, wherever it comes from, moves no weight and reaches no checkpoint.

`make test` puts nan into each of twenty-four places, `make proof-faults` both infinities too.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from wenlu.config import Duration
from wenlu.errors import Diverged
from wenlu.models import LanguageModel
from wenlu.progress import Progress
from wenlu.rundir import Run
from wenlu.tasks import CausalLM
from wenlu.training import AdamWConfig, ScheduleConfig, TrainConfig, TrainData, TrainState
from wenlu.training import train as train_function
from wenlu.training.spikes import LEAST, Spikes

VALUES = [math.nan, math.inf, -math.inf] if os.environ.get("WENLU_PROOF") == "1" else [math.nan]
WHEN = 5
OUTPUTS = [
    "embed_tokens",
    "layers.0.input_layernorm",
    "layers.0.self_attn.q_proj",
    "layers.0.self_attn.k_proj",
    "layers.1.self_attn.v_proj",
    "layers.1.self_attn.o_proj",
    "layers.1.self_attn",
    "layers.0.post_attention_layernorm",
    "layers.0.mlp.gate_proj",
    "layers.1.mlp.up_proj",
    "layers.1.mlp.down_proj",
    "norm",
]
GRADIENTS = ["embed_tokens.weight", "layers.1.self_attn.q_proj.weight", "norm.weight", "lm_head.weight"]
WEIGHTS = ["embed_tokens.weight", "layers.0.mlp.down_proj.weight", "norm.weight", "lm_head.weight"]
MEMORIES = ["layers.0.self_attn.k_proj.weight.exp_avg", "lm_head.weight.exp_avg_sq"]

NewModel = Callable[[], LanguageModel]
NewRun = Callable[[str], Run]
Poison = Callable[[TrainState, dict[str, Any]], None]


class Poisoned(TrainState):
    """Poisons itself once, between the gradients of a step and its update; remembers whether weights moved then."""

    poison: Poison
    made: list[Poisoned]

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.done, self.moved = False, False
        self.made.append(self)

    def update(self, **facts: Any) -> float:
        if self.step != WHEN or self.done:
            return super().update(**facts)
        self.done = True
        before = copies(self)
        self.poison(self, facts)
        norm = super().update(**facts)
        self.moved = any(not torch.equal(tensor, before[name]) for name, tensor in copies(self).items())
        return norm


def copies(state: TrainState) -> dict[str, Tensor]:
    held = {**state.masters.parameters, **state.optimizer.tensors(), **(state.ema.weights if state.ema else {})}
    return {f"{number}.{name}": tensor.detach().clone() for number, (name, tensor) in enumerate(held.items())}


def go(
    poison: Poison, config: TrainConfig, model: LanguageModel, data: TrainData, run: Run, patch: pytest.MonkeyPatch
) -> Poisoned:
    made: list[Poisoned] = []
    kind = type("Poisoned", (Poisoned,), {"poison": staticmethod(poison), "made": made})
    patch.setitem(train_function.__globals__, "TrainState", kind)
    schedule, optimizer = ScheduleConfig(warmup_steps=2), AdamWConfig(lr=0.01)
    try:
        train_function(config, optimizer, schedule, model=model, task=CausalLM(), data=data, run=run, seed=1)
    finally:
        assert_every_checkpoint_is_finite(run)
    return made[0]


def assert_every_checkpoint_is_finite(run: Run) -> None:
    files = sorted(run.checkpoints.rglob("*.safetensors"))
    assert files
    for file in files:
        assert all(tensor.isfinite().all() for tensor in load_file(file).values()), file


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("place", OUTPUTS)
def test_in_what_a_layer_gives(
    place: str,
    value: float,
    config: TrainConfig,
    new_model: NewModel,
    data: TrainData,
    new_run: NewRun,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """For one forward pass, as a fault of the hardware would be."""
    model, passes = new_model(), 0

    def poison(_module: Any, _inputs: Any, output: Tensor) -> Tensor:
        nonlocal passes
        passes += 1
        return output + value if passes == WHEN + 1 else output

    model.get_submodule(place).register_forward_hook(poison)
    config = config.model_copy(update={"validations": 0})
    state = go(lambda *_: None, config, model, data, new_run("a"), monkeypatch)
    assert state.done
    assert not state.moved
    assert (state.step, state.skipped) == (12, [WHEN])


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("place", GRADIENTS)
def test_in_one_number_of_a_gradient(
    place: str,
    value: float,
    config: TrainConfig,
    new_model: NewModel,
    data: TrainData,
    new_run: NewRun,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def poison(state: TrainState, _: dict[str, Any]) -> None:
        gradient = state.masters.parameters[place].grad
        assert gradient is not None
        gradient.view(-1)[-1] = value

    state = go(poison, config, new_model(), data, new_run("a"), monkeypatch)
    assert not state.moved
    assert (state.step, state.skipped) == (12, [WHEN])


@pytest.mark.parametrize("value", VALUES)
def test_in_the_loss_alone(
    value: float,
    config: TrainConfig,
    new_model: NewModel,
    data: TrainData,
    new_run: NewRun,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = new_run("a")
    state = go(lambda _, facts: facts.update(loss=value), config, new_model(), data, run, monkeypatch)
    assert not state.moved
    assert (state.step, state.skipped) == (12, [WHEN])
    assert [event.step for event in run.events() if event.name == "skipped"] == [WHEN + 1]


def spoil(state: TrainState, place: str, value: float) -> None:
    """Put `value` into what outlives a step: a weight, what the optimizer remembers, or the average."""
    kind, name = place.split(":")
    held = {"weight": state.masters.parameters, "optimizer": state.optimizer.tensors()}
    averages = {} if state.ema is None else state.ema.weights
    with torch.no_grad():
        {**held, "ema": averages}[kind][name].view(-1)[0] = value


LASTING = [*(f"weight:{name}" for name in WEIGHTS), *(f"optimizer:{name}" for name in MEMORIES), "ema:norm.weight"]


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("place", LASTING)
def test_in_what_outlives_a_step_ends_the_run_or_takes_it_back(
    place: str,
    value: float,
    config: TrainConfig,
    new_model: NewModel,
    data: TrainData,
    new_run: NewRun,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def poison(state: TrainState, _: dict[str, Any]) -> None:
        spoil(state, place, value)

    config = config.model_copy(update={"ema": 0.5})
    with pytest.raises(Diverged, match=r"training diverged: .* holds nan or infinity.*Try a lower optimizer\.lr"):
        go(poison, config, new_model(), data, new_run("stop"), monkeypatch)
    model, run = new_model(), new_run("back")
    config = config.model_copy(update={"on_divergence": "roll-back"})
    state = go(poison, config, model, data, run, monkeypatch)
    assert (state.step, state.roll_backs, state.rate) == (12, 1, 0.5)
    assert all(weight.isfinite().all() for weight in model.parameters())
    back = [event for event in run.events() if event.name == "roll_back"]
    assert [(event.step, event.value) for event in back] == [(4, 0.5)]


class AlwaysBad(CausalLM):
    """A loss that is infinite from a certain call on."""

    def __init__(self, since: int) -> None:
        super().__init__()
        self.since, self.calls = since, 0

    def loss(self, *args: Any) -> Any:
        loss = super().loss(*args)
        self.calls += 1
        return type(loss)(loss.sum * math.inf, loss.count) if self.calls > self.since else loss


def test_a_run_that_diverges_again_and_again_stops_after_its_roll_backs(
    config: TrainConfig, new_model: NewModel, data: TrainData, new_run: NewRun
) -> None:
    run, warnings = new_run("a"), []

    class Listening(Progress):
        def warn(self, message: str) -> None:
            warnings.append(message)

    config = config.model_copy(
        update={"on_divergence": "roll-back", "roll_backs": 2, "validations": 0, "duration": Duration(40, "steps")}
    )
    with pytest.raises(Diverged, match="training diverged after 2 roll-backs: 5 of the last 100 gradients"):
        train_function(
            config,
            AdamWConfig(lr=0.01),
            ScheduleConfig(warmup_steps=2),
            model=new_model(),
            task=AlwaysBad(17),
            data=data,
            run=run,
            seed=1,
            progress=Listening(),
        )
    back = [message for message in warnings if "goes on from step" in message]
    assert [message.rpartition("; ")[2] for message in back] == [
        "goes on from step 14 at 0.5 times the rate",
        "goes on from step 14 at 0.25 times the rate",
    ]
    checkpoint = run.newest_checkpoint()
    assert checkpoint is not None
    assert (checkpoint.step, checkpoint.state["rate"], checkpoint.state["roll_backs"]) == (14, 0.25, 2)


def test_a_cut_rate_survives_a_resumption(config: TrainConfig, new_model: NewModel) -> None:
    state = TrainState(new_model(), AdamWConfig(), spike_factor=3.0)
    state.rate, state.roll_backs, state.judged_from = 0.25, 2, 7
    state.spikes.norms.extend([0.1, 0.3])
    again = TrainState(new_model(), AdamWConfig(), spike_factor=3.0)
    again.restore(state.tensors(), state.facts())
    assert again.facts() == state.facts()


def test_a_roll_back_forgets_what_the_optimizer_remembers(new_model: NewModel) -> None:
    state = TrainState(new_model(), AdamWConfig())
    tensors, facts = {name: tensor.clone() for name, tensor in state.tensors().items()}, state.facts()
    for weight in state.masters.parameters.values():
        weight.grad = torch.ones_like(weight)
    state.update(count=1, factor=1.0, clip_norm=None)
    assert state.optimizer.tensors()
    state.restore(tensors, facts)
    assert not state.optimizer.tensors()


def test_a_spike_is_far_above_the_median_of_enough_norms() -> None:
    spikes = Spikes(10.0)
    assert not any(spikes.meet(norm) for norm in [1e9, *[1.0] * (LEAST - 1)])
    assert not spikes.meet(10.0)
    assert spikes.meet(10.1)
    assert sum(spikes.meet(11.0) for _ in range(100)) < 60, "a larger size for good becomes the usual one"
    assert not any(Spikes(None).meet(norm) for norm in [*[1.0] * 50, 1e30])


def test_a_spike_moves_nothing(
    config: TrainConfig, new_model: NewModel, data: TrainData, new_run: NewRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.faults.test_non_finite.WHEN", 25)

    def poison(state: TrainState, _: dict[str, Any]) -> None:
        torch._foreach_mul_(state.masters.gradients(), 1e6)

    config = config.model_copy(update={"duration": Duration(30, "steps"), "validations": 0, "spike_factor": 100.0})
    state = go(poison, config, new_model(), data, new_run("a"), monkeypatch)
    assert not state.moved
    assert state.skipped == [25]
