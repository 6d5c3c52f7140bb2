"""Several labelled tasks on one body, with a head for each."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar, Literal, Self

import torch
from pydantic import Field, PositiveFloat, PositiveInt

from wenlu.corpus.examples import Examples
from wenlu.corpus.mixed_examples import MixedExamples
from wenlu.corpus.packing import Rows
from wenlu.corpus.turns import chances
from wenlu.models import Ability, Family, LanguageModel
from wenlu.rundir import atomic
from wenlu.tasks.labelled import Headed, ReadingTask
from wenlu.tasks.several.heads import ManyHeaded
from wenlu.tasks.several.weighting import by_uncertainty, factor_of
from wenlu.tasks.task import FILE, Batch, Draw, Loss, Part, Reading, Task, TaskConfig, Totals
from wenlu.tokenizers import Tokenizer

MEMBERS = "members"
"""Where a model's folder keeps task.json and the head of each of its tasks, in a folder by the task's name."""
_LEAST = 1e-12
"""A loss below it is as good as none."""


class MultiTaskConfig(TaskConfig):
    """How the tasks of `[members]` share a training; each has its own settings and data there.

    Attributes:
        temperature: T of p_i ∝ n_i^(1/T), how likely a step is one of member i, whose training part has n_i rows: 1
            draws in proportion, a large T all members alike.
        most_rows: n_i counts at most so much.
        weighting: by the numbers in `weights`, or by a variance of each member that is learnt besides (Kendall, Gal &
            Cipolla 2018, arXiv:1705.07115).
        weights: of the losses, by member; 1 unless named.
        log_variances: what the logarithms of the variances begin with, 0 unless named, and of a trained model what they
            came to.
        singles: train each member alone, too, for as many steps as it got, and compare.
        names: of the members, in a trained model.
    """

    suits: ClassVar[str] = "families that read text"
    name: Literal["multi-task"] = "multi-task"
    temperature: PositiveFloat = 1.0
    most_rows: PositiveInt | None = None
    weighting: Literal["fixed", "uncertainty"] = "fixed"
    weights: dict[str, PositiveFloat] = Field(default_factory=dict)
    log_variances: dict[str, float] = Field(default_factory=dict)
    singles: bool = False
    names: tuple[str, ...] = ()

    def accepts(self, family: Family) -> bool:
        return bool(family.abilities & {Ability.MASKED, Ability.CAUSAL})


@dataclass(frozen=True)
class MixedBatch(Batch):
    """Rows of several members.

    Attributes:
        parts: what each member made of its own.
    """

    parts: Mapping[str, Batch] = field(default_factory=dict)

    def to(self, device: torch.device) -> MixedBatch:
        return replace(self, parts={name: part.to(device) for name, part in self.parts.items()})


class MultiTask(Task):
    """A step of training is of one member, so that its gradient is that of the mean over this member's targets: one
    whose texts have many words to tag counts no more than one whose texts have a label each.

    The validation is the geometric mean of the members' losses, in which a tenth less of any of them counts alike,
    whatever it is measured in.

    Attributes:
        members: by name; a model is made of them in this order.
    """

    name = "multi-task"
    settings = MultiTaskConfig
    example = object
    metrics = ()
    ability = "does several tasks"
    config: MultiTaskConfig

    def __init__(
        self, config: MultiTaskConfig, tokenizer: Tokenizer, members: Mapping[str, ReadingTask] | None = None
    ) -> None:
        self.config = config
        self.tokenizer = tokenizer
        self.members = dict(members or {})

    def with_members(self, members: Mapping[str, ReadingTask]) -> Self:
        """The same task of other members."""
        other = copy(self)
        other.members = dict(members)
        return other

    @property
    def loss_unit(self) -> str:
        return "weighted loss of one task"

    def mixed(self, parts: Mapping[str, Examples]) -> MixedExamples:
        """Rows of the members, or of some of them, as training draws them."""
        sizes = [len(part) for part in parts.values()]
        return MixedExamples(parts, chances(sizes, self.config.temperature, self.config.most_rows))

    def shares(self, source: Rows, seed: int, steps: int) -> dict[str, int]:
        """How many of the first `steps` of a training each member gets."""
        assert isinstance(source, MixedExamples), "made by `mixed`"
        return source.shares(seed, steps)

    def batch(self, draw: Draw) -> MixedBatch:
        """Each member's batch of its own rows among those drawn."""
        source = draw.source
        assert isinstance(source, MixedExamples), f"{self.name} draws from the examples of its members"
        parts = {}
        for number, (name, examples) in enumerate(source.parts.items()):
            own = source.members[draw.places] == number
            if own.any():
                drawn = Draw.at(examples, source.places[draw.places[own]], draw.numbers[own], seed=draw.seed)
                parts[name] = self.members[name].batch(drawn)
        return MixedBatch(torch.empty(0), torch.empty(0), parts=parts)

    def loss(self, model: LanguageModel, batch: Batch) -> Loss:
        """Summed over the members' targets, each loss weighed; the parts tell the losses as they are."""
        assert isinstance(batch, MixedBatch), "made by `batch`"
        many = self.headed(model)
        total, count, tokens = torch.zeros((), device=next(many.parameters()).device), 0, 0
        parts: dict[str, Part] = {}
        for name, own in batch.parts.items():
            loss = self.members[name].loss(many.of(name), own)
            total = total + self._weighed(name, loss, many)
            count += loss.count
            tokens += loss.count if loss.tokens is None else loss.tokens
            parts[name] = Part(loss.sum.item(), loss.count, 0)
            parts |= {f"{name}.{part}": found for part, found in loss.parts.items()}
        return Loss(total, count, parts, tokens=tokens)

    def _weighed(self, name: str, loss: Loss, many: ManyHeaded) -> torch.Tensor:
        weight = self.config.weights.get(name, 1.0)
        if self.config.weighting == "fixed":
            return weight * loss.sum
        factor = factor_of(self.members[name])
        return weight * by_uncertainty(loss.sum, loss.count, many.log_variance(name), factor)

    def readings(self, totals: Totals, source: Rows) -> tuple[Reading, ...]:  # noqa: ARG002
        losses = {name: totals.parts[name].sum / totals.parts[name].count for name in self._met(totals)}
        logs = [math.log(max(loss, _LEAST)) for loss in losses.values()]
        return (
            Reading("validation", math.exp(sum(logs) / len(logs)), "geometric mean of losses"),
            *(Reading(f"{name}.validation", loss, self.members[name].loss_unit) for name, loss in losses.items()),
            *(
                Reading(f"{name}.accuracy", part.right / max(1, part.count), "fraction")
                for name, part in totals.parts.items()
                if name not in losses
            ),
        )

    def _met(self, totals: Totals) -> list[str]:
        return [name for name in self.members if name in totals.parts]

    def trained(self, model: LanguageModel) -> ManyHeaded:
        if isinstance(model, ManyHeaded):
            return model
        heads = {name: member.trained(model).task_head for name, member in self.members.items()}
        return ManyHeaded(model, heads, self._variances())

    def kept(self, trained: LanguageModel) -> LanguageModel:
        return trained.body if isinstance(trained, Headed) else trained

    def headed(self, model: LanguageModel) -> ManyHeaded:
        """The model with all heads: as it is trained, or as they were read."""
        if isinstance(model, ManyHeaded):
            return model
        heads = {name: member.headed(model).task_head for name, member in self.members.items()}
        return ManyHeaded(model, heads, self._variances()).train(model.training)

    def _variances(self) -> dict[str, float]:
        if self.config.weighting == "fixed":
            return {}
        return {name: self.config.log_variances.get(name, 0.0) for name in self.members}

    def save(self, folder: Path, trained: LanguageModel, family: Family) -> None:
        """Besides task.json a folder for each member, with its own and its head."""
        many = self.headed(trained)
        learnt = {name: many.log_variance(name).item() for name in self._variances()}
        config = self.config.model_copy(update={"names": tuple(self.members), "log_variances": learnt})
        for name, member in self.members.items():
            own = folder / MEMBERS / name
            own.mkdir(parents=True)
            member.save(own, many.of(name), family)
        atomic.write_text(folder / FILE, json.dumps(config.model_dump(mode="json"), indent=2) + "\n")
