"""`wenlu runs track`: tell another program what a run logged."""

from __future__ import annotations

import json as encoder
from pathlib import Path
from typing import Annotated

import typer

from wenlu.cli.settings import Json

RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")]


def track(
    run: RunFolder,
    to: Annotated[str, typer.Option(help="tensorboard, mlflow, wandb or trackio.")] = "tensorboard",
    json: Json = False,
) -> None:
    """Bring a tracker up to date with RUN: it is told what it was not told yet, and nothing twice.

    What it writes stands in RUN/trackers, unless its own environment variables name a place (MLFLOW_TRACKING_URI,
    WANDB_MODE, TRACKIO_DIR). Remove RUN/trackers/NAME to tell it all once more.

    Example: wenlu runs track runs/tiny --to tensorboard
    """
    from wenlu.rundir import Run
    from wenlu.rundir.trackers import FOLDER, check_installed
    from wenlu.rundir.trackers.follow import follow

    Run.open(run)
    check_installed([to])
    count = follow(run, to)
    folder = run / FOLDER / to
    if json:
        typer.echo(encoder.dumps({"tracker": to, "events": count, "folder": str(folder)}, ensure_ascii=False))
    else:
        typer.echo(f"{to} was told {count:,} events; its part of the run is in {folder}")
