"""`wenlu runs plot`: what runs logged, as a chart."""

from __future__ import annotations

import json as encoder
from pathlib import Path
from typing import Annotated, Literal

import typer

from wenlu.cli.settings import Json


def plot(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run directories.")],
    name: Annotated[str, typer.Option(help="What to draw: a name of events.jsonl.")] = "loss",
    against: Annotated[Literal["step", "tokens", "seconds"], typer.Option(help="What runs to the right.")] = "step",
    log_x: Annotated[bool, typer.Option("--log-x", help="Logarithmic from left to right.")] = False,
    log_y: Annotated[bool, typer.Option("--log-y", help="Logarithmic upwards.")] = False,
    out: Annotated[Path | None, typer.Option(help="A file to write, .svg or .html; without it, letters.")] = None,
    json: Json = False,
) -> None:
    """Draw a number that runs logged: at the terminal, or with --out as an SVG file or an HTML page.

    Long runs are thinned to the means of neighbours.

    Example: wenlu runs plot runs/tiny runs/pretrained --name loss --against tokens --log-y --out loss.svg
    """
    from wenlu.lifecycle.run_plot import read_curves, write_plot
    from wenlu.lifecycle.run_plot_text import plot_text

    curves = read_curves(runs, name, against, log_x=log_x, log_y=log_y)
    if out is not None:
        write_plot(out, curves, name=name, against=against, log_x=log_x, log_y=log_y)
    if json:
        points = {each.label: {"x": each.curve.x.tolist(), "y": each.curve.mean.tolist()} for each in curves}
        content = {"name": name, "unit": curves[0].unit, "against": against, "out": out and str(out), "runs": points}
        typer.echo(encoder.dumps(content, ensure_ascii=False))
    elif out is None:
        typer.echo(plot_text(curves, name=name, against=against, log_x=log_x, log_y=log_y))
    else:
        typer.echo(f"chart  {out}")
