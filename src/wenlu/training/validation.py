"""What a model says of held-out rows, quickly and often; the final score comes from `evaluation`."""

from __future__ import annotations

import numpy as np
import torch

from wenlu.corpus.packing import Rows
from wenlu.models import LanguageModel
from wenlu.tasks import Draw, Reading, Task, Totals
from wenlu.training.config import TrainConfig

ROWS = 16
SEED = 0
"""What is random of a held-out row is the same at each validation and in each run, so that scores compare."""


@torch.no_grad()
def validate(task: Task, model: LanguageModel, source: Rows, config: TrainConfig) -> tuple[Reading, ...]:
    """The task's readings over the rows that hold the first `validation_tokens` tokens, the main one first."""
    count = max(1, min(len(source), config.validation_tokens // source.length))
    totals, random = Totals(), torch.get_rng_state()
    torch.manual_seed(SEED)
    model.eval()
    for start in range(0, count, ROWS):
        numbers = np.arange(start, min(start + ROWS, count))
        draw = Draw.at(source, numbers, seed=SEED, separate_documents=config.separate_documents)
        totals = totals.plus(task.loss(model, task.batch(draw).to(device_of(model))))
    model.train()
    torch.set_rng_state(random)
    return task.readings(totals, source.data)


def device_of(model: LanguageModel) -> torch.device:
    return next(model.parameters()).device
