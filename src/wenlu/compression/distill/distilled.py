"""A task that a student learns from a teacher besides from the right answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from wenlu.compression.distill.divergence import divergences, head_divergence, label_divergences
from wenlu.compression.distill.settings import DistillConfig
from wenlu.compression.distill.watching import Seen, last_attention, relation_divergences, watched
from wenlu.corpus.packing import Rows
from wenlu.errors import ConfigError
from wenlu.models import LanguageModel
from wenlu.tasks import (
    IGNORED,
    Batch,
    CausalLM,
    Draw,
    GenerativeTask,
    Loss,
    MaskedLM,
    Part,
    Reading,
    Task,
    TextClassification,
    TokenClassification,
    Totals,
)
from wenlu.tasks.dialogues.packed import PackedRows
from wenlu.tasks.labelled.token_loss import summed_nats
from wenlu.tasks.objective import tokens_in
from wenlu.training.rollouts import PromptBatch, prompt_batch, write_answers

WRITING = (CausalLM, MaskedLM, GenerativeTask)
"""Tasks whose targets are tokens of the vocabulary."""
READING = (TextClassification, TokenClassification)
"""Those whose answers a head of their own gives."""


class Distilled(Task):
    """The loss of a batch is (1 - w) times the task's own, w times the divergence from the teacher, and what hidden
    states and relations add; each summed over the targets that the task counts.

    The teacher keeps no gradients. Validation is by the task's own loss, as without a teacher.
    """

    def __init__(
        self,
        task: Task,
        teacher: tuple[Task | None, LanguageModel],
        config: DistillConfig,
        prompts: tuple[Rows, Sequence[Any]] | None = None,
    ) -> None:
        """
        Args:
            prompts: the training rows, and the examples that their owners number; needed `on_policy` alone.

        Raises ConfigError where the teacher was trained for something else.
        """
        own, model = teacher
        if isinstance(task, READING):
            _check_alike(task, own, config)
        elif not isinstance(task, WRITING):
            able = "tasks that write, and text-classification, token-classification, masked-lm and causal-lm"
            raise ConfigError(f"distill: is for {able}, but task is {task.name}")
        if config.on_policy and (not isinstance(task, GenerativeTask) or task.has_encoder):
            raise ConfigError(f"distill.on_policy: is for tasks that continue a prompt, but task is {task.name}")
        if prompts is not None and isinstance(prompts[0], PackedRows):
            raise ConfigError("distill.on_policy: answers each prompt by itself; set task.packing=false")
        self.task, self.settings_, self.prompts = task, config, prompts
        self.config = task.config
        self.teacher_task: Task = own if isinstance(task, READING) and own is not None else task
        self.teacher = self.teacher_task.trained(model) if not isinstance(task, READING) else own.headed(model)  # type: ignore[union-attr]
        self.teacher.eval().requires_grad_(False)

    @property
    def loss_unit(self) -> str:
        return self.task.loss_unit

    def check_student(self, student: LanguageModel) -> None:
        """Raises ConfigError where hidden states or relations of both cannot be compared."""
        config = self.settings_
        ours, theirs = student.config.hidden_size, self.teacher.config.hidden_size
        if config.cosine and ours != theirs:
            raise ConfigError(
                f"distill.cosine: compares states of one width, but the student has {ours} and the teacher {theirs}; "
                "leave it out"
            )
        if config.relations:
            heads = []
            for who, model in (("student", student), ("teacher", self.teacher)):
                attention = last_attention(model)
                if attention is None:
                    raise ConfigError(f"distill.relations: is for encoders, and the {who} is none; leave it out")
                heads.append(attention.q_proj.out_features // attention.head_dim)
            if heads[0] != heads[1]:
                raise ConfigError(
                    f"distill.relations: compares as many heads, but the student has {heads[0]} and the teacher "
                    f"{heads[1]}; set model.num_attention_heads={heads[1]}"
                )

    def batch(self, draw: Draw) -> Batch:
        if self.prompts is not None and draw.source is self.prompts[0]:
            return prompt_batch(self.task, draw)
        return self.task.batch(draw)

    def loss(self, model: LanguageModel, batch: Batch) -> Loss:
        if not model.training:
            return self.task.loss(model, batch)
        teacher = self.teacher.to(batch.input_ids.device)
        if self.settings_.on_policy:
            return self._on_policy(model, batch)
        with watched(model) as student:
            own, hidden = self._own(model, batch)
        with watched(teacher) as seen, torch.no_grad():
            if hidden is None:
                self.teacher_task.loss(teacher, batch)
                told = None
            else:
                told = self._states(teacher, batch)
        soft = self._soft(model, (student, hidden), (seen, told))
        config = self.settings_
        total = (1 - config.weight) * own.sum + config.weight * soft
        parts = {"task": _part(own.sum, own.count), "teacher": _part(soft, own.count)}
        if config.cosine:
            far = self._over_targets(1 - _cosines(seen, student), batch)
            total, parts["cosine"] = total + config.cosine * far, _part(far, own.count)
        if config.relations:
            apart = self._over_targets(relation_divergences(seen, student, _real(batch)), batch)
            total, parts["relations"] = total + config.relations * apart, _part(apart, own.count)
        return replace(own, sum=total, parts=parts)

    def _on_policy(self, model: LanguageModel, batch: Batch) -> Loss:
        """The divergence at each token that the student writes; how it came to be drawn has no gradient."""
        assert self.prompts is not None, "on policy there are prompts"
        assert isinstance(batch, PromptBatch), "a batch of training rows has prompts"
        assert batch.owners is not None, "rows of examples have owners"
        assert isinstance(self.task, GenerativeTask), "only tasks that write are on policy"
        rows, examples = self.prompts
        asked = [examples[owner] for owner in batch.owners.tolist()]
        most = self.settings_.max_new_tokens
        found, _ = write_answers(self.task, model, asked, rows.length, n=1, max_new_tokens=most)
        found = found.to(batch.input_ids.device)
        hidden = self._states(model, found)
        with torch.no_grad():
            told = self._states(self.teacher, found)
        soft = self._soft(model, (Seen(), hidden), (Seen(), told))
        return Loss(soft, len(hidden), {"teacher": _part(soft, len(hidden))}, tokens=found.num_tokens)

    def readings(self, totals: Totals, source: Rows) -> tuple[Reading, ...]:
        return self.task.readings(totals, source)

    def _own(self, model: LanguageModel, batch: Batch) -> tuple[Loss, Tensor | None]:
        """The task's own loss and, of tokens, the hidden states (N, D) of their targets."""
        if isinstance(self.task, READING):
            return self.task.loss(model, batch), None
        hidden = self._states(model, batch)
        asked = batch.targets != IGNORED
        smoothing = self.task.config.label_smoothing if isinstance(self.task, GenerativeTask) else 0.0
        nats = hidden.new_zeros(())
        if self.settings_.weight < 1:
            nats = summed_nats(model, hidden, batch.targets[asked], label_smoothing=smoothing)
        return Loss(nats, int(asked.sum()), tokens=tokens_in(batch)), hidden

    def _states(self, model: LanguageModel, batch: Batch) -> Tensor:
        asked = batch.targets != IGNORED
        if isinstance(self.task, GenerativeTask):
            return self.task.states(model, batch)[asked]
        found = model.hidden(batch.input_ids, attention_mask=batch.attention_mask, segments=batch.segments)
        return found[asked]

    def _soft(
        self,
        model: LanguageModel,
        student: tuple[Seen, Tensor | None],
        teacher: tuple[Seen, Tensor | None],
    ) -> Tensor:
        """The summed divergence of what both say at the targets."""
        config = self.settings_
        facts: dict[str, Any] = {"temperature": config.temperature, "direction": config.divergence}
        (seen, hidden), (told, states) = student, teacher
        if hidden is not None and states is not None:
            known = min(model.config.vocab_size, self.teacher.config.vocab_size)
            heads = (self.teacher.lm_head, states), (model.lm_head, hidden)
            return head_divergence(*heads, vocab_size=known, **facts)
        assert seen.answers is not None, "a task's head was seen"
        assert told.answers is not None, "a teacher's head was seen"
        several = isinstance(self.task, TextClassification) and self.task.config.several
        between = label_divergences if several else divergences
        return between(told.answers, seen.answers, **facts).sum()

    def _over_targets(self, values: Tensor, batch: Batch) -> Tensor:
        """The sum over the task's targets of values (B, T): of a whole text the mean over its tokens."""
        if isinstance(self.task, TextClassification):
            real = _real(batch).to(values.dtype)
            return ((values * real).sum(dim=1) / real.sum(dim=1).clamp(min=1)).sum()
        return values[batch.targets != IGNORED].sum()


def _check_alike(task: TextClassification | TokenClassification, teacher: Task | None, config: DistillConfig) -> None:
    if not isinstance(teacher, type(task)):
        trained = "nothing that it says" if teacher is None else teacher.name
        raise ConfigError(f"distill.teacher={config.teacher!r}: was trained for {trained}, but task is {task.name}")
    if teacher.names != task.names:
        raise ConfigError(
            f"distill.teacher={config.teacher!r}: has the labels {', '.join(teacher.names[:10])}, and the training "
            f"part has {', '.join(task.names[:10])}; train on the same ones"
        )
    if isinstance(task, TokenClassification) and task.config.crf:
        raise ConfigError(
            "distill: compares what is said of each word, and task.crf=true judges whole texts; leave it out"
        )
    if isinstance(task, TextClassification) and task.config.mixup:
        raise ConfigError("distill: the teacher reads texts as they are, and task.mixup mixes them; leave it out")


def _cosines(teacher: Seen, student: Seen) -> Tensor:
    assert teacher.states is not None, "a layer of the teacher was seen"
    assert student.states is not None, "a layer of the student was seen"
    return F.cosine_similarity(teacher.states.float(), student.states.float(), dim=-1)  # (B, T)


def _real(batch: Batch) -> Tensor:
    return torch.ones_like(batch.input_ids) if batch.attention_mask is None else batch.attention_mask


def _part(total: Tensor, count: int) -> Part:
    return Part(total.item(), count, 0)
