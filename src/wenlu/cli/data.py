"""`wenlu data`: a recipe up to the cleaned and split records."""

from __future__ import annotations

import json as encoder
from typing import TYPE_CHECKING

import typer

from wenlu.cli.settings import Json, Out, Overrides, RecipeFile

if TYPE_CHECKING:
    from rich.console import Group

    from wenlu.corpus.statistics import DataSummary


def data(recipe: RecipeFile, overrides: Overrides = None, *, out: Out, json: Json = False) -> None:
    """Read, clean, deduplicate and split the data as FILE.toml says, and count what was dropped and why.

    Example: wenlu data recipes/tiny.toml data.split_by=near-duplicates --out runs/data
    """
    from rich.console import Console

    from wenlu.cli.progress import TerminalProgress
    from wenlu.lifecycle import verbs

    with TerminalProgress() as progress:
        summary = verbs.data(recipe, out, overrides or [], progress=progress)
    if json:
        typer.echo(encoder.dumps(summary.to_json(), ensure_ascii=False))
    else:
        Console().print(render(summary))
        typer.echo(f"report  {out / 'data' / 'data.html'}")


def render(summary: DataSummary) -> Group:
    """The summary as tables for the terminal: splits, overlap, what was dropped."""
    from rich import box
    from rich.console import Group
    from rich.markup import escape
    from rich.table import Table

    def table(title: str, *heads: str) -> Table:
        made = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
        for head in heads:
            made.add_column(head, justify="left" if head in ("", "step", "reason", "of", "also in") else "right")
        return made

    lost = sum(drop.records for drop in summary.dropped)
    splits = table(
        f"{summary.read:,} records read, {summary.kept:,} kept, {lost:,} dropped",
        *("", "records", "characters", "bytes", "clusters", "median length"),
    )
    for name, split in summary.splits.items():
        numbers = (split.records, split.characters, split.bytes, split.clusters, split.length_quantiles["median"])
        splits.add_row(name, *(f"{number:,}" for number in numbers))
    tables = [splits]
    if summary.overlap:
        overlap = table("overlap", "of", "also in", "exact", "near-duplicates", "shared n-grams")
        for o in summary.overlap:
            overlap.add_row(o.held_out, o.other, f"{o.exact:,}", f"{o.near_duplicates:,}", f"{100 * o.ngrams:.2f} %")
        tables.append(overlap)
    if summary.dropped:
        dropped = table("dropped", "step", "reason", "records")
        for drop in summary.dropped[:10]:
            dropped.add_row(drop.step, escape(drop.reason), f"{drop.records:,}")
        tables.append(dropped)
    return Group(*tables, *(escape(note) for note in summary.notes))
