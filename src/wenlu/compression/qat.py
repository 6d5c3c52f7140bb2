"""Quantisation-aware training: weights learn while the model computes with what they will be rounded to.

The gradient passes through the rounding as if it were not there (Bengio et al. 2013, arXiv:1308.3432). The model learns
to answer as it did before it was rounded, so it needs texts but no labels (as Liu et al. 2023, arXiv:2305.17888).
"""

from __future__ import annotations

import copy
import math
import random
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor, nn

from wenlu.bundle import Bundle
from wenlu.compression.calibration import Calibration, read
from wenlu.compression.layerwise import maps_of, needed
from wenlu.compression.method import Compressed, QuantiseConfig
from wenlu.errors import Diverged
from wenlu.generation.forward import inference
from wenlu.models import LanguageModel
from wenlu.models.quantised import Grid, GridConfig, QuantisedLinear, linear_of, put
from wenlu.progress import QUIET, Progress


class QatConfig(QuantiseConfig):
    """AdamW on the weights of the maps alone, without decay; the rate falls to zero along a cosine.

    Attributes:
        rows: texts a step, read one after another.
        seed: of the order of texts.
    """

    is_calibrated: ClassVar[bool] = True

    method: Literal["qat"] = "qat"
    steps: PositiveInt = 100
    rows: PositiveInt = 8
    lr: PositiveFloat = 1e-4
    seed: NonNegativeInt = 0


class RoundedLinear(nn.Linear):
    """Computes with weights rounded to the nearest of a grid that follows them; they learn as if they were not."""

    def __init__(self, linear: nn.Linear, config: GridConfig) -> None:
        super().__init__(linear.in_features, linear.out_features, linear.bias is not None, device="meta")
        self.weight = nn.Parameter(linear.weight.detach().clone())
        if linear.bias is not None:
            self.bias = nn.Parameter(linear.bias.detach().clone())
        self.config = config

    def forward(self, input: Tensor) -> Tensor:
        rounded = Grid.of(self.weight, self.config).rounded(self.weight).to(self.weight.dtype)
        return F.linear(input, self.weight + (rounded - self.weight).detach(), self.bias)


def qat(
    bundle: Bundle, config: QatConfig, calibration: Calibration | None = None, progress: Progress = QUIET
) -> Compressed:
    """Train and quantise the maps of the bundle's model in place.

    Raises:
        UsageError: as `layerwise`.
        Diverged: a loss that is not a number.
    """
    model, names = bundle.model, maps_of(bundle)
    rows = needed(calibration, config.label).rows(bundle)
    teacher = copy.deepcopy(model)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    for name in names:
        put(model, name, RoundedLinear(linear_of(model, name), config.grid))
    weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=config.lr, weight_decay=0.0)
    drawn, waiting = random.Random(config.seed), list[Tensor]()
    progress.start(config.label, total=config.steps, unit="steps")
    for step in range(config.steps):
        for group in optimizer.param_groups:
            group["lr"] = config.lr * (1 + math.cos(math.pi * step / config.steps)) / 2
        optimizer.zero_grad()
        total = 0.0
        for _ in range(config.rows):
            waiting = waiting or drawn.sample(rows, len(rows))
            loss = distance(model, teacher, waiting.pop()) / config.rows
            loss.backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        if not math.isfinite(total):
            raise Diverged(
                f"{config.label}: the loss of step {step + 1} is {total}; take a smaller lr than {config.lr:g}"
            )
        optimizer.step()
        progress.update(step + 1, loss=f"{total:.4f}")
    for name in names:
        learnt = model.get_submodule(name)
        assert isinstance(learnt, nn.Linear), f"{name} was put there"
        put(model, name, QuantisedLinear.of(learnt, config.grid))
    progress.finish(f"{config.steps} steps of {config.rows} texts")
    return Compressed(bundle)


def distance(model: LanguageModel, teacher: LanguageModel, row: Tensor) -> Tensor:
    """Of a text (1, T), the mean KL divergence of a position's tokens from the teacher's, in nats; of vectors, which
    have no tokens, the share of the teacher's energy that the difference has."""
    with inference(teacher):
        expected = read(teacher, row)
        logits = teacher.lm_head(expected)
    expected, logits = expected.clone(), logits.clone()  # what was made in inference cannot be kept for a gradient
    found = read(model, row)
    if isinstance(model.lm_head, nn.Identity):
        return (found - expected).square().sum() / expected.square().sum()
    theirs, ours = logits.float().log_softmax(-1), model.lm_head(found).float().log_softmax(-1)
    return F.kl_div(ours, theirs, reduction="sum", log_target=True) / row.size(1)
