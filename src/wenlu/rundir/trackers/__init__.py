"""Other programs that show runs. To add one, write its file and add its row; `events.jsonl` stays the truth."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from typing import Annotated, Literal

from pydantic import AfterValidator

from wenlu.config import Config
from wenlu.config.load import did_you_mean
from wenlu.errors import MissingExtra, UsageError
from wenlu.rundir.trackers.mlflow import MLFLOW
from wenlu.rundir.trackers.tensorboard import TENSORBOARD
from wenlu.rundir.trackers.tracker import Sink, Subject, Tracker
from wenlu.rundir.trackers.trackio import TRACKIO
from wenlu.rundir.trackers.wandb import WANDB

__all__ = ["FOLDER", "TRACKERS", "Sink", "Subject", "Tracker", "TrackingConfig", "check_installed", "tracker"]

TRACKERS = (TENSORBOARD, MLFLOW, WANDB, TRACKIO)
FOLDER = "trackers"
"""Where in a run the trackers keep what they write."""

TrackerName = Literal["tensorboard", "mlflow", "wandb", "trackio"]


class TrackingConfig(Config):
    """The section `[tracking]`; it changes nothing of a training, and no stage runs again for it."""

    to: Annotated[tuple[TrackerName, ...], AfterValidator(lambda names: tuple(dict.fromkeys(names)))] = ()
    """Which programs are told of the run while it trains: tensorboard, mlflow, wandb, trackio."""


def tracker(name: str) -> Tracker:
    """The row of that name; raises UsageError."""
    for row in TRACKERS:
        if row.name == name:
            return row
    raise UsageError(f"{name}: no tracker; {did_you_mean(name, [row.name for row in TRACKERS])}")


def check_installed(names: Iterable[str]) -> None:
    """Raise MissingExtra for the first of them that is not installed; nothing is imported."""
    for row in map(tracker, names):
        if find_spec(row.module) is None:
            raise MissingExtra(row.package, extra=row.name, purpose=f"show runs in {row.title}")
