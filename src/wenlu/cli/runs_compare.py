"""`wenlu runs compare`: runs side by side."""

from __future__ import annotations

import json as encoder
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wenlu.cli.settings import Json

if TYPE_CHECKING:
    from wenlu.rundir.comparison import Comparison

WIDE = 200
"""Columns of a table that goes to a file."""


def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN RUN...", help="Two or more run directories.")],
    json: Json = False,
) -> None:
    """Show in which settings runs differ, their scores, and what each logged last.

    Whether one model is better than another is asked of `wenlu evaluate`; this shows numbers as they stand.

    Example: wenlu runs compare runs/tiny runs/pretrained
    """
    from wenlu.rundir.comparison import compare_runs

    found = compare_runs(runs)
    if json:
        typer.echo(encoder.dumps(found.to_json(), ensure_ascii=False))
    else:
        _print(found)


def _print(found: Comparison) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDE)

    def show(title: str, rows: list[tuple[str, ...]], *, is_number: bool) -> None:
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column(title, overflow="fold")
        for run in found.runs:
            table.add_column(escape(run), justify="right" if is_number else "left", overflow="fold")
        table.add_column("")
        for row in rows:
            table.add_row(*map(escape, row))
        console.print(table)

    settings = [(name, *(value or "–" for value in values), "") for name, values in found.settings.items()]
    show("settings", settings or [("equal", *("" for _ in found.runs), "")], is_number=False)
    for title, numbers in (("scores", found.scores), ("last", found.last)):
        if numbers:
            typer.echo("")
            show(title, [(each.name, *map(_short, each.values), each.unit) for each in numbers], is_number=True)


def _short(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e15 or isinstance(value, int) else f"{value:.4g}"
