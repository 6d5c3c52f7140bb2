"""How long-running functions tell how far they are; only the command line shows it."""

from __future__ import annotations


class Progress:
    """Receives progress and warnings, and by itself stays silent; the CLI passes one that draws bars."""

    def start(self, name: str, total: float | None = None, unit: str = "") -> None:
        """Begin a part of the work; `total` in `unit`, None where the end is not known."""

    def update(self, done: float, **facts: str) -> None:
        """`done` units of the current part are complete; `facts` are shown beside the bar."""

    def finish(self, summary: str = "") -> None:
        """End the current part, with a line to keep."""

    def warn(self, message: str) -> None:
        """Show a warning at once; whoever warns also records it in the run."""


class Named(Progress):
    """Tells another of one part among several of a kind, by its name."""

    def __init__(self, name: str, whole: Progress) -> None:
        self.name = name
        self.whole = whole

    def start(self, name: str, total: float | None = None, unit: str = "") -> None:
        self.whole.start(f"{self.name}: {name}", total, unit)

    def update(self, done: float, **facts: str) -> None:
        self.whole.update(done, **facts)

    def finish(self, summary: str = "") -> None:
        self.whole.finish(summary)

    def warn(self, message: str) -> None:
        self.whole.warn(f"{self.name}: {message}")


QUIET = Progress()
