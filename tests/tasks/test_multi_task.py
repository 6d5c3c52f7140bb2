"""Several tasks on one body: gradients, weighting, validation, and that each learns and is kept."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.tasks.labelled import CONTEXT, LABELLED, NewTokenizer, records_of, settled
from tests.tasks.tiny import SIZES

from wenlu.corpus.examples import Examples
from wenlu.corpus.mixed_examples import MixedExamples
from wenlu.errors import WeightsError
from wenlu.models import LanguageModel, family
from wenlu.tasks import (
    Draw,
    MultiTask,
    MultiTaskConfig,
    Part,
    ReadingTask,
    Totals,
    load_member,
    load_task,
    new_task,
    read_settings,
)
from wenlu.tasks.several.heads import ManyHeaded
from wenlu.tasks.several.weighting import by_uncertainty
from wenlu.training.batches import Batches

STEPS = 240
NAMES = ("text-classification", "token-classification", "grading", "question-answering")


@pytest.fixture(scope="module")
def members(new_tokenizer: NewTokenizer) -> dict[str, ReadingTask]:
    found = {}
    for name in NAMES:
        member = new_task(settled(name), new_tokenizer())
        assert isinstance(member, ReadingTask)
        found[name] = member
    return found


@pytest.fixture(scope="module")
def parts(members: dict[str, ReadingTask]) -> dict[str, Examples]:
    return {name: member.rows(examples_of(member), CONTEXT) for name, member in members.items()}


def examples_of(member: ReadingTask) -> list[object]:
    return [type(member).example_of(record, member.config) for record in records_of(member.config)]


def several(members: dict[str, ReadingTask], **settings: object) -> MultiTask:
    config = read_settings({"name": "multi-task", **settings})
    assert isinstance(config, MultiTaskConfig)
    return MultiTask(config, next(iter(members.values())).tokenizer, members)


def trained(task: MultiTask) -> ManyHeaded:
    torch.manual_seed(0)
    bert = family("bert")
    sizes = {key: value for key, value in SIZES.items() if key in bert.config.model_fields} | {"num_hidden_layers": 1}
    return task.trained(bert.build(bert.config(vocab_size=task.tokenizer.vocab_size, **sizes), dtype=torch.float64))


def gradients(model: LanguageModel) -> dict[str, torch.Tensor]:
    found = {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}
    model.zero_grad()
    return found


def test_the_gradients_of_two_members_add_up_in_the_body(
    members: dict[str, ReadingTask], parts: dict[str, Examples]
) -> None:
    task = several(members, weights={"grading": 3.0})
    model, source = trained(task), task.mixed(parts)
    alone = []
    for name, weight in (("text-classification", 1.0), ("grading", 3.0)):
        own = members[name].batch(Draw.at(parts[name], np.arange(4)))
        torch.autograd.backward(weight * members[name].loss(model.of(name), own).sum)
        alone.append(gradients(model))
    places = np.array([source.members.tolist().index(NAMES.index(name)) for name in ("text-classification", "grading")])
    rows = np.concatenate([place + len(NAMES) * np.arange(4) for place in places])
    loss = task.loss(model, task.batch(Draw.at(source, rows)))
    torch.autograd.backward(loss.sum)
    both = gradients(model)
    assert loss.count == 8
    assert set(both) == {*alone[0], *alone[1]}
    assert {name.split(".")[1] for name in set(alone[0]) - set(alone[1])} == {"for_text-classification"}
    for name, gradient in both.items():
        expected = sum((each[name] for each in alone if name in each), torch.zeros_like(gradient))
        torch.testing.assert_close(gradient, expected)


def test_the_weighting_by_uncertainty_is_as_computed_by_hand() -> None:
    log_variance = torch.tensor([math.log(2.0)], dtype=torch.float64, requires_grad=True)
    total = torch.tensor(6.0, dtype=torch.float64)
    loss = by_uncertainty(total, 4, log_variance, factor=1.0)
    assert loss.item() == pytest.approx(6.0 / 2 + 4 * math.log(2) / 2)  # Σ l / σ² + n log σ
    torch.autograd.backward(loss)
    assert log_variance.grad is not None
    assert log_variance.grad.item() == pytest.approx(-6.0 / 2 + 4 / 2)  # 0 where σ² is the mean loss, 1.5
    half = by_uncertainty(total, 4, log_variance.detach(), factor=0.5)  # a squared error: Σ l / 2 σ² + n log σ
    assert half.item() == pytest.approx(6.0 / 4 + 4 * math.log(2) / 2)


def test_only_a_squared_error_counts_half(members: dict[str, ReadingTask], parts: dict[str, Examples]) -> None:
    start = {"grading": 1.0, "text-classification": 1.0}
    task = several(members, weighting="uncertainty", log_variances=start)
    model = trained(task)
    for name, factor in (("grading", 0.5), ("text-classification", 1.0)):
        own = members[name].loss(model.of(name).eval(), members[name].batch(Draw.at(parts[name], np.arange(8))))
        source = task.mixed({name: parts[name]})
        loss = task.loss(model.eval(), task.batch(Draw.at(source, np.arange(8))))
        assert loss.sum.item() == pytest.approx(factor * own.sum.item() / math.e + 8 / 2)
        assert loss.parts[name].sum == pytest.approx(own.sum.item())


def test_what_is_learnt_of_the_losses_comes_to_the_best_there_is() -> None:
    """For a fixed mean loss l the best σ² is l, and with it each member counts by 1 / l."""
    log_variance = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([log_variance], lr=0.05)
    for _ in range(400):
        optimizer.zero_grad()
        torch.autograd.backward(by_uncertainty(torch.tensor(0.02 * 8), 8, log_variance, factor=0.5) / 8)
        optimizer.step()
    assert math.exp(log_variance.item()) == pytest.approx(0.02, rel=0.02)


def test_the_validation_is_the_geometric_mean_of_the_losses(members: dict[str, ReadingTask]) -> None:
    task = several(members)
    totals = Totals(
        9.0,
        6,
        6,
        {
            "grading": Part(0.04, 4, 0),  # 0.01
            "text-classification": Part(8.0, 2, 0),  # 4
            "text-classification.label": Part(8.0, 2, 1),
        },
    )
    found = {reading.name: (reading.value, reading.unit) for reading in task.readings(totals, None)}  # type: ignore[arg-type]
    assert found["validation"][0] == pytest.approx(0.2)
    assert found["grading.validation"] == (pytest.approx(0.01), "squared error/text")
    assert found["text-classification.validation"] == (4.0, "nats/text")
    assert found["text-classification.label.accuracy"] == (0.5, "fraction")
    assert "token-classification.validation" not in found


def test_a_head_that_is_not_asked_stays_as_it_is(members: dict[str, ReadingTask], parts: dict[str, Examples]) -> None:
    task = several(members, weighting="uncertainty")
    model, source = trained(task), task.mixed(parts)
    (draw,) = Batches(source, 8, seed=1).micro(0, 8)
    torch.autograd.backward(task.loss(model, task.batch(draw)).sum)
    moved = {name.split(".")[1] for name in gradients(model) if not name.startswith("body.")}
    assert len(moved) == 1


def test_four_tasks_learn_eight_examples_each_by_heart_and_are_kept(
    members: dict[str, ReadingTask], parts: dict[str, Examples], tmp_path: Path
) -> None:
    task = several(members, weighting="uncertainty", temperature=100.0)
    model, source = trained(task), task.mixed(parts)
    scalars = [weight for name, weight in model.named_parameters() if name.startswith("log_variances")]
    others = [weight for name, weight in model.named_parameters() if not name.startswith("log_variances")]
    optimizer = torch.optim.Adam([{"params": others}, {"params": scalars}])
    assert isinstance(source, MixedExamples)
    batches = Batches(source, 8, seed=0)
    model.train()
    for step in range(STEPS):
        (draw,) = batches.micro(step, 8)
        loss = task.loss(model, task.batch(draw))
        torch.autograd.backward(loss.sum / loss.count)
        torch.nn.utils.clip_grad_norm_(others, 1.0)
        for group, peak in zip(optimizer.param_groups, (5e-3, 0.05), strict=True):
            group["lr"] = peak * (1 - step / STEPS)
        optimizer.step()
        optimizer.zero_grad()
    model.eval()
    told = {}
    for name, member in members.items():
        answers = member.answer(model.of(name), examples_of(member), CONTEXT)
        value = member.measures()[0].compute(member.judged(examples_of(member), answers))
        assert value == pytest.approx(LABELLED[name].perfect, abs=LABELLED[name].tolerance), name
        told[name] = [member.told(answer) for answer in answers]

    task.save(tmp_path, model, family("bert"))
    again = load_task(tmp_path, task.tokenizer)
    assert isinstance(again, MultiTask)
    assert json.loads((tmp_path / "task.json").read_text())["log_variances"].keys() == set(NAMES)
    body = task.kept(model)
    whole = again.headed(body)
    for name in NAMES:
        member = load_member(tmp_path, name, task.tokenizer)
        assert [member.told(a) for a in member.answer(body, examples_of(member), CONTEXT)] == told[name]
        assert torch.equal(whole.log_variance(name), model.log_variance(name))
    (tmp_path / "members" / "grading" / "task_head.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"grading/task_head\.safetensors: no such file"):
        load_task(tmp_path, task.tokenizer)
    (tmp_path / "members" / "grading" / "task.json").unlink()
    with pytest.raises(WeightsError, match=r"members/grading: no task\.json of a task with a head"):
        load_task(tmp_path, task.tokenizer)
