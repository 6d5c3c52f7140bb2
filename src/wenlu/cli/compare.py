"""`wenlu compare`: whether one model is better than another."""

from __future__ import annotations

import json as encoder
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wenlu.cli.ladder import climb
from wenlu.cli.settings import Json

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

    from wenlu.evaluation.comparison import Comparison, Pair


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN RUN... | FILE.toml [KEY=VALUE]...", help="Two or more runs of one task; or a recipe."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Of a recipe: where its models go; by default runs/compare-NAME.")
    ] = None,
    confidence: Annotated[float, typer.Option(min=0.5, max=0.999, help="Of intervals and verdicts.")] = 0.95,
    slices: Annotated[bool, typer.Option("--slices", help="Also by source, script, length and label.")] = False,
    items: Annotated[Path | None, typer.Option(help="Write what each run answered to each example there.")] = None,
    json: Json = False,
) -> None:
    """Say whether runs differ on the examples that they were scored on, each pair by paired tests.

    The difference has its bootstrap interval; p is of approximate randomisation, corrected for the number of pairs
    (Holm); where examples are right or wrong one by one, McNemar's test stands beside. Runs that were scored on other
    examples, or by other conventions, are refused.

    Of a recipe with labelled examples it trains the ladder: what is common, linear models over n-grams, a small
    network, the recipe's own model, as far as compare.budget="5 minutes" goes; and says which is worth its cost.

    Example: wenlu compare runs/tiny runs/pretrained
    """
    if runs[0].endswith(".toml"):
        climb(Path(runs[0]), runs[1:], out, json=json)
        return
    from rich.console import Console

    from wenlu.evaluation.comparison import compare as compared
    from wenlu.evaluation.comparison import write_items

    found = compared(runs, confidence=confidence)
    if items is not None:
        write_items(runs, items)
    if json:
        typer.echo(encoder.dumps(found.to_json(), ensure_ascii=False))
    else:
        Console().print(render(found, slices=slices))


def render(found: Comparison, *, slices: bool = False) -> Group:
    """The scores of each run, the difference of each pair, and what that comes to in words."""
    from rich import box
    from rich.console import Group
    from rich.markup import escape
    from rich.table import Table

    title = f"{found.task}, {found.split} split: {found.n:,} examples in {found.clusters:,} clusters of near-duplicates"
    scores = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    scores.add_column("score")
    for system in found.systems:
        scores.add_column(escape(system), justify="right", overflow="fold")
    for name, values in found.values.items():
        scores.add_row(name, *(f"{value:.4f}" for value in values))
    pairs = Table(title=f"{found.headline}, {found.better} is better", title_justify="left", box=box.SIMPLE_HEAD)
    for column in ("pair", "difference", f"{100 * found.confidence:g} % interval", "p", "McNemar"):
        pairs.add_column(column, justify="left" if column == "pair" else "right", overflow="fold")
    for pair in found.pairs:
        pairs.add_row(escape(f"{pair.a} - {pair.b}"), f"{pair.value:+.4f}", *_tests(pair))
    parts = [_slices(pair) for pair in found.pairs if slices and pair.slices]
    left_out = [f"by other conventions, left out: {', '.join(found.left_out)}"] if found.left_out else []
    return Group(scores, pairs, *parts, *left_out, *(f"[bold]{escape(said)}[/]" for said in found.sentences()))


def _slices(pair: Pair) -> Table:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(f"{pair.metric} in parts, p corrected for their number"), title_justify="left")
    table.box = box.SIMPLE_HEAD
    for column in ("by", "of", "n", pair.a, pair.b, "p"):
        table.add_column(escape(column), justify="left" if column in ("by", "of") else "right", overflow="fold")
    for part in pair.slices:
        values = (f"{part.n:,}", f"{part.a:.4f}", f"{part.b:.4f}", f"{part.p_value:.4f}")
        table.add_row(part.by, escape(part.of), *values)
    return table


def _tests(pair: Pair) -> tuple[str, str, str]:
    interval = "" if pair.low is None else f"{pair.low:+.4f} to {pair.high:+.4f}"
    counted = pair.one_by_one
    return (
        interval,
        f"{pair.corrected:.4f}",
        "" if counted is None else f"{counted.only_a} : {counted.only_b}, p {counted.p_value:.4f}",
    )
