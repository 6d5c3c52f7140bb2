"""Whether a model begins where it should: finite weights, and a loss that guessing would have."""

from __future__ import annotations

import math

import torch

from wenlu.models import LanguageModel
from wenlu.tasks import (
    Batch,
    CausalLM,
    GenerativeTask,
    Loss,
    Objective,
    Preference,
    TextClassification,
    TokenClassification,
)
from wenlu.training.checks.finding import Finding
from wenlu.training.checks.subject import Subject

NEAR, LEAST, MOST = 0.2, 0.5, 3.0
"""A new model's loss is to be within NEAR of a guess's; under LEAST or over MOST times it something is wrong."""
KNOWS, WORSE = 0.9, 1.5
"""A base knows its language if its loss is under KNOWS of a guess's; over WORSE times it, it is not at home here."""


def finite_weights(model: LanguageModel) -> Finding:
    spoilt = [name for name, weight in model.state_dict().items() if not torch.isfinite(weight).all()]
    if spoilt:
        said = f"{len(spoilt)} tensors hold nan or infinity, as {spoilt[0]}"
        return Finding("weights", "failure", said, "Take the base from its source again, or an earlier checkpoint.")
    count = sum(weight.numel() for weight in model.parameters())
    return Finding("weights", "pass", f"all of {count:,} parameters are finite", numbers={"parameters": count})


def chance(subject: Subject, loss: Loss) -> float | None:
    """Nats a target of a guess among all answers alike; None where the task's loss has no such law."""
    task, vocabulary = subject.task, subject.model.config.vocab_size
    if isinstance(task, Objective):
        weights = task.weights()
        sums = [
            weights.get(name, 1.0)
            * part.count
            * math.log(vocabulary if task.num_classes(name) == task.tokenizer.vocab_size else task.num_classes(name))
            for name, part in loss.parts.items()
        ]
        return sum(sums) / max(1, loss.count)
    if isinstance(task, CausalLM | GenerativeTask):
        return math.log(vocabulary)
    if isinstance(task, Preference):
        return math.log(2) if task.config.loss == "sigmoid" else None
    if isinstance(task, TextClassification):
        if task.config.several:
            return math.log(2)
        return math.log(len(task.config.labels)) if isinstance(task.config.class_weights, str) else None
    if isinstance(task, TokenClassification):
        return None if task.config.crf else math.log(len(task.names))
    return None


def begins_with_a_guess(subject: Subject) -> bool:
    """Even on a base that knows its language: a new head does, and preferences that are measured against the base."""
    return subject.is_new or isinstance(subject.task, TextClassification | TokenClassification | Preference)


@torch.no_grad()
def loss_at_start(subject: Subject, batch: Batch) -> list[Finding]:
    """The loss before the first step, beside that of a guess; a base may have a head that was trained."""
    subject.model.eval()
    loss = subject.loss(batch)
    found, guess = loss.sum.item() / max(1, loss.count), chance(subject, loss)
    if not math.isfinite(found) or found < 0:
        fix = (
            "Look for a division by zero, a logarithm of nothing, or a sign: a loss in nats is finite and not negative."
        )
        return [Finding("loss-at-start", "failure", f"the loss before the first step is {found:g}", fix)]
    if guess is None:
        return [Finding("loss-at-start", "pass", f"{found:.3f} before the first step", numbers={"loss": found})]
    numbers = {"loss": found, "guess": guess}
    said = f"{found:.3f} nats a target before the first step; guessing has {guess:.3f}"
    if begins_with_a_guess(subject):
        return [_of_new(found, guess, said, numbers, may_know=not subject.is_new)]
    if found > WORSE * guess:
        fix = "Is it the tokenizer, and the chat template, that the base was trained with? It does worse than guessing."
        return [Finding("loss-at-start", "failure", said, fix, numbers)]
    if found > KNOWS * guess:
        fix = "A base that hardly beats guessing teaches little: is it the right one for this language?"
        return [Finding("loss-at-start", "warning", said, fix, numbers)]
    return [Finding("loss-at-start", "pass", said, numbers=numbers)]


def _of_new(found: float, guess: float, said: str, numbers: dict[str, float], *, may_know: bool) -> Finding:
    ratio = found / guess
    if ratio > MOST or (ratio < LEAST and not may_know):
        fix = (
            "A new model cannot know the answers: do the inputs hold them?"
            if ratio < LEAST
            else "Is the loss a sum over targets that is counted in targets, and are the first weights small?"
        )
        return Finding("loss-at-start", "failure", said, fix, numbers)
    if abs(ratio - 1) > NEAR and not (may_know and ratio < 1):
        fix = "Start with train.zero_outputs=true, or a smaller model.initializer_range: it begins away from a guess."
        return Finding("loss-at-start", "warning", said, fix, numbers)
    return Finding("loss-at-start", "pass", f"{said} (within {NEAR:.0%})", numbers=numbers)
