"""What a model says of held-out rows, quickly and often; the final score comes from `evaluation`."""

from __future__ import annotations

import numpy as np
import torch

from wenlu.corpus.packing import Rows
from wenlu.distributed import Placement, alone
from wenlu.models import LanguageModel
from wenlu.tasks import Draw, Reading, Task, Totals
from wenlu.training.config import TrainConfig
from wenlu.training.totals import over_all

ROWS = 16
SEED = 0
"""What is random of a held-out row is the same at each validation and in each run, so that scores compare."""


def validate(
    task: Task, model: LanguageModel, source: Rows, config: TrainConfig, placement: Placement | None = None
) -> tuple[Reading, ...]:
    """The task's readings of `held_out_totals`, the main one first."""
    return task.readings(held_out_totals(task, model, source, config, placement), source)


@torch.no_grad()
def held_out_totals(
    task: Task, model: LanguageModel, source: Rows, config: TrainConfig, placement: Placement | None = None
) -> Totals:
    """The losses over the rows that hold the first `validation_tokens` tokens.

    Processes share the rows of each batch. One that gets none reads a row without counting it, since others may wait
    for its part of the weights.
    """
    placement = placement or alone(model)
    part, parts = placement.share
    count = max(1, min(len(source), config.validation_tokens // source.length))
    totals, random = Totals(), torch.get_rng_state()
    torch.manual_seed(SEED)
    model.eval()
    for start in range(0, count, ROWS):
        numbers = np.arange(start, min(start + ROWS, count))
        own = numbers[len(numbers) * part // parts : len(numbers) * (part + 1) // parts]
        read = own if len(own) else numbers[:1]
        draw = Draw.at(source, read, seed=SEED, separate_documents=config.separate_documents)
        loss = task.loss(model, task.batch(draw).to(device_of(model)))
        totals = totals.plus(loss) if len(own) else totals
    totals = over_all(totals, placement)
    placement.rest()
    model.train()
    torch.set_rng_state(random)
    return totals


def device_of(model: LanguageModel) -> torch.device:
    return next(model.parameters()).device
