"""What a tracker is: a program beside Wenlu that shows runs, and that is told what `events.jsonl` holds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from wenlu.rundir.events import Event


@dataclass(frozen=True)
class Subject:
    """The run that is shown.

    Attributes:
        id: by which the tracker knows the run again after an interruption.
        folder: of the run, for what the tracker writes.
        began: seconds since 1970.
        settings: of the run, with dotted names.
    """

    id: str
    name: str
    folder: Path
    began: float
    settings: Mapping[str, str]


class Sink(ABC):
    """One run, open in one tracker; its calls may take long or raise, since no step waits for them."""

    @abstractmethod
    def write(self, event: Event) -> None:
        """Show a number at its step; text only where the tracker shows text by step."""

    @abstractmethod
    def flush(self) -> None:
        """Hand over what was written so far, where the tracker has not done so by itself."""

    @abstractmethod
    def close(self) -> None:
        """The run has no more events for now."""


@dataclass(frozen=True)
class Tracker:
    """A row of `TRACKERS`; `name` is also that of the extra.

    Attributes:
        module: that must be importable. package: as the package index knows it.
        open: begins the run of a subject, or goes on with it.
    """

    name: str
    title: str
    module: str
    package: str
    open: Callable[[Subject], Sink]
