"""`wenlu check`: will it learn?"""

from __future__ import annotations

import json as encoder
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wenlu.cli.settings import Json, Overrides, RecipeFile

if TYPE_CHECKING:
    from rich.console import Group
    from rich.text import Text

    from wenlu.lifecycle.check import CheckReport
    from wenlu.training.checks import SeenRow

ROWS_SHOWN, CHARACTERS_SHOWN = 3, 600
STYLES = {"context": "", "trained": "bold green", "padding": "dim"}
VERDICTS = {"pass": "green", "warning": "yellow", "failure": "bold red"}


def check(
    recipe: RecipeFile,
    overrides: Overrides = None,
    *,
    out: Annotated[Path | None, typer.Option(help="Run directory, for what is made and check.html.")] = None,
    json: Json = False,
) -> None:
    """Look in under a minute whether a recipe would learn: batches, tokens, splits, gradients, eight examples by heart.

    Takes the recipes and overrides of pretrain, finetune and run. Exit code 1 where a check fails.

    Example: wenlu check recipes/tiny.toml --out runs/tiny
    """
    from rich.console import Console

    from wenlu.cli.progress import TerminalProgress
    from wenlu.lifecycle import verbs

    with TerminalProgress() as progress:
        report = verbs.check(recipe, out, overrides or [], progress=progress)
    if json:
        typer.echo(encoder.dumps(report.to_json(), ensure_ascii=False))
    else:
        Console().print(render(report, out))
    if report.failures:
        raise typer.Exit(1)


def render(report: CheckReport, out: Path | None) -> Group:
    """The first rows with what is trained on in colour, and the findings."""
    from rich import box
    from rich.console import Group, RenderableType
    from rich.table import Table
    from rich.text import Text

    rows = [row_text(row) for row in report.rows[:ROWS_SHOWN]]
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("check", "", "found"):
        table.add_column(column)
    for finding in report.findings:
        found = Text(finding.found)
        if finding.fix:
            found.append(f"\n{finding.fix}", style="italic")
        table.add_row(finding.name, Text(finding.verdict, style=VERDICTS[finding.verdict]), found)
    verdict = "it would not learn" if report.failures else "nothing speaks against it"
    lines: list[RenderableType] = [
        Text.assemble("The first rows; ", ("trained on", STYLES["trained"]), ", read only:"),
        *rows,
        table,
    ]
    lines.append(Text(f"{report.summary()}: {verdict}", style="bold"))
    if out is not None:
        lines.append(Text(f"all rows in colour: {out / 'check.html'}"))
    return Group(*lines)


def row_text(row: SeenRow) -> Text:
    from rich.text import Text

    text = Text("  ")
    for piece in row.pieces:
        text.append(piece.text, style=STYLES[piece.kind])
        if piece.target:
            text.append(f" → {piece.target}", style="green")
    text.truncate(CHARACTERS_SHOWN, overflow="ellipsis")
    if row.answer:
        text.append(" → ").append(row.answer, style=STYLES["trained"])
    return text
