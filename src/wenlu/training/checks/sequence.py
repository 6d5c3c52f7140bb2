"""The checks in the order in which one tells of the next: batches, tokenizer, model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wenlu.tasks import Draw, MultiTask, ReadingTask, Task
from wenlu.tokenizers import Tokenizer
from wenlu.training.checks.finding import Finding
from wenlu.training.checks.future import no_future
from wenlu.training.checks.gradients import gradients
from wenlu.training.checks.overfit import answers, overfit
from wenlu.training.checks.places import document_ends, padding_share, padding_targets, shifted_targets, trained_tokens
from wenlu.training.checks.same_loss import same_loss
from wenlu.training.checks.start import finite_weights, loss_at_start
from wenlu.training.checks.subject import Subject
from wenlu.training.checks.view import shares
from wenlu.training.checks.vocabulary import (
    chat_template,
    coverage,
    end_token,
    pad_token,
    served_tokenizer,
    special_tokens,
)
from wenlu.training.optimizers import OptimizerConfig


def of_batches(task: Task, tokenizer: Tokenizer, draws: Sequence[Draw]) -> list[Finding]:
    """What of the batches is trained on."""
    batches = [task.batch(draw) for draw in draws]
    found = shares(task, batches)
    return [
        trained_tokens(found),
        padding_share(found),
        padding_targets(task, batches, tokenizer),
        *shifted_targets(task, batches),
        *document_ends(task, draws, tokenizer.eos_id),
    ]


def of_tokenizer(
    task: Task,
    trained: Tokenizer,
    served: Tokenizer,
    texts: Sequence[str],
    *,
    base: Tokenizer | None,
    needed: Sequence[str],
    vocab_size: int,
    pads: bool,
) -> list[Finding]:
    """The tokenizer that is trained with, beside the one that is saved and that of the base.

    Args:
        needed: special tokens that the task asks for. vocab_size: of the model. pads: rows have different lengths.
    """
    return [
        pad_token(trained, pads=pads, is_base=base is not None),
        *end_token(trained, writes=not isinstance(task, ReadingTask | MultiTask)),
        special_tokens(trained, needed, vocab_size),
        served_tokenizer(trained, served, texts),
        *chat_template(trained, served, base),
        coverage(trained, texts),
    ]


def of_model(
    subject: Subject,
    optimizer: OptimizerConfig,
    *,
    clip_norm: float | None,
    seconds: float,
    most_steps: int,
    examples: Sequence[Any] = (),
) -> list[Finding]:
    """The model on a few rows; it stays as it is.

    Args:
        seconds, most_steps: that eight examples may take to be learnt, with each optimizer that is tried.
        examples: those of the source, by owner; none where they are of several tasks.
    """
    findings = [finite_weights(subject.model)]
    if findings[0].verdict == "failure":
        return findings
    batch = subject.batch()
    findings += loss_at_start(subject, batch)
    small = subject.cut()
    findings += [*gradients(small, batch), *same_loss(small), *no_future(small, batch)]
    learnt, course = overfit(small, optimizer, clip_norm=clip_norm, seconds=seconds, most_steps=most_steps)
    return [*findings, *learnt, *(answers(small, course, examples) if examples else [])]
