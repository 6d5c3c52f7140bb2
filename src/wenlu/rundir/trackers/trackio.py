"""Trackio: a SQLite file beside the run, or where TRACKIO_DIR says."""

from __future__ import annotations

import os

from wenlu.rundir.events import Event
from wenlu.rundir.trackers.tracker import Sink, Subject, Tracker

PROJECT = "wenlu"


class TrackioSink(Sink):
    def __init__(self, subject: Subject) -> None:
        os.environ.setdefault("TRACKIO_DIR", str(subject.folder.absolute()))  # read when trackio is imported
        import trackio

        self._run = trackio.init(
            project=PROJECT,
            name=f"{subject.name}-{subject.id[:8]}",
            config=dict(subject.settings),
            resume="allow",
            embed=False,
            auto_log_gpu=False,
            auto_log_cpu=False,
        )

    def write(self, event: Event) -> None:
        if not isinstance(event.value, str):
            row = {event.name: event.value, "tokens": event.tokens, "seconds": event.seconds}
            self._run.log(row, step=event.step)

    def flush(self) -> None:
        """The tracker does so in the background."""

    def close(self) -> None:
        self._run.finish()  # type: ignore[no-untyped-call]


TRACKIO = Tracker("trackio", "Trackio", "trackio", "trackio", TrackioSink)
