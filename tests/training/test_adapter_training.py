"""Training an adapter: the base stays as it is, and a checkpoint holds no more than what is learnt."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest
import torch

from wenlu.errors import Interrupted
from wenlu.models import LanguageModel
from wenlu.models.adapters import Form, attach, chosen, draw, freeze_base
from wenlu.progress import Progress
from wenlu.rundir import Run
from wenlu.tasks import CausalLM
from wenlu.training import AdamWConfig, ScheduleConfig, TrainConfig, TrainData, TrainState, train
from wenlu.training.checks import Subject
from wenlu.training.checks.gradients import gradients
from wenlu.training.footprint import footprint

NewRun = Callable[[str], Run]
FORMS = [Form(4, 8.0, dropout=0.1), Form(4, 8.0, is_dora=True)]


def adapted(model: LanguageModel, form: Form) -> LanguageModel:
    torch.manual_seed(4)
    attach(model, draw(model, chosen(model, "all-linear"), form))
    freeze_base(model)
    return model


def go(model: LanguageModel, config: TrainConfig, data: TrainData, run: Run, progress: Progress | None = None) -> None:
    schedule = ScheduleConfig(name="constant", warmup_steps=0)
    more = {} if progress is None else {"progress": progress}
    train(config, AdamWConfig(lr=1e-2), schedule, model=model, task=CausalLM(), data=data, run=run, seed=1, **more)  # type: ignore[arg-type]


class StopAt(Progress):
    """Interrupts the process, as Ctrl-C does, at a step."""

    def update(self, done: int, **facts: str) -> None:  # noqa: ARG002
        if done == 5:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("form", FORMS, ids=["lora", "dora"])
def test_an_adapter_resumes_to_the_same_bits_and_its_base_never_moves(
    form: Form, config: TrainConfig, new_model: Callable[[], LanguageModel], data: TrainData, new_run: NewRun
) -> None:
    config = config.model_copy(update={"ema": 0.9, "keep_best": True})
    whole, stopped = adapted(new_model(), form), new_run("stopped")
    before = {name: weight.detach().clone() for name, weight in whole.named_parameters()}
    go(whole, config, data, new_run("whole"))
    moved = {name for name, weight in whole.named_parameters() if not torch.equal(weight, before[name])}
    assert moved == {name for name in before if ".lora_" in name}
    with pytest.raises(Interrupted):
        go(adapted(new_model(), form), config, data, stopped, StopAt())
    again = adapted(new_model(), form)
    go(again, config, data, stopped)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), again.parameters(), strict=True))


def test_a_checkpoint_holds_what_is_learnt_alone(
    config: TrainConfig, new_model: Callable[[], LanguageModel], data: TrainData, new_run: NewRun
) -> None:
    run, model = new_run("a"), adapted(new_model(), FORMS[0])
    go(model, config.model_copy(update={"ema": 0.9, "keep_best": True}), data, run)
    checkpoint = run.newest_checkpoint()
    assert checkpoint is not None
    kinds = {name.partition(".")[0] for name in checkpoint.tensors}
    assert kinds == {"weights", "optimizer", "ema", "best", "random"}
    assert all(".lora_" in name for name in checkpoint.tensors if name != "random")


def test_frozen_low_precision_weights_have_no_copies(new_model: Callable[..., LanguageModel]) -> None:
    model = adapted(new_model(torch.bfloat16), FORMS[0])
    state = TrainState(model, AdamWConfig())
    assert all(state.masters.parameters[name] is weight for name, weight in model.named_parameters())
    assert {weight.dtype for weight in state.masters.parameters.values() if weight.requires_grad} == {torch.float32}


def test_memory_is_forecast_for_what_is_learnt(
    config: TrainConfig, new_model: Callable[[], LanguageModel], data: TrainData
) -> None:
    whole, part = new_model(), adapted(new_model(), FORMS[0])
    free = 1 << 40
    of_whole, of_part = (footprint(config, AdamWConfig(), each, CausalLM(), data.train, free) for each in (whole, part))
    learnt = sum(weight.nbytes for weight in part.parameters() if weight.requires_grad)
    assert of_part.gradients == learnt < of_whole.gradients
    assert of_part.optimizer < of_whole.optimizer


def test_the_check_of_gradients_knows_that_b_begins_at_zero(
    new_model: Callable[[], LanguageModel], data: TrainData
) -> None:
    """A has no gradient at the start, since B is zero; that is healthy."""
    model = adapted(new_model(), FORMS[0])
    torch.autograd.backward(CausalLM().loss(model, Subject.of(CausalLM(), model, data.train).batch()).sum)
    grads = {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}
    assert all(bool(grad.any()) == name.endswith("lora_B") for name, grad in grads.items())
    model.zero_grad()
    subject = Subject.of(CausalLM(), model, data.train, is_new=False)
    assert {finding.verdict for finding in gradients(subject, subject.batch())} == {"pass"}
