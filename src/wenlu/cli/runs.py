"""`wenlu runs`: what was trained here, and what can go on; and what else there is to do with runs."""

from __future__ import annotations

import json as encoder
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from wenlu.cli.runs_ablate import ablate
from wenlu.cli.runs_compare import WIDE, compare
from wenlu.cli.runs_plot import plot
from wenlu.cli.runs_prune import prune
from wenlu.cli.runs_track import track
from wenlu.cli.settings import Json, help_of

if TYPE_CHECKING:
    from wenlu.rundir.listing import RunRow

Folder = Annotated[Path, typer.Argument(metavar="[FOLDER]", help="A folder with runs in it, or one run.")]


def runs(folder: Folder = Path("runs"), json: Json = False) -> None:
    """List the runs under FOLDER, newest first; of a single run, show the last value of all that it logged.

    A folder that is named like a subcommand is meant by ./NAME.

    Example: wenlu runs runs
    """
    from wenlu.rundir import is_run
    from wenlu.rundir.listing import list_runs

    if is_run(folder):
        _show(folder, json=json)
        return
    rows = list_runs(folder)
    if json:
        typer.echo(encoder.dumps({"runs": [row.to_json() for row in rows]}, ensure_ascii=False))
    elif not rows:
        typer.echo(f"no runs in {folder}; make one with: wenlu run recipes/tiny.toml --out {folder / 'tiny'}")
    else:
        _print_table(rows)


def _show(path: Path, *, json: bool) -> None:
    from wenlu.rundir import Run
    from wenlu.rundir.listing import describe, last_events

    row = describe(path)
    events, _ = last_events(Run.open(path))
    folder = path / "checkpoints"
    checkpoints = sorted(entry.name for entry in folder.glob("step-*")) if folder.is_dir() else []
    if json:
        values = {
            name: {"step": event.step, "value": event.value, "unit": event.unit} for name, event in events.items()
        }
        content = {**row.to_json(), "last": values, "checkpoints": checkpoints}
        typer.echo(encoder.dumps(content, ensure_ascii=False))
        return
    typer.echo(f"{row.name}  {row.state}  {path}")
    typer.echo(f"created        {row.created or '–'}")
    typer.echo(f"trained        {row.steps:,} steps, {row.tokens:,} tokens, {row.seconds:,.0f} s")
    typer.echo(f"size           {row.bytes / 1e6:,.1f} MB")
    typer.echo(f"checkpoints    {', '.join(checkpoints) or '–'}")
    for name, event in events.items():
        if isinstance(event.value, float):
            typer.echo(f"{name:<14} {_short(event.value)} {event.unit}  (step {event.step:,})")
    if row.problem:
        typer.echo(f"problem        {row.problem}")


def _print_table(rows: list[RunRow]) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("run", "state"):
        table.add_column(title, overflow="fold")
    for title in ("steps", "tokens", "loss", "bits/byte", "MB"):
        table.add_column(title, justify="right")
    table.add_column("created")
    for row in rows:
        table.add_row(
            escape(row.path),
            row.state,
            f"{row.steps:,}",
            f"{row.tokens:,}",
            _short(row.loss),
            _short(row.bits_per_byte),
            f"{row.bytes / 1e6:,.1f}",
            (row.created or "–")[:16].replace("T", " "),
        )
    Console(highlight=False, width=None if sys.stdout.isatty() else WIDE).print(table)
    for row in rows:
        if row.problem:
            typer.echo(f"{row.path}: {row.problem}", err=True)


def _short(value: float | str | None) -> str:
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e15 else f"{value:.4g}"


class RunsGroup(TyperGroup):
    """`wenlu runs FOLDER` is short for `wenlu runs list FOLDER`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or args[0] not in (*self.commands, *ctx.help_option_names):
            args = ["list", *args]
        return list(super().parse_args(ctx, args))


SUBCOMMANDS = (
    ("list", runs, "List runs, their state and scores; also without this word."),
    ("ablate", ablate, "Train without each source: what does it buy?"),
    ("compare", compare, "Settings that differ, and numbers side by side."),
    ("plot", plot, "A chart of what runs logged."),
    ("prune", prune, "Remove checkpoints and runs that are not needed."),
    ("track", track, "Tell another program what a run logged."),
)
runs_app = typer.Typer(cls=RunsGroup, rich_markup_mode=None)
for name, verb, short in SUBCOMMANDS:
    runs_app.command(name, short_help=short, help=help_of(verb))(verb)
