"""`wenlu tune`: the settings with which a recipe learns best."""

from __future__ import annotations

import json as encoder
from typing import TYPE_CHECKING

import typer

from wenlu.cli.settings import Json, Out, Overrides, RecipeFile, prepare_process

if TYPE_CHECKING:
    from rich.table import Table

    from wenlu.lifecycle.search.results import Findings

_SHOWN = 20


def tune(recipe: RecipeFile, overrides: Overrides = None, *, out: Out, json: Json = False) -> None:
    """Search for the settings with which a recipe learns best, judged by its validation part alone.

    [tune.space] says which: "optimizer.lr" = {low = 1e-5, high = 1e-3, log = true}. The same command goes on.

    Example: wenlu tune recipes/tiny.toml tune.trials=4 'tune.space={"optimizer.lr" = [1e-3, 3e-3]}' --out runs/search
    """
    prepare_process(recipe, overrides or [])
    from rich.console import Console

    from wenlu.cli.progress import TerminalProgress
    from wenlu.lifecycle.search.tune import tune as search

    with TerminalProgress() as progress:
        found = search(recipe, out, overrides or [], progress=progress)
    if json:
        typer.echo(encoder.dumps(found.to_json(), ensure_ascii=False))
        return
    Console().print(render(found))
    typer.echo(words_of(found))


def render(found: Findings) -> Table:
    """The best trials first, and behind them those that ended early."""
    from rich.table import Table

    keys = [*dict.fromkeys(key for row in found.rows for key in row.settings)]
    table = Table(*("trial", found.metric, *keys, "steps", "seconds", "state"), box=None, pad_edge=False)
    for row in found.rows[:_SHOWN]:
        table.add_row(
            str(row.number),
            "" if row.value is None else f"{row.value:.4f}",
            *(_short(row.settings.get(key)) for key in keys),
            "" if row.steps is None else f"{row.steps:,}",
            "" if row.seconds is None else f"{row.seconds:,.0f}",
            row.state if row.value is not None else f"{row.state} after {row.validations} validations",
        )
    return table


def words_of(found: Findings) -> str:
    """What is not in the table, and what to do next."""
    more = len(found.rows) - _SHOWN
    lines = [f"… and {more} more in {found.path / 'tune.json'}"] if more > 0 else []
    if found.importance:
        lines.append("importance  " + ", ".join(f"{key} {share:.2f}" for key, share in found.importance.items()))
    lines += [
        f"plots       {found.path / 'parallel.svg'}" + (", importance.svg" if found.importance else ""),
        "",
        "Try next:",
        f"  wenlu finetune {found.path / 'best.toml'} --out {found.path}-best",
        f"  wenlu evaluate {found.path} --json",
    ]
    return "\n".join(lines)


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "" if value is None else str(value)
