"""`wenlu compress`: smaller models, beside the one that they are made of."""

from __future__ import annotations

import json as encoder
import math
from typing import TYPE_CHECKING

import typer

from wenlu.cli.settings import Json, Out, Overrides, RecipeFile

if TYPE_CHECKING:
    from rich.console import Group
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


def render(found: Sweep) -> Group:
    """Quality and what it costs, the model first, then what was made of it, in the order of the recipe."""
    from rich.console import Group

    note = "p: against the model, ≈ not distinguishable; ●: nothing else is as good, as small, as fast and as sparing"
    return Group(_quality(found), _costs(found), note)


def _quality(found: Sweep) -> Table:
    calibrated = any(row.calibration_error is not None for row in found.rows)
    columns = [found.headline, "interval", "p", *(["ECE"] if calibrated else []), "KL", "top-1", "verdict"]
    table = _table(f"{found.headline}, {found.better} is better; {found.n:,} examples", columns)
    for row in found.rows:
        told = row.scores[0]
        parity = None if row.artefact is None else row.artefact.parity
        table.add_row(
            _name(row),
            f"{row.value:.4f}" if math.isfinite(row.value) else "–",
            "" if told["low"] is None else f"{told['low']:.3f}–{told['high']:.3f}",
            _against(row),
            *([_number(row.calibration_error, ".3f")] if calibrated else []),
            _number(None if parity is None else parity.mean_kl_nats, ".2g"),
            _number(None if parity is None else parity.top1_agreement, ".3f"),
            row.verdict,
        )
    return table


def _costs(found: Sweep) -> Table:
    measured = any(row.speed is not None for row in found.rows)
    columns = ["MB", *(["peak MB", "read/s", "written/s"] if measured else []), "made in s"]
    table = _table("megabytes on disk and in memory, tokens a second", columns)
    for row in found.rows:
        speed = row.speed
        cells = [f"{row.bytes / 1e6:.2f}"]
        if measured:
            cells += [
                _number(None if speed is None else speed.peak_bytes / 1e6, ".0f"),
                _number(None if speed is None else speed.read, ".1f"),
                _number(None if speed is None else speed.written, ".1f"),
            ]
        table.add_row(_name(row), *cells, _number(None if row.artefact is None else row.artefact.seconds, ".1f"))
    return table


def _table(title: str, columns: list[str]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for column in ("", *columns):
        table.add_column(column, justify="left" if column in ("", "verdict") else "right", no_wrap=True)
    return table


def _name(row: Row) -> str:
    from rich.markup import escape

    return f"{'●' if row.on_front else ' '} {escape(row.name)}"


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
