"""Whether eight examples are learnt by heart, with the recipe's own optimizer, and answered as they were taught."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from wenlu.models import LanguageModel
from wenlu.tasks import Batch, LabelledTask, ReadingTask, TextClassification
from wenlu.training.checks.finding import Finding
from wenlu.training.checks.subject import Subject
from wenlu.training.optimizers import AdamWConfig, OptimizerConfig
from wenlu.training.state import TrainState

LEARNT = 0.1
"""Of the loss before the first step: what is left where eight examples are known by heart."""
ENOUGH_STEPS = 40
"""Fewer do not prove that something cannot be learnt."""
PATIENCE = 5.0
"""So many times the seconds may be spent until there are enough steps."""
RISING, RESTING, THROWN = 1.02, 0.999, 2.0
"""Of the loss at the start: over the first it rose, over the second it did not fall, and a rate that threw it over the
third on its way is too high."""
FALLING, WELL_UNDER, COMPARED = 0.97, 0.9, 8
"""It still falls where the last few losses are under FALLING of the few before, and WELL_UNDER the start."""
WARM_UP = 5
OTHERS = (AdamWConfig(lr=5e-3, weight_decay=0.0), AdamWConfig(lr=3e-4, weight_decay=0.0))
"""What is tried where the recipe's own optimizer does not learn them, to tell the rate from the rest."""


@dataclass(frozen=True)
class Course:
    """Attributes:
    losses: a target, before each step. model: as it is behind the last.
    """

    losses: Sequence[float]
    model: LanguageModel

    @property
    def start(self) -> float:
        return self.losses[0]

    @property
    def end(self) -> float:
        """Of the last few steps, the middle one."""
        return statistics.median(self.losses[-5:])

    @property
    def is_learnt(self) -> bool:
        return math.isfinite(self.end) and 0 <= self.end <= LEARNT * self.start

    @property
    def is_falling(self) -> bool:
        """Whether more steps would have brought more."""
        if len(self.losses) < 2 * COMPARED or not math.isfinite(self.end) or max(self.losses) > THROWN * self.start:
            return False
        before, last = self.losses[-2 * COMPARED : -COMPARED], self.losses[-COMPARED:]
        return self.ratio < WELL_UNDER and statistics.fmean(last) < FALLING * statistics.fmean(before)

    @property
    def ratio(self) -> float:
        return self.end / self.start if self.start else math.nan


def overfit(
    subject: Subject, optimizer: OptimizerConfig, *, clip_norm: float | None, seconds: float, most_steps: int
) -> tuple[list[Finding], Course]:
    """Whether the eight are learnt at all, and whether the recipe's rate moves the loss down.

    `seconds` bounds each attempt once there are steps enough to tell.
    """
    own = subject.copied()
    batch = own.batch()
    course = learn(own, batch, optimizer, clip_norm, seconds, most_steps)
    if course.is_learnt or course.is_falling:
        return [_learnt(course, "" if course.is_learnt else ", and it still falls"), _rate(course)], course
    best = course
    for other in OTHERS[: 1 if subject.is_new else 2]:
        tried = learn(subject.copied(), batch, other, 1.0, seconds, most_steps)
        if tried.is_learnt or tried.is_falling:
            return [_learnt(tried, f", with AdamW at {other.lr:g}"), _rate(course)], tried
        best = min(best, tried, key=lambda each: each.end if math.isfinite(each.end) else math.inf)
    findings = [_not_learnt(best)]
    return [*findings, _rate(course)], best


def learn(
    subject: Subject,
    batch: Batch,
    optimizer: OptimizerConfig,
    clip_norm: float | None,
    seconds: float,
    most_steps: int,
) -> Course:
    """Steps on one batch until it is known by heart, or does not go on."""
    state = TrainState(subject.model, optimizer)
    losses: list[float] = []
    began = time.perf_counter()
    while len(losses) < most_steps:
        patience = seconds if len(losses) > ENOUGH_STEPS else PATIENCE * seconds
        if losses and time.perf_counter() - began > patience:
            break
        loss = subject.loss(batch)
        value = loss.sum.item() / max(1, loss.count)
        losses.append(value)
        if not math.isfinite(value) or value < 0 or state.diverged or not loss.sum.requires_grad:
            break
        if len(losses) > 4 and max(losses[-3:]) <= LEARNT * losses[0]:
            break
        if len(losses) > ENOUGH_STEPS and min(losses[-COMPARED:]) > RESTING * losses[0]:
            break
        torch.autograd.backward(loss.sum)
        state.masters.pull_gradients()
        state.update(count=max(1, loss.count), loss=value, factor=min(1.0, len(losses) / WARM_UP), clip_norm=clip_norm)
    return Course(losses, subject.model)


def _learnt(course: Course, how: str) -> Finding:
    said = f"the loss of eight examples falls from {course.start:.3f} to {course.end:.4f} in {len(course.losses)} steps"
    return Finding("overfit-8", "pass", said + how, numbers=_numbers(course))


def _not_learnt(course: Course) -> Finding:
    said = (
        f"eight examples are not learnt by heart: from {course.start:.3f} to {course.end:.3f} in {len(course.losses)} "
        "steps, with the recipe's optimizer and with AdamW"
    )
    if len(course.losses) < ENOUGH_STEPS and math.isfinite(course.end) and course.end < RISING * course.start:
        fix = "The time did not suffice to tell; run wenlu check by itself, which takes longer, or a smaller model."
        return Finding("overfit-8", "warning", said, fix, _numbers(course))
    fix = (
        "What is taught cannot be learnt: look at the loss (softmax twice? a wrong sign?), at frozen or detached "
        "parts, and at the first rows."
    )
    return Finding("overfit-8", "failure", said, fix, _numbers(course))


def _rate(course: Course) -> Finding:
    said = f"at the recipe's rate the loss of eight examples goes from {course.start:.3f} to {course.end:.3f}"
    said += f" in {len(course.losses)} steps"
    if course.is_learnt:
        return Finding("learning-rate", "pass", said, numbers=_numbers(course))
    if not math.isfinite(course.end) or course.ratio > RISING or max(course.losses) > THROWN * course.start:
        said += f", {max(course.losses):.3f} at the highest"
        fix = "Lower optimizer.lr: at this rate the loss rises."
        return Finding("learning-rate", "failure", said, fix, _numbers(course))
    if course.ratio > RESTING and len(course.losses) >= ENOUGH_STEPS:
        fix = "Raise optimizer.lr: at this rate nothing moves."
        return Finding("learning-rate", "failure", said, fix, _numbers(course))
    return Finding("learning-rate", "pass", said, numbers=_numbers(course))


def _numbers(course: Course) -> dict[str, float]:
    return {"start": course.start, "end": course.end, "steps": len(course.losses)}


def answers(subject: Subject, course: Course, examples: Sequence[Any]) -> list[Finding]:
    """Whether a model that knows the eight by heart answers them right: the head and the targets say the same.

    Args:
        examples: those of all rows of the source, by owner.
    """
    task = subject.task
    if not course.is_learnt or not isinstance(task, ReadingTask) or not isinstance(task, LabelledTask):
        return []
    owners = dict.fromkeys(np.asarray(subject.source.owners)[subject.places].tolist())  # type: ignore[attr-defined]
    asked = [examples[owner] for owner in owners]
    answered = task.answer(course.model, asked, subject.source.length)
    found = np.asarray(_correct(task, asked, answered), float)
    if not len(found):
        return []
    share = float(found.mean())
    said = f"of examples that it knows by heart, {share:.0%} are answered as they were taught"
    if share < 0.5:
        fix = "Let the head's outputs, the targets and the answers number the labels alike."
        return [Finding("answers", "failure", said, fix, {"share": share})]
    return [Finding("answers", "pass", said, numbers={"share": share})]


def _correct(task: LabelledTask, examples: Sequence[Any], answers: Sequence[Any]) -> Sequence[bool]:
    """Of each answer, where that can be said: by the names that users give, not by numbers."""
    if isinstance(task, TextClassification):
        names = [task.told(answer)["prediction"] for answer in answers]
        said = [{*name} if task.config.several else {name} for name in names]
        return [name == {*example.labels} for name, example in zip(said, examples, strict=True)]
    correct = task.judged(examples, answers).get("correct")
    return [] if correct is None else [bool(each) for each in correct]
