"""How much of what a model could do before may be lost by training it further."""

from __future__ import annotations

from dataclasses import dataclass

from wenlu.corpus.packing import Rows
from wenlu.distributed import Placement
from wenlu.models import LanguageModel
from wenlu.tasks import Task
from wenlu.tasks.labelled import Headed
from wenlu.training.config import TrainConfig
from wenlu.training.validation import held_out_totals


@dataclass(frozen=True)
class Budget:
    """The loss of an older task on rows of its own.

    Attributes:
        before: nats of a target, before training. most: up to which the loss may rise; None: it is watched alone.
    """

    task: Task
    rows: Rows
    before: float
    most: float | None = None

    def nats(self, model: LanguageModel, config: TrainConfig, placement: Placement | None = None) -> float:
        """What a target costs the model now."""
        return nats_of(self.task, model, self.rows, config, placement)

    def allows(self, nats: float) -> bool:
        return self.most is None or nats <= self.most


def nats_of(
    task: Task, model: LanguageModel, rows: Rows, config: TrainConfig, placement: Placement | None = None
) -> float:
    """The mean loss of an older task; a head that training put on the model has no part in it."""
    body = model.body if isinstance(model, Headed) else model
    totals = held_out_totals(task, body, rows, config, placement)
    return totals.sum / max(1, totals.count)
