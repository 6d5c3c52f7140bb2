"""`wenlu plan`: what a recipe will take of this machine."""

from __future__ import annotations

import json as encoder
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wenlu.cli.settings import Json, Overrides, RecipeFile, prepare_process

if TYPE_CHECKING:
    from wenlu.lifecycle.planning.plan import Plan


def plan(
    recipe: RecipeFile,
    overrides: Overrides = None,
    *,
    out: Annotated[
        Path | None, typer.Option(help="Run directory to be; the run then compares the plan with what happened.")
    ] = None,
    json: Json = False,
) -> None:
    """Predict memory, disk, minutes and energy of a training from at most 20 seconds of it.

    Where it does not fit, plan.minutes and plan.memory_gigabytes say how much it may take, the cheapest change is told.

    Example: wenlu plan recipes/tiny.toml plan.minutes=5
    """
    prepare_process(recipe, overrides or [])
    from wenlu.cli.progress import TerminalProgress
    from wenlu.lifecycle.planning.plan import plan as make

    with TerminalProgress() as progress:
        found = make(recipe, overrides or [], out=out, progress=progress)
    typer.echo(encoder.dumps(found.to_json()) if json else words_of(found))


def words_of(found: Plan) -> str:
    """A line for each thing that is taken, and one for each that is to be changed."""
    told, limits = found.forecast, found.limits
    lines = [
        _line("memory", told.memory, limits.memory, 1e9, "GB"),
        _line("disk", told.disk_peak, limits.disk, 1e9, "GB"),
        _line("time", told.seconds, limits.seconds, 60, "minutes"),
    ]
    if told.joules is not None:
        lines.append(f"energy  {told.joules / 3600:>8.2f} Wh, of the whole machine")
    lines.append(
        f"steps   {told.steps:>8,} of {told.step_seconds:.3f} s; a look at held-out rows takes {told.look_seconds:.2f} "
        f"s, a checkpoint {told.checkpoint_seconds:.2f} s"
    )
    lines += [f"change  {each.setting}   {each.brings}; costs {each.costs}" for each in found.changes]
    if found.over and not found.changes:
        lines.append("change  nothing that is tried makes it fit; take a smaller model, or a shorter train.context")
    return "\n".join(lines)


def _line(name: str, got: float | None, most: float | None, scale: float, unit: str) -> str:
    if got is None:
        return f"{name:<7} unknown on this system"
    limit = "" if most is None else f" of {most / scale:,.2f}: {'fits' if got <= most else 'too much'}"
    return f"{name:<7} {got / scale:>8.2f} {unit}{limit}"
