"""Weights & Biases: offline files, to be sent by `wandb sync`; online only where WANDB_MODE says so."""

from __future__ import annotations

import os

from wenlu.rundir.events import Event
from wenlu.rundir.trackers.tracker import Sink, Subject, Tracker


class WandbSink(Sink):
    def __init__(self, subject: Subject) -> None:
        import wandb

        quiet = wandb.Settings(console="off", silent=True, disable_code=True, disable_git=True, x_disable_stats=True)
        self._run = wandb.init(
            mode=os.environ.get("WANDB_MODE", "offline"),  # type: ignore[arg-type]
            project=os.environ.get("WANDB_PROJECT", "wenlu"),
            dir=os.environ.get("WANDB_DIR", subject.folder),
            id=subject.id,
            name=subject.name,
            config=dict(subject.settings),
            resume="allow",
            settings=quiet,
        )

    def write(self, event: Event) -> None:
        if not isinstance(event.value, str):
            row = {event.name: event.value, "tokens": event.tokens, "seconds": event.seconds}
            self._run.log(row, step=event.step)

    def flush(self) -> None:
        """The tracker does so in the background."""

    def close(self) -> None:
        self._run.finish()


WANDB = Tracker("wandb", "Weights & Biases", "wandb", "wandb", WandbSink)
