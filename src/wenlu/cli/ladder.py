"""The table that `wenlu compare RECIPE.toml` prints."""

from __future__ import annotations

import json as encoder
import math
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from wenlu.cli.settings import prepare_process

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

    from wenlu.lifecycle.ladder.standing import Ladder, Standing


TEXT_WIDTH = 44
"""Of a text that is shown: a terminal of 80 columns has room for its answers beside it."""


def climb(recipe: Path, overrides: list[str], out: Path | None, *, json: bool) -> None:
    """Train what the budget allows, and print how the rungs compare."""
    prepare_process(recipe, overrides)
    from rich.console import Console

    from wenlu.cli.progress import TerminalProgress
    from wenlu.lifecycle import verbs

    with TerminalProgress() as progress:
        found = verbs.ladder(recipe, out, overrides, progress=progress)
    if json:
        typer.echo(encoder.dumps(found.to_json(), ensure_ascii=False))
    else:
        Console().print(render(found))


def render(found: Ladder) -> Group:
    """The rungs from the bottom up, what was left out, what features bring, and the verdict."""
    from rich.console import Group
    from rich.markup import escape

    parts: list[Table | str] = [_rungs(found)]
    parts += [escape(f"left out: {each.name}: {each.reason}") for each in found.left_out]
    if found.ablation:
        parts.append(_ablation(found))
    parts += _strongest(found)
    if found.shown:
        parts.append(_shown(found))
    worth = found.path / "rungs" / found.worth.name
    where = f"{found.path / 'ladder.json'}, pareto.svg; each rung is a run to compare, and to ask:"
    ask = f"  wenlu predict {worth} YOUR.csv text=COLUMN --out answers.jsonl"
    return Group(*parts, f"[bold]{escape(found.verdict)}[/]", escape(where), escape(ask))


def _rungs(found: Ladder) -> Table:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    title = f"{found.headline}, {found.better} is better; {found.split} split, {found.n:,} examples"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for column in ("rung", found.headline, "interval", "p", "training", "ms/text", "MB"):
        table.add_column(column, justify="left" if column == "rung" else "right", no_wrap=True)
    for each in found.standings:
        told = each.scores[0]
        table.add_row(
            f"{'●' if each.on_front else ' '} {escape(each.name)}",
            f"{each.value:.4f}" if math.isfinite(each.value) else "–",
            "" if told["low"] is None else f"{told['low']:.3f}–{told['high']:.3f}",
            _against(each),
            f"{each.outcome.seconds:.1f} s",
            f"{each.outcome.milliseconds_per_text:.2f}",
            f"{each.outcome.bytes / 1e6:.2f}" if each.outcome.bytes else "–",
        )
    table.caption = "p: against the best, ≈ not distinguishable; ●: nothing else is as good, as fast and as small"
    table.caption_justify = "left"
    return table


def _against(standing: Standing) -> str:
    pair = standing.against_best
    if pair is None:
        return "best" if standing.is_best else "–"
    p_value = f"{pair.corrected:.3f}" if pair.corrected >= 0.001 else "<0.001"
    return f"≈ {p_value}" if pair.verdict == "not distinguishable" else p_value


def _ablation(found: Ladder) -> Table:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=f"{found.ablation[0].model} without a group of features", title_justify="left")
    table.box = box.SIMPLE_HEAD
    for column in ("left out", "features", found.headline, "what it brings", "p", "verdict"):
        table.add_column(column, justify="left" if column in ("left out", "verdict") else "right")
    for each in found.ablation:
        interval = "" if each.low is None else f" ({each.low:+.3f} to {each.high:+.3f})"
        values = (f"{each.features:,}", f"{each.value:.4f}", f"{each.difference:+.4f}{interval}", f"{each.p_value:.4f}")
        table.add_row(escape(each.left_out), *values, "≈" if each.verdict == "not distinguishable" else each.verdict)
    return table


def _shown(found: Ladder) -> Table:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=f"{len(found.shown)} of the {found.split} texts, answered by {found.worth.name}")
    table.title_justify, table.box = "left", box.SIMPLE_HEAD
    table.add_column("text", no_wrap=True, overflow="ellipsis", max_width=TEXT_WIDTH)
    for column in ("right", "answer", "sure"):
        table.add_column(column, justify="right" if column == "sure" else "left", overflow="fold")
    for each in found.shown:
        said = each.prediction if isinstance(each.prediction, str) else encoder.dumps(each.prediction)
        sure = "" if each.probability is None else f"{each.probability:.0%}"
        table.add_row(escape(" ".join(each.text.split())[:200]), escape(each.label or ""), escape(said), sure)
    return table


def _strongest(found: Ladder) -> list[str]:
    from rich.markup import escape

    linear = [each for each in found.standings if each.outcome.told.get("strongest")]
    if not linear:
        return []
    best = max(linear, key=lambda each: each.value if found.better == "higher" else -each.value)
    lines = [f"words that weigh most in {best.name}:"]
    for label, pairs in list(best.outcome.told["strongest"].items())[:20]:
        lines.append(f"  {label}: {', '.join(word for word, _ in pairs)}")
    return [escape(line) for line in lines]
