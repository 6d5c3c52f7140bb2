"""The cheapest change that makes a recipe fit, where it does not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from wenlu.lifecycle.planning.forecast import Probed
from wenlu.training.footprint import footprint
from wenlu.training.optimizers import OptimizerConfig
from wenlu.training.optimizers.adafactor import AdafactorConfig

AGAIN = 4 / 3
"""What a step takes with `train.activation_checkpointing`: the forward pass is a third of it, and is made twice."""
ROOM = 0.95
"""Of a wished time, so that the change holds where the forecast is a little short."""


@dataclass(frozen=True)
class Limits:
    """Bytes and seconds that a training may take; None: as much as it takes."""

    memory: int | None
    disk: int | None
    seconds: float | None


@dataclass(frozen=True)
class Change:
    """A setting to change, in the form of an override, what it brings and what it costs."""

    setting: str
    brings: str
    costs: str


def exceeded(probed: Probed, limits: Limits) -> dict[str, float]:
    """By how much of each limit the forecast is over it, for those that it is over."""
    told = probed.forecast
    pairs = {
        "memory": (told.memory, limits.memory),
        "disk": (told.disk_peak, limits.disk),
        "seconds": (told.seconds, limits.seconds),
    }
    return {name: got / most - 1 for name, (got, most) in pairs.items() if got and most is not None and got > most}


def changes(probed: Probed, limits: Limits) -> list[Change]:
    """For each limit that is exceeded the cheapest change that makes the recipe fit, if there is one."""
    over = exceeded(probed, limits)
    ways = {"memory": _memory, "disk": _disk, "seconds": _seconds}
    found = (next(ways[name](probed, limits), None) for name in over)
    return [change for change in found if change is not None]


def _memory(probed: Probed, limits: Limits) -> Iterator[Change]:
    told, config, begun = probed.forecast, probed.config, probed.begun
    assert limits.memory is not None, "only what is exceeded is changed"
    assert told.memory is not None, "only what is known can be too much"
    rows = config.rows_per_forward
    besides = told.memory - probed.need.total(rows)
    for fewer in range(rows - 1, 0, -1):
        if config.rows_per_step % fewer == 0 and besides + probed.need.total(fewer) <= limits.memory:
            setting = f"train.micro_batch_tokens={fewer * config.context}"
            brings = f"{_gb(besides + probed.need.total(fewer))} of memory"
            yield Change(setting, brings, "the same steps in smaller forward passes, a little slower")
            break
    own = begun.recipe.optimizer
    ways: list[tuple[list[str], OptimizerConfig, bool, str]] = [
        (["optimizer.name=adafactor"], AdafactorConfig(), False, "another optimizer: its rate may need a look"),
        (["train.activation_checkpointing=true"], own, True, f"about {AGAIN - 1:.0%} more time"),
        (["train.activation_checkpointing=true", "optimizer.name=adafactor"], AdafactorConfig(), True, "both"),
    ]
    for settings, optimizer, again, costs in ways:
        changed = config.model_copy(update={"activation_checkpointing": again or config.activation_checkpointing})
        need = footprint(changed, optimizer, begun.model, begun.task, begun.data.train, 1 << 62)
        fitting = (n for n in range(rows, 0, -1) if config.rows_per_step % n == 0)
        fits = next((n for n in fitting if besides + need.total(n) <= limits.memory), None)
        if fits is not None:
            smaller = [f"train.micro_batch_tokens={fits * config.context}"] if fits < rows else []
            yield Change(" ".join([*settings, *smaller]), f"{_gb(besides + need.total(fits))} of memory", costs)


def _disk(probed: Probed, limits: Limits) -> Iterator[Change]:
    told, config, size = probed.forecast, probed.config, probed.pace.checkpoint_bytes
    assert limits.disk is not None, "only what is exceeded is changed"
    for kept in range(min(config.keep_checkpoints, max(1, config.checkpoints)) - 1, 0, -1):
        smaller = told.disk_peak - (config.keep_checkpoints - kept) * size
        if smaller <= limits.disk:
            yield Change(f"train.keep_checkpoints={kept}", f"{_gb(smaller)} of disk", "fewer to go back to")


def _seconds(probed: Probed, limits: Limits) -> Iterator[Change]:
    told, config, pace = probed.forecast, probed.config, probed.pace
    assert limits.seconds is not None, "only what is exceeded is changed"
    over = told.seconds - ROOM * limits.seconds
    for name, times, each, costs in (
        ("checkpoints", min(told.steps, config.checkpoints), pace.checkpoint, "more to do again after a crash"),
        ("validations", min(told.steps, config.validations), pace.look, "fewer points in the curve"),
    ):
        fewer = next((n for n in range(times - 1, 0, -1) if (times - n) * each >= over), None)
        if fewer is not None:
            brings = f"{(told.seconds - (times - fewer) * each) / 60:.1f} minutes"
            yield Change(f"train.{name}={fewer}", brings, costs)
    left = limits.seconds - told.begin_seconds - pace.spent
    steps = int(pace.steps_within(config, ROOM * left))
    if steps >= 1:
        seconds = told.begin_seconds + pace.seconds(config, steps)
        setting = f'train.duration="{steps} steps"'
        yield Change(setting, f"{seconds / 60:.1f} minutes", f"{steps / told.steps:.0%} of the training")


def _gb(size: float) -> str:
    return f"{size / 1e9:.2f} GB"
