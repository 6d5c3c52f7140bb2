"""Learn from answers of one's own that a program judges: group-relative policy optimisation (GRPO).

Of each prompt of a step the model as it is writes a group of answers, drawn at temperature 1. An answer's advantage is
its reward less the mean of its group, divided by the group's standard deviation (Shao et al. 2024, arXiv:2402.03300).
As each answer is learnt from once, the weights that wrote it are those that learn, and nothing is clipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from pydantic import NonNegativeFloat, PositiveInt, model_validator
from torch import Tensor

from wenlu.bundle import Bundle
from wenlu.config import Config
from wenlu.corpus.packing import Rows
from wenlu.errors import ConfigError
from wenlu.generation import SamplingConfig
from wenlu.generation.text import answers
from wenlu.models import LanguageModel
from wenlu.tasks import IGNORED, Batch, Code, Draw, GenerativeTask, Loss, Part, Reading, Task, Totals
from wenlu.tasks.dialogues.packed import PackedRows
from wenlu.tasks.labelled.generative import WrittenRows
from wenlu.tasks.labelled.token_loss import each_nats
from wenlu.training.verifiable import Rule, rewards_of

EPSILON = 1e-4
"""Added to a group's standard deviation, as TRL does."""


class RolloutsConfig(Config):
    """The section `[rollouts]`: what the model writes in training, and what it is rewarded for.

    Attributes:
        reward: "match" (the text is the reference), "number" (both end in the same number), "pattern" (the whole text
            is as `pattern`, a regular expression, says), or "unit-tests" (of `task = "code"`, in the sandbox).
        group: answers to each prompt, so that a step of `batch_size` prompts learns from as many times more.
        beta: weight of the divergence from the model before training, of which a copy is kept; 0: none.
        scale: "group" divides advantages by their standard deviation, "none" does not.
        normalise: each answer counts alike ("answers"), or each token does ("tokens"), so that long ones count more.
        workers: processes that run unit tests side by side.
    """

    reward: Rule = "match"
    pattern: str = ""
    group: PositiveInt = 8
    max_new_tokens: PositiveInt = 64
    beta: NonNegativeFloat = 0.0
    scale: Literal["group", "none"] = "group"
    normalise: Literal["answers", "tokens"] = "answers"
    workers: PositiveInt = 1

    @model_validator(mode="after")
    def _can_compare(self) -> Self:
        if self.group < 2:
            raise ValueError("group: answers are compared with others to the same prompt; set 2 or more")
        if (self.reward == "pattern") != bool(self.pattern):
            raise ValueError('reward = "pattern" and pattern = "…" belong together; set both or neither')
        return self


@dataclass(frozen=True)
class PromptBatch(Batch):
    """The task's own batch, and the numbers of the examples (P,) that are to be answered."""

    owners: Tensor | None = None


@dataclass(frozen=True)
class Written:
    """Answers as rows: prompt and answer.

    Attributes:
        targets: (R, T) the answers' tokens, IGNORED elsewhere. rewards: (P, G).
    """

    batch: Batch
    rewards: Tensor


class Rollouts(Task):
    """A step's rows say which examples to answer; validation is the task's own."""

    def __init__(
        self,
        task: GenerativeTask,
        source: Rows,
        examples: Sequence[Any],
        config: RolloutsConfig,
        reference: LanguageModel | None = None,
    ) -> None:
        """
        Args:
            source: the training rows, whose owners number the examples.

        Raises ConfigError where the task's answers cannot be judged so, DataError where an example's cannot.
        """
        if task.has_encoder:
            raise ConfigError(f"rollouts: are for models that continue text, and that of {task.name} has an encoder")
        if config.reward == "unit-tests" and not isinstance(task, Code):
            raise ConfigError(f'rollouts.reward="unit-tests": is of task.name="code", but task is {task.name}')
        if isinstance(source, PackedRows):
            raise ConfigError("rollouts: answer each prompt by itself; set task.packing=false")
        assert isinstance(source, WrittenRows), "the rows of examples have owners"
        asked = [examples[owner] for owner in np.unique(source.owners).tolist()]
        rewards_of(config.reward, task, asked, [()] * len(asked), pattern=config.pattern)  # before any step
        assert (reference is None) == (config.beta == 0), "a divergence is from a reference"
        self.task, self.source, self.examples, self.rules = task, source, examples, config
        self.config = task.config
        self.reference = None if reference is None else reference.eval().requires_grad_(False)

    @property
    def loss_unit(self) -> str:
        return "advantage/answer" if self.rules.normalise == "answers" else "advantage/token"

    def batch(self, draw: Draw) -> Batch:
        return prompt_batch(self.task, draw) if draw.source is self.source else self.task.batch(draw)

    def loss(self, model: LanguageModel, batch: Batch) -> Loss:
        """Writes, judges, and sums over answers (or tokens); the gradient is that of the expected reward."""
        if not model.training or not isinstance(batch, PromptBatch) or batch.owners is None:
            return self.task.loss(model, batch)
        written = self.written(model, batch.owners.tolist())
        rows = written.batch.to(batch.input_ids.device)
        advantages = advantages_of(written.rewards, scale=self.rules.scale).flatten().to(batch.input_ids.device)
        asked = rows.targets != IGNORED
        logps = self._logps(model, rows, asked)
        reference = None
        if self.reference is not None:
            with torch.no_grad():
                reference = self._logps(self.reference.to(batch.input_ids.device), rows, asked)
        total, count, divergence = policy_loss(
            logps, advantages, asked, reference, beta=self.rules.beta, normalise=self.rules.normalise
        )
        rewards, lengths = written.rewards, asked.sum(dim=1)
        parts = {
            "reward": Part(rewards.sum().item(), rewards.numel(), int((rewards > 0).sum())),
            "answer_tokens": Part(lengths.sum().item(), len(lengths), 0),
            "silent_groups": Part(float((rewards.std(dim=1, correction=0) == 0).sum()), len(rewards), 0),
            "divergence": Part(divergence, max(1, int(asked.sum())), 0),
        }
        return Loss(total, count, parts, tokens=written.batch.num_tokens)

    def step_readings(self, totals: Totals) -> tuple[Reading, ...]:
        units = {"reward": "of 1", "answer_tokens": "tokens", "silent_groups": "fraction", "divergence": "nats/token"}
        return tuple(Reading(name, part.sum / max(1, part.count), units[name]) for name, part in totals.parts.items())

    def readings(self, totals: Totals, source: Rows) -> tuple[Reading, ...]:
        return self.task.readings(totals, source)

    def written(self, model: LanguageModel, owners: Sequence[int]) -> Written:
        """Groups of answers of the model as it is, with their rewards."""
        examples, rules, task = [self.examples[owner] for owner in owners], self.rules, self.task
        rows, texts = write_answers(
            task, model, examples, self.source.length, n=rules.group, max_new_tokens=rules.max_new_tokens
        )
        rewards = rewards_of(rules.reward, task, examples, texts, pattern=rules.pattern, workers=rules.workers)
        return Written(rows, torch.tensor(rewards, dtype=torch.float64))

    def _logps(self, model: LanguageModel, rows: Batch, asked: Tensor) -> Tensor:
        """(R, T) log-probabilities of the answers' tokens, 0 elsewhere."""
        hidden = model.hidden(rows.input_ids, attention_mask=rows.attention_mask)
        nats = each_nats(model, hidden[asked], rows.targets[asked])
        return torch.zeros(asked.shape, dtype=nats.dtype, device=nats.device).masked_scatter(asked, -nats)


def prompt_batch(task: Task, draw: Draw) -> PromptBatch:
    """The task's batch, with the examples that its rows are of."""
    assert isinstance(draw.source, WrittenRows), "the training rows have owners"
    return PromptBatch(**vars(task.batch(draw)), owners=torch.from_numpy(np.unique(draw.source.owners[draw.places])))


@torch.no_grad()
def write_answers(
    task: GenerativeTask, model: LanguageModel, examples: Sequence[Any], context: int, *, n: int, max_new_tokens: int
) -> tuple[Batch, list[list[str]]]:
    """`n` answers to each example, drawn at temperature 1 from the model as it is: as rows, and as texts.

    Random numbers are torch's, which a checkpoint holds, so a run that goes on writes the same.
    """
    prompts = task.prompts(examples, context)
    sampling = SamplingConfig(
        max_new_tokens=max(1, min(max_new_tokens, context - max(map(len, prompts)))),
        temperature=1.0,
        n=n,
        seed=int(torch.randint(2**62, ())),
        max_batch=n * len(prompts),
    )
    bundle = Bundle(model.eval(), task.tokenizer, task, model.config, Path(), {"eos_token_id": task.end_id})
    found = dict(answers(bundle, prompts, sampling))
    model.train()
    texts = [
        [task.answered(example, choice.text, choice.ids, choice.logprob).text for choice in found[place]]
        for place, example in enumerate(examples)
    ]
    rows = [(prompt, choice.ids) for place, prompt in enumerate(prompts) for choice in found[place]]
    return _batch(rows, task.tokenizer.pad_id or 0), texts


def advantages_of(rewards: Tensor, *, scale: Literal["group", "none"]) -> Tensor:
    """(P, G) of rewards (P, G); 0 in a group whose rewards are all the same."""
    centred = rewards - rewards.mean(dim=1, keepdim=True)
    if scale == "none":
        return centred
    return centred / (rewards.std(dim=1, keepdim=True) + EPSILON)


def policy_loss(
    logps: Tensor,
    advantages: Tensor,
    asked: Tensor,
    reference: Tensor | None,
    *,
    beta: float,
    normalise: Literal["answers", "tokens"],
) -> tuple[Tensor, int, float]:
    """The summed loss, what it is to be divided by, and the summed divergence of tokens from the reference.

    Of a token it is -A · π/π' + β · (r - log r - 1), where π' is π without its gradient, and r = π_ref/π (the
    estimator k3: Schulman 2020), which is never negative. One mask says which tokens are summed and counted.

    Args:
        logps: (R, T), 0 where nothing is asked. advantages: (R,). asked: (R, T).
    """
    mask = asked.to(logps.dtype)
    costs = -advantages.to(logps.dtype)[:, None] * (logps - logps.detach()).exp()
    apart = torch.zeros_like(logps)
    if reference is not None:
        gap = reference - logps
        apart = gap.exp() - gap - 1
        costs = costs + beta * apart
    costs = costs * mask
    divergence = float((apart.detach() * mask).sum())
    if normalise == "tokens":
        return costs.sum(), int(asked.sum()), divergence
    each = costs.sum(dim=1) / mask.sum(dim=1).clamp(min=1)
    return each.sum(), len(each), divergence


def _batch(rows: Sequence[tuple[Sequence[int], Sequence[int]]], pad_id: int) -> Batch:
    longest = max(len(prompt) + len(answer) for prompt, answer in rows)
    ids = torch.full((len(rows), longest), pad_id)
    targets = torch.full((len(rows), longest), IGNORED)
    mask = torch.zeros((len(rows), longest), dtype=torch.long)
    for number, (prompt, answer) in enumerate(rows):
        start, stop = len(prompt), len(prompt) + len(answer)
        ids[number, :stop] = torch.tensor([*prompt, *answer])
        targets[number, start - 1 : stop - 1] = torch.tensor([*answer])
        mask[number, :stop] = 1
    return Batch(ids, targets, attention_mask=mask, num_tokens=int(mask.sum()))


__all__ = [
    "PromptBatch",
    "Rollouts",
    "RolloutsConfig",
    "advantages_of",
    "policy_loss",
    "prompt_batch",
    "write_answers",
]
