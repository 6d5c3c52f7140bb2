"""Progress at a terminal: bars on stderr, one line a part where stderr is not a terminal."""

from __future__ import annotations

import os
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from wenlu.progress import Progress


class TerminalProgress(Progress):
    """Draws at most ten times a second; without a terminal, or with CI set, prints only what ends a part."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False)
        self._bars = Bars(
            SpinnerColumn(),
            TextColumn("{task.description:<10}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[amount]}"),
            TimeElapsedColumn(),
            TextColumn("eta"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[facts]}"),
            console=self.console,
            refresh_per_second=10,
            disable=not self.console.is_terminal or bool(os.environ.get("CI")),
            transient=True,
        )
        self._task: TaskID | None = None
        self._name, self._unit, self._begin = "", "", 0.0
        self._total: float | None = None

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def start(self, name: str, total: float | None = None, unit: str = "") -> None:
        self._clear()
        self._name, self._unit, self._total, self._begin = name, unit, total, time.perf_counter()
        self._task = self._bars.add_task(name, total=total, amount="", facts="")

    def update(self, done: float, **facts: str) -> None:
        if self._task is None:
            return
        amount = (
            f"{done:,.0f}" + (f"/{self._total:,.0f}" if self._total else "") + (f" {self._unit}" if self._unit else "")
        )
        shown = "  ".join(f"{name} {value}" for name, value in facts.items())
        self._bars.update(self._task, completed=done, amount=amount, facts=escape(shown))

    def finish(self, summary: str = "") -> None:
        seconds = time.perf_counter() - self._begin
        self._clear()
        self.console.print(f"[bold]{escape(self._name):<10}[/] {escape(summary)} [dim]({seconds:.1f} s)[/]")

    def warn(self, message: str) -> None:
        self.console.print(f"[yellow]note[/] {escape(message)}")

    def _clear(self) -> None:
        if self._task is not None:
            self._bars.remove_task(self._task)
            self._task = None
