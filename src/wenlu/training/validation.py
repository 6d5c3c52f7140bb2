"""Bits per byte on held-out windows, quickly and often; the final score comes from `evaluation`."""

from __future__ import annotations

import math

import numpy as np
import torch

from wenlu.corpus.packing import Windows
from wenlu.models import LanguageModel
from wenlu.tasks import CausalLM
from wenlu.training.config import TrainConfig

ROWS = 16


@torch.no_grad()
def validation_bits_per_byte(task: CausalLM, model: LanguageModel, windows: Windows, config: TrainConfig) -> float:
    """Bits per byte over the windows that hold the first `validation_tokens` tokens.

    A window does not see what stands before it, so this is an upper bound of the final score.
    """
    count = max(1, min(len(windows), config.validation_tokens // windows.length))
    nats, targets = 0.0, 0
    model.eval()
    for start in range(0, count, ROWS):
        rows = windows.rows(np.arange(start, min(start + ROWS, count)))
        batch = task.batch(rows, separate_documents=config.separate_documents).to(device_of(model))
        loss = task.loss(model, batch)
        nats, targets = nats + loss.sum.item(), targets + loss.count
    model.train()
    bytes_per_token = windows.data.num_bytes / windows.data.num_tokens
    return nats / math.log(2) / (targets * bytes_per_token)


def device_of(model: LanguageModel) -> torch.device:
    return next(model.parameters()).device
