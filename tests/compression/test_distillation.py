"""Distillation: what a student learns of a teacher, summed over targets, and nothing where both say the same."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tests.contracts.test_labelled_tasks import tiny_body
from tests.tasks.labelled import CONTEXT, NewTokenizer, records_of, settled
from torch import Tensor, nn

from wenlu.compression.distill.distilled import Distilled
from wenlu.compression.distill.divergence import divergences, head_divergence, label_divergences
from wenlu.compression.distill.settings import DistillConfig
from wenlu.compression.distill.watching import relation_divergences, watched
from wenlu.config import check
from wenlu.errors import ConfigError
from wenlu.models import LanguageModel
from wenlu.tasks import Batch, Draw, LabelledTask, new_task


def logits(*shape: int, seed: int = 0) -> Tensor:
    return 3 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_two_tokens_by_hand() -> None:
    """p = (3/4, 1/4) and q = (1/2, 1/2): Σ p log(p/q) = 0.75 log 1.5 + 0.25 log 0.5; at T = 2 with logits of twice."""
    teacher, student = torch.tensor([[math.log(3.0), 0.0]]), torch.zeros(1, 2)
    forward = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    reverse = 0.5 * math.log(0.5 / 0.75) + 0.5 * math.log(0.5 / 0.25)
    for direction, expected in (("forward", forward), ("reverse", reverse)):
        found = divergences(teacher, student, temperature=1, direction=direction)  # type: ignore[arg-type]
        assert found.item() == pytest.approx(expected, rel=1e-6)
        hot = divergences(2 * teacher, 2 * student, temperature=2, direction=direction)  # type: ignore[arg-type]
        assert hot.item() == pytest.approx(4 * expected, rel=1e-6)


def test_it_is_a_mean_over_tokens_and_not_over_the_vocabulary_or_the_batch() -> None:
    """Of (B, T, V) torch's "mean" divides by V besides, and its "batchmean" by B alone."""
    B, T, V = 3, 5, 11
    teacher, student = logits(B, T, V), logits(B, T, V, seed=1)
    own = divergences(teacher, student, temperature=2, direction="forward").mean().item()
    p, q = F.softmax(teacher / 2, -1), F.log_softmax(student / 2, -1)
    assert own == pytest.approx(4 * V * F.kl_div(q, p, reduction="none").mean().item())
    assert own == pytest.approx(4 * F.kl_div(q, p, reduction="batchmean").item() / T)


def test_the_square_of_the_temperature_keeps_the_gradient_of_small_logits() -> None:
    """For logits near zero of mean zero the gradient is that of half the squared distance over V, whatever T is."""
    teacher = 1e-6 * logits(1, 8)
    teacher -= teacher.mean()
    for temperature in (1.0, 2.0, 10.0):
        student = torch.zeros(1, 8, dtype=torch.float64, requires_grad=True)
        torch.autograd.backward(divergences(teacher, student, temperature=temperature, direction="forward").sum())
        torch.testing.assert_close(student.grad, -teacher / 8, rtol=1e-4, atol=1e-12)


def test_chunks_give_the_sum_and_its_gradients_and_padding_of_the_vocabulary_is_left_out() -> None:
    states = {name: logits(9, 4, seed=seed) for seed, name in enumerate(("teacher", "student"))}
    heads = {name: nn.Linear(4, 7, bias=False, dtype=torch.float64) for name in states}
    found = []
    for chunk in (5 * 2, 10**6):
        hidden = states["student"].clone().requires_grad_()
        total = head_divergence(
            (heads["teacher"], states["teacher"]),
            (heads["student"], hidden),
            vocab_size=5,
            temperature=2,
            direction="forward",
            chunk=chunk,
        )
        torch.autograd.backward(total)
        assert heads["teacher"].weight.grad is None
        found.append((total.detach(), hidden.grad))
    plain = divergences(
        heads["teacher"](states["teacher"])[:, :5],
        heads["student"](states["student"])[:, :5],
        temperature=2,
        direction="forward",
    )
    torch.testing.assert_close(found[0], found[1])
    torch.testing.assert_close(found[0][0], plain.sum().detach())


def test_labels_that_hold_by_themselves_are_each_two_classes() -> None:
    teacher, student = logits(4, 3), logits(4, 3, seed=1)
    p, q = torch.sigmoid(teacher / 2), torch.sigmoid(student / 2)
    by_hand = 4 * (p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()).mean(dim=1)
    torch.testing.assert_close(label_divergences(teacher, student, temperature=2, direction="forward"), by_hand)


def prepared(name: str, new_tokenizer: NewTokenizer) -> tuple[LabelledTask, LanguageModel, Batch]:
    config = settled(name)
    task = new_task(config, new_tokenizer(special=config.special_tokens))
    assert isinstance(task, LabelledTask)
    source = task.rows([type(task).example_of(record, config) for record in records_of(config)], CONTEXT)
    model = task.trained(tiny_body(task))
    return task, model, task.batch(Draw.at(source, np.arange(len(source))))


def taught(task: LabelledTask, teacher: LanguageModel, **settings: Any) -> Distilled:
    config = check(DistillConfig, {"teacher": "a", "weight": 1.0, **settings}, where="[distill]")
    return Distilled(task, (task, copy.deepcopy(teacher)), config)


def jittered(model: LanguageModel) -> LanguageModel:
    moved, random = copy.deepcopy(model), torch.Generator().manual_seed(3)
    with torch.no_grad():
        for weight in moved.parameters():
            weight += 0.2 * torch.randn(weight.shape, generator=random, dtype=weight.dtype)
    return moved


EACH = [
    ("text-classification", {"cosine": 1.0, "relations": 1.0}),
    ("token-classification", {"cosine": 1.0, "relations": 1.0}),
    ("dialogue", {"cosine": 1.0}),
]


@pytest.mark.parametrize(("name", "settings"), EACH)
def test_a_student_that_is_its_teacher_has_nothing_to_learn(
    name: str, settings: dict[str, float], new_tokenizer: NewTokenizer
) -> None:
    task, model, batch = prepared(name, new_tokenizer)
    distilled = taught(task, model, **settings)
    found = distilled.loss(model.train(), batch)
    assert found.sum.item() == pytest.approx(0, abs=1e-5)
    assert all(found.parts[part].sum == pytest.approx(0, abs=1e-5) for part in ("teacher", "cosine"))
    other = distilled.loss(jittered(model).train(), batch)
    assert all(part.sum > 1e-4 for part in other.parts.values() if part is not other.parts["task"])
    torch.autograd.backward(other.sum)
    assert all(weight.grad is None for weight in distilled.teacher.parameters())


@pytest.mark.parametrize(("name", "settings"), EACH)
def test_the_loss_of_two_halves_is_that_of_the_whole(
    name: str, settings: dict[str, float], new_tokenizer: NewTokenizer
) -> None:
    """So padding counts for nothing, and no mean is taken of means."""
    task, model, _ = prepared(name, new_tokenizer)
    source = task.rows([type(task).example_of(record, task.config) for record in records_of(task.config)], CONTEXT)
    distilled, student = taught(task, model, weight=0.5, **settings), jittered(model).train()
    whole, *halves = (
        distilled.loss(student, task.batch(Draw.at(source, np.array(rows)))) for rows in ([0, 1, 2, 3], [0, 1], [2, 3])
    )
    assert whole.count == sum(half.count for half in halves)
    assert whole.sum.item() == pytest.approx(sum(half.sum.item() for half in halves), rel=1e-5)


def test_the_weight_mixes_the_two_losses_and_validation_is_the_tasks_own(new_tokenizer: NewTokenizer) -> None:
    for name in ("text-classification", "dialogue"):
        task, model, batch = prepared(name, new_tokenizer)
        student = jittered(model)
        mixed, soft = (taught(task, model, weight=w).loss(student.train(), batch) for w in (0.25, 1.0))
        own = task.loss(student, batch)
        assert mixed.sum.item() == pytest.approx(0.75 * own.sum.item() + 0.25 * soft.sum.item(), rel=1e-7)
        assert mixed.count == own.count
        assert taught(task, model).loss(student.eval(), batch).sum.item() == task.loss(student, batch).sum.item()


def test_relations_are_those_of_the_real_positions(new_tokenizer: NewTokenizer) -> None:
    task, model, batch = prepared("text-classification", new_tokenizer)
    assert batch.attention_mask is not None
    other = jittered(model)
    with watched(model) as teacher, watched(other) as student, torch.no_grad():
        task.loss(model, batch)
        task.loss(other, batch)
    wide = relation_divergences(teacher, student, batch.attention_mask)
    row = int(batch.attention_mask.sum(dim=1).argmin())
    length = int(batch.attention_mask[row].sum())
    for seen in (teacher, student):
        assert seen.attention is not None
        module, x, rope = seen.attention
        seen.attention = module, x[row : row + 1, :length], rope
    alone = relation_divergences(teacher, student, torch.ones(1, length))
    torch.testing.assert_close(wide[row, :length], alone[0], rtol=1e-5, atol=1e-6)


def test_on_policy_the_teacher_judges_what_the_student_writes(new_tokenizer: NewTokenizer) -> None:
    """At its own tokens a student that is its teacher has nothing to learn, and another comes nearer to it."""
    task, model, _ = prepared("dialogue", new_tokenizer)
    examples = [type(task).example_of(record, task.config) for record in records_of(task.config)]
    source = task.rows(examples, CONTEXT)
    config = check(
        DistillConfig,
        {"teacher": "a", "weight": 1.0, "on_policy": True, "divergence": "reverse", "max_new_tokens": 5},
        where="[distill]",
    )
    distilled = Distilled(task, (task, copy.deepcopy(model)), config, (source, examples))
    batch = distilled.batch(Draw.at(source, np.arange(4)))
    torch.manual_seed(0)
    found = distilled.loss(model.train(), batch)
    assert found.sum.item() == pytest.approx(0, abs=1e-6)
    assert 4 <= found.count <= 4 * 5
    student = jittered(model).train()
    optimizer = torch.optim.Adam(student.parameters(), lr=1e-2)
    means = []
    for _ in range(12):
        loss = distilled.loss(student, batch)
        optimizer.zero_grad()
        torch.autograd.backward(loss.sum / loss.count)
        optimizer.step()
        means.append(loss.sum.item() / loss.count)
    assert np.mean(means[-3:]) < 0.7 * means[0]


def test_what_cannot_be_compared_is_refused(new_tokenizer: NewTokenizer) -> None:
    task, model, _ = prepared("text-classification", new_tokenizer)
    grading, graded, _ = prepared("grading", new_tokenizer)
    with pytest.raises(ConfigError, match=r"distill: is for tasks that write, .* but task is grading"):
        taught(grading, graded)
    with pytest.raises(ConfigError, match=r"distill\.teacher='a': was trained for grading, but task is text-class"):
        Distilled(task, (grading, graded), DistillConfig(teacher="a"))
    fewer = task.with_settings(labels=("cat", "dog"))
    with pytest.raises(ConfigError, match="has the labels cat, dog, and the training part has bird, cat, dog, hotel"):
        Distilled(task, (fewer, model), DistillConfig(teacher="a"))
    chat, talks, _ = prepared("dialogue", new_tokenizer)
    with pytest.raises(ConfigError, match=r"distill\.on_policy: is for tasks that continue a prompt, but task is tex"):
        taught(task, model, on_policy=True)
    with pytest.raises(ConfigError, match="on_policy: learns from the teacher's probabilities alone; set weight = 1"):
        taught(chat, talks, on_policy=True, weight=0.5)
    with pytest.raises(ConfigError, match=r"distill\.relations: is for encoders, and the student is none"):
        taught(chat, talks, relations=1.0).check_student(talks)


def test_layers_that_are_kept_are_named_or_every_second() -> None:
    assert DistillConfig(teacher="a", layers="every-second").kept_layers(6) == (1, 3, 5)
    assert DistillConfig(teacher="a", layers=(0, 5)).kept_layers(6) == (0, 5)
    with pytest.raises(ValueError, match="layers: 6 is not one of 0 … 5, the layers of the base"):
        DistillConfig(teacher="a", layers=(6,)).kept_layers(6)
    with pytest.raises(ConfigError, match="weight, cosine and relations are all 0"):
        check(DistillConfig, {"teacher": "a", "weight": 0}, where="[distill]")
