"""`model.size = "auto"`: width, depth, batch, rate and horizon from the data and the budget, by published laws.

The laws were fitted on models from tens of millions of parameters on. Below that they extrapolate, and
`benchmarks/sizes.py` compares what they choose with what a sweep finds.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from wenlu.config import Duration
from wenlu.errors import ConfigError
from wenlu.lifecycle.model_settings import ModelSettings
from wenlu.lifecycle.recipe import Recipe
from wenlu.models import Family, ModelConfig
from wenlu.models.sizing import count_parameters
from wenlu.progress import Progress
from wenlu.tasks import Task
from wenlu.training import OptimizerConfig, TrainConfig, TrainData
from wenlu.training.probe import PROBE_SHARE, seconds_of_a_step

WIDTHS = (64, 128, 192, 256, 320, 384, 512, 640, 768, 1024, 1280, 1536, 2048)
"""In steps that heads of 64 fill; depth grows along with width, as in GPT-2 and within the range in which the ratio of
the two hardly matters (Kaplan et al. 2020, arXiv:2001.08361, figure 5)."""
_RATE = (1e-4, 1e-2)
_FOR_ADAM = ("adam", "adamw", "muon")
_WORSE_IN_A_ROW = 2
_PROBE_MOST = 0.15
"""Of the time, for the first few widths."""


@dataclass(frozen=True)
class Reason:
    """A setting that was chosen, and why."""

    setting: str
    value: str
    why: str


@dataclass(frozen=True)
class Choice:
    """What `model.size = "auto"` stands for on these data and this machine, written out in `recipe`."""

    recipe: Recipe
    reasons: tuple[Reason, ...]

    def table(self) -> str:
        first, second = (
            max(map(len, column)) for column in zip(*((r.setting, r.value) for r in self.reasons), strict=True)
        )
        return "\n".join(f"{r.setting:<{first}}  {r.value:<{second}}  {r.why}" for r in self.reasons)


@dataclass(frozen=True)
class Start:
    """What is known before the size: `fill` adds the tokenizer's and the task's side of a model, and how and where
    weights are made."""

    fill: Callable[[ModelSettings], ModelConfig]
    dtype: torch.dtype
    device: torch.device


def predicted_loss(parameters: float, tokens: float, unique: float) -> float:
    """Nats a token after `tokens` of which `unique` differ (Muennighoff et al. 2023, arXiv:2305.16264, section 3).

    Without repetition it is the law of Hoffmann et al. 2022 (arXiv:2203.15556) with equal exponents, for which 20
    tokens a parameter are best. Only differences mean something: the tokens are of another vocabulary.
    """
    seen = min(tokens, unique)
    useful = min(parameters, seen / TOKENS_A_PARAMETER)
    size = _saturating(useful, parameters / useful - 1, 5.31)
    data = _saturating(seen, tokens / seen - 1, 15.39)
    return float(1.87 + 521 / size**_EXPONENT + 1488 / data**_EXPONENT)


_EXPONENT = 0.353
TOKENS_A_PARAMETER = (1488 / 521) ** (1 / _EXPONENT)


def _saturating(unique: float, repeats: float, half: float) -> float:
    return unique + unique * half * -math.expm1(-repeats / half)


def batch_tokens(tokens: float, unit: int) -> int:
    """Tokens of a step (Li et al. 2025, "Step Law", arXiv:2503.04715), in whole rows or micro-batches of `unit`."""
    return int(unit * max(1, round(0.58 * tokens**0.571 / unit)))


def peak_rate(matrices: float, tokens: float) -> float:
    """Adam's peak rate for `matrices` parameters beside the embeddings (Step Law, as `batch_tokens`).

    It falls with width as muP's does (Yang et al. 2022, arXiv:2203.03466); for small models it would leave what anyone
    measured, so it is bounded.
    """
    least, most = _RATE
    return float(f"{min(most, max(least, 1.79 * matrices**-0.713 * tokens**0.307)):.2g}")


def choose_size(recipe: Recipe, start: Start, task: Task, data: TrainData, progress: Progress) -> Choice:
    """Model, batch, rate and horizon for `train.duration`; a time is spent on a probe of this machine, and shortened.

    What the recipe sets itself stays as it is. Raises ConfigError where no size fits the budget.
    """
    began = time.perf_counter()
    progress.start("choose a size")
    unique = len(data.train) * recipe.train.context
    if recipe.train.duration.unit == "seconds":
        config, tokens, why = _by_time(recipe, start, task, data, unique)
    else:
        tokens = _told_tokens(recipe, unique)
        config, why = _by_tokens(recipe, start, tokens, unique)
    family = recipe.model.chosen()
    train, batch = _with_batch(recipe.train, tokens)
    optimizer, rate = _with_rate(recipe.optimizer, matrix_parameters(family, config), tokens)
    if train.duration.unit == "seconds":
        left = train.duration.amount - (time.perf_counter() - began)
        train = train.model_copy(update={"duration": Duration(left, "seconds")})
    layers = getattr(config, "num_hidden_layers", None)
    shape = f"{config.hidden_size} wide" if layers is None else f"{layers} layers × {config.hidden_size}"
    size = f"{shape}, {count_parameters(family, config) / 1e6:.2f} M parameters"
    horizon = f"{tokens / unique:.1f} × the {unique / 1e6:.2f} M of the data"
    reasons = (Reason("model", size, why), Reason("horizon", f"{tokens / 1e6:.2f} M tokens", horizon), batch, rate)
    model = recipe.model.with_config(config.model_dump(mode="json"))
    chosen = recipe.model_copy(update={"model": model, "train": train, "optimizer": optimizer})
    choice = Choice(chosen, reasons)
    progress.finish("\n" + choice.table())
    return choice


def _candidates(recipe: Recipe, start: Start) -> list[ModelConfig]:
    """The family's balanced model at each width, narrowest first."""
    own = recipe.model.model_extra or {}
    shapes = (shape_at(recipe.model.chosen(), width) for width in WIDTHS)
    return [
        start.fill(ModelSettings.model_validate({"family": recipe.model.family, **shape, **own})) for shape in shapes
    ]


def shape_at(family: Family, width: int) -> dict[str, int]:
    """The family's balanced proportions at `width`."""
    ratio = width / family.proportions["hidden_size"]
    shape = dict(family.proportions) | {"hidden_size": width}
    for name, unit, least in (("intermediate_size", 8, 8), ("num_hidden_layers", 1, 2), ("num_attention_heads", 1, 1)):
        if name in shape:
            shape[name] = max(least, unit * round(ratio * shape[name] / unit))
    return shape


def _by_time(
    recipe: Recipe, start: Start, task: Task, data: TrainData, unique: float
) -> tuple[ModelConfig, float, str]:
    """Measure the speed of wider and wider models, until the law has found its best in the time that is left."""
    began, seconds, family = time.perf_counter(), recipe.train.duration.amount, recipe.model.chosen()
    found: list[tuple[float, float, ModelConfig]] = []  # loss, tokens, config
    tokens = unique
    for config in _candidates(recipe, start):
        train, _ = _with_batch(recipe.train, tokens)
        torch.manual_seed(recipe.seed)
        model = family.build(config, dtype=start.dtype, zero_outputs=recipe.train.zero_outputs).to(start.device)
        step = seconds_of_a_step(train, recipe.optimizer, model, task, data, recipe.seed)
        left = seconds - (time.perf_counter() - began)
        if left < step:
            break
        tokens = train.global_batch_tokens * left / step
        found.append((predicted_loss(count_parameters(family, config), tokens, unique), tokens, config))
        best = min(range(len(found)), key=lambda i: found[i][0])
        spent = (time.perf_counter() - began) / seconds
        if len(found) - best > _WORSE_IN_A_ROW or spent > (
            PROBE_SHARE if len(found) > _WORSE_IN_A_ROW else _PROBE_MOST
        ):
            break
    if not found:
        raise ConfigError(
            f"model.size='auto': {seconds:g} seconds do not suffice for one step of the narrowest "
            f"{recipe.model.family}; raise train.duration"
        )
    _, tokens, config = min(found, key=lambda each: each[0])
    widths = f"{found[0][2].hidden_size} to {found[-1][2].hidden_size}"
    speed = tokens / seconds
    return config, tokens, f"least predicted loss of widths {widths} in {seconds:g} s, at {speed:,.0f} tokens/s here"


def _by_tokens(recipe: Recipe, start: Start, tokens: float, unique: float) -> tuple[ModelConfig, str]:
    """The model with about 20 useful tokens a parameter."""
    seen = min(tokens, unique)
    useful = _saturating(seen, tokens / seen - 1, 15.39)
    wished = useful / TOKENS_A_PARAMETER
    sizes = {count_parameters(recipe.model.chosen(), config): config for config in _candidates(recipe, start)}
    nearest = min(sizes, key=lambda size: abs(math.log(size / wished)))
    worth = f"{useful / 1e6:.2f} M" if tokens > unique else f"{tokens / 1e6:.2f} M"
    return sizes[nearest], f"{TOKENS_A_PARAMETER:.0f} tokens a parameter: {worth} fresh ones, or worth as much"


def _told_tokens(recipe: Recipe, unique: float) -> float:
    amount, unit = recipe.train.duration.amount, recipe.train.duration.unit
    match unit:
        case "tokens":
            return amount
        case "epochs":
            return amount * unique
        case _:
            if "global_batch_tokens" in recipe.train.model_fields_set:
                return amount * recipe.train.global_batch_tokens
            return float((0.58 * amount) ** (1 / (1 - 0.571)))  # where the law's batch takes that many steps


def _with_batch(train: TrainConfig, tokens: float) -> tuple[TrainConfig, Reason]:
    name = "train.global_batch_tokens"
    if "global_batch_tokens" in train.model_fields_set:
        return train, Reason(name, f"{train.global_batch_tokens:,}", "as the recipe says")
    unit = train.context if train.micro_batch_tokens == "auto" else train.micro_batch_tokens
    batch = batch_tokens(tokens, unit)
    return train.model_copy(update={"global_batch_tokens": batch}), Reason(name, f"{batch:,}", "0.58 D^0.571, Step Law")


def _with_rate(optimizer: OptimizerConfig, matrices: int, tokens: float) -> tuple[OptimizerConfig, Reason]:
    told = "lr" in optimizer.model_fields_set
    if told or optimizer.name not in _FOR_ADAM:
        why = "as the recipe says" if told else f"the default: the law is Adam's, not {optimizer.name}'s"
        return optimizer, Reason("optimizer.lr", f"{optimizer.lr:g}", why)
    rate = peak_rate(matrices, tokens)
    why = "1.79 N^-0.713 D^0.307, Step Law" + f", bounded at {rate:g}" * (rate in _RATE)
    return optimizer.model_copy(update={"lr": rate}), Reason("optimizer.lr", f"{rate:g}", why)


def matrix_parameters(family: Family, config: ModelConfig) -> int:
    """Parameters beside embeddings and head."""
    model = family.outline(config)
    apart = {id(model.lm_head.weight)} if isinstance(model.lm_head, nn.Linear) else set()
    apart |= {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    return sum(weight.numel() for weight in model.parameters() if id(weight) not in apart)
