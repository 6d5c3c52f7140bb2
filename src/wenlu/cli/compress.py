"""`wenlu compress`: smaller models, beside the one that they are made of."""

from __future__ import annotations

import json as encoder
import math
from typing import TYPE_CHECKING

import typer

from wenlu.cli.settings import Json, Out, Overrides, RecipeFile

if TYPE_CHECKING:
    from rich.table import Table

    from wenlu.lifecycle.compressing.sweep import Row, Sweep


def compress(recipe: RecipeFile, overrides: Overrides = None, *, out: Out, json: Json = False) -> None:
    """Make a model smaller in each of the ways that FILE.toml lists, and compare what comes of it.

    model=… says which model. A way is a label, as rtn-int8 or gptq-int4-g32, or several joined by "+"; each makes a
    folder, which is kept only where it answers as its kind should.

    Example: wenlu compress recipes/compress.toml model=runs/tiny 'compress.methods=["rtn-int8"]' --out runs/small
    """
    from rich.console import Console
    from rich.markup import escape

    from wenlu.cli.progress import TerminalProgress
    from wenlu.lifecycle.compressing.sweep import compress as sweep

    with TerminalProgress() as progress:
        found = sweep(recipe, out, overrides or [], progress=progress)
    if json:
        typer.echo(encoder.dumps(found.to_json(), ensure_ascii=False))
        return
    console = Console()
    console.print(render(found))
    console.print(escape(words_of(found)), highlight=False)


def render(found: Sweep) -> Table:
    """The model first, then what was made of it, in the order of the recipe."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    calibrated = any(row.calibration_error is not None for row in found.rows)
    measured = any(row.speed is not None for row in found.rows)
    title = f"{found.headline}, {found.better} is better; {found.n:,} examples"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    columns = ["", found.headline, "interval", "p", *(["ECE"] if calibrated else []), "MB"]
    columns += [*(["peak MB", "tokens/s"] if measured else []), "KL", "top-1", "verdict"]
    for column in columns:
        table.add_column(column, justify="left" if column in ("", "verdict") else "right", no_wrap=True)
    for row in found.rows:
        told = row.scores[0]
        cells = [
            f"{'●' if row.on_front else ' '} {escape(row.name)}",
            f"{row.value:.4f}" if math.isfinite(row.value) else "–",
            "" if told["low"] is None else f"{told['low']:.3f}–{told['high']:.3f}",
            _against(row),
            *([_number(row.calibration_error, ".3f")] if calibrated else []),
            f"{row.bytes / 1e6:.2f}",
        ]
        if measured:
            speed = row.speed
            rate = None if speed is None else speed.written or speed.read
            cells += ["" if speed is None else f"{speed.peak_bytes / 1e6:.0f}", _number(rate, ".1f")]
        parity = None if row.artefact is None else row.artefact.parity
        cells += [
            _number(None if parity is None else parity.mean_kl_nats, ".2g"),
            _number(None if parity is None else parity.top1_agreement, ".3f"),
            row.verdict,
        ]
        table.add_row(*cells)
    table.caption = "p: against the model, ≈ not distinguishable; ●: nothing else is as good, as small and as fast"
    table.caption_justify = "left"
    return table


def words_of(found: Sweep) -> str:
    """Where things are, and what to do next."""
    lines = [f"{found.path / 'compress.json'}, pareto.svg; each folder has its parity.json", "", "Try next:"]
    lines += [f"  wenlu evaluate {row.artefact.path} data.test=FILE" for row in found.kept[:1] if row.artefact]
    lines += [f"  wenlu export {row.artefact.path} --out DIR" for row in found.kept[:1] if row.artefact]
    return "\n".join(lines)


def _against(row: Row) -> str:
    pair = row.against
    if pair is None:
        return ""
    p_value = f"{pair.corrected:.3f}" if pair.corrected >= 0.001 else "<0.001"
    return f"≈ {p_value}" if pair.verdict == "not distinguishable" else p_value


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
