"""`wenlu runs ablate`: what each source of the data buys."""

from __future__ import annotations

import json as encoder
from pathlib import Path
from typing import Annotated

import typer

from wenlu.cli.settings import Json


def ablate(
    recipe: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A recipe with several sources.")],
    overrides: Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...")] = None,
    out: Annotated[Path, typer.Option(help="A new folder for the runs.")] = Path("runs/ablation"),
    json: Json = False,
) -> None:
    """Train RECIPE with all sources of data.train, and once without each; compare them on the same held-out examples.

    Example: wenlu runs ablate recipes/classify.toml --out runs/ablation
    """
    from wenlu.cli.progress import TerminalProgress
    from wenlu.lifecycle.ablation import ablate_sources

    with TerminalProgress() as progress:
        found = ablate_sources(recipe, out, overrides or [], progress=progress)
    if json:
        typer.echo(encoder.dumps({"sources": [each.to_json() for each in found]}, ensure_ascii=False))
        return
    for each in found:
        ends = "no interval" if each.low is None else f"{each.low:+.4f} … {each.high:+.4f}"
        metric = each.metric.replace("_", " ")
        typer.echo(
            f"{each.source}: {each.records:,} training records, {metric} {each.whole:.4f} with and "
            f"{each.without:.4f} without: {each.difference:+.4f} ({ends}), {each.verdict} (p = {each.p_value:.4f})"
        )
