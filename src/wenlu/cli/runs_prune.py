"""`wenlu runs prune`: free the disk of what runs do not need."""

from __future__ import annotations

import json as encoder
from pathlib import Path
from typing import Annotated

import typer

from wenlu.cli.settings import Json


def prune(
    folder: Annotated[Path, typer.Argument(metavar="[FOLDER]", help="A folder with runs in it, or one run.")] = Path(
        "runs"
    ),
    keep: Annotated[int, typer.Option(min=1, help="How many of a run's newest checkpoints stay.")] = 1,
    unfinished_days: Annotated[
        float | None,
        typer.Option(
            min=0.0, help="Also remove whole runs that are not finished and were not touched for so many days."
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without this, only show what would be done.")] = False,
    json: Json = False,
) -> None:
    """Show which checkpoints, and with --unfinished-days which runs, are not needed; remove them with --yes.

    The newest checkpoint and the newest whole one always stay, and so does every run that a process is writing.

    Example: wenlu runs prune runs --keep 1
    """
    from wenlu.rundir.pruning import plan_pruning
    from wenlu.rundir.pruning import prune as remove

    plan = plan_pruning(folder, keep=keep, unfinished_days=unfinished_days)
    freed = remove(plan.removals) if yes else 0
    if json:
        content = {
            "removals": [removal.to_json() for removal in plan.removals],
            "spared": [{"run": str(path), "reason": reason} for path, reason in plan.spared],
            "bytes": plan.bytes,
            "freed_bytes": freed,
        }
        typer.echo(encoder.dumps(content, ensure_ascii=False))
        return
    for removal in plan.removals:
        typer.echo(f"{removal.bytes / 1e6:>10,.1f} MB  {removal.path}  ({removal.reason})")
    for path, reason in plan.spared:
        typer.echo(f"    spared  {path}: {reason}", err=True)
    if not plan.removals:
        typer.echo("nothing to remove")
    elif yes:
        typer.echo(f"{freed / 1e6:>10,.1f} MB freed")
    else:
        typer.echo(f"{plan.bytes / 1e6:>10,.1f} MB would be freed; nothing is removed yet. Remove it with --yes")
