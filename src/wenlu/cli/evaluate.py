"""`wenlu evaluate`: how well a model does on held-out text, and a baseline beside it."""

from __future__ import annotations

import json as encoder
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wenlu.cli.settings import Json, Overrides

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

    from wenlu.evaluation import Evaluation


def evaluate(
    target: Annotated[str, typer.Argument(metavar="MODEL|RUN|FILE.toml", help="What to score.")],
    overrides: Overrides = None,
    out: Annotated[Path | None, typer.Option(help="Also write evaluation.json there; for FILE.toml its run.")] = None,
    json: Json = False,
) -> None:
    """Score held-out text: perplexity per token, word and byte, bits per byte, with intervals, beside an n-gram.

    A model of another pretraining task is scored at that task, beside the commonest answer; word vectors on
    similarity and analogies. A RUN is scored on the texts that it held out, a MODEL on those of data.test=FILE; of
    several tasks all are, or the one that task=NAME chooses. of=RUN asks MODEL, say a base before its tuning, what RUN
    was trained to write: its scores compare with the run's (wenlu compare).

    A FILE.toml is trained first; with folds.count=5 once for each fold (cross-validation), with
    folds.fractions=[0.1,0.3,1] on parts of the data (how much would more help?). The test part stays unread.

    Example: wenlu evaluate runs/tiny evaluate.stride=64
    """
    from rich.console import Console

    from wenlu.cli.progress import TerminalProgress
    from wenlu.cli.word_tables import WORD_VECTORS, render_words
    from wenlu.lifecycle.evaluate import evaluate as score

    with TerminalProgress() as progress:
        evaluation = score(target, overrides or [], out=out, progress=progress)
    if json:
        typer.echo(encoder.dumps(evaluation.to_json(), ensure_ascii=False))
    elif evaluation.facts.get("model") == WORD_VECTORS:
        Console().print(render_words(evaluation.to_json()))
    else:
        Console().print(render(evaluation))


def render(evaluation: Evaluation) -> Group:
    """The scores as a table, their conventions below, and how the model stands to the n-gram."""
    from rich import box
    from rich.console import Group
    from rich.markup import escape
    from rich.table import Table

    facts = evaluation.facts
    percent = f"{100 * evaluation.settings['confidence']:g} %"
    size = f", bytes: {facts['bytes']:,}" if "bytes" in facts else ""
    table = Table(
        title=f"{facts['split']} split, texts: {facts['documents']:,}, in clusters of near-duplicates: "
        f"{facts['clusters']:,}{size}",
        title_justify="left",
        box=box.SIMPLE_HEAD,
    )
    table.add_column("score")
    table.add_column("value", justify="right")
    table.add_column(f"{percent} interval", justify="right")
    table.add_column("unit")
    for score in evaluation.scores:
        table.add_row(score.name, _number(score.value), _interval(score.low, score.high), score.unit)
    lines = [f"[dim]{escape(score.signature)}[/]" for score in evaluation.scores]
    parts = [_folds(facts)] if "folds" in facts else []
    return Group(table, *lines, *_against_baseline(evaluation), *parts, *_curve(evaluation))


def _folds(facts: Mapping[str, Any]) -> Table:
    from rich import box
    from rich.table import Table

    spread = "" if facts["spread"] is None else f"; standard deviation over folds {facts['spread']:.4f}"
    table = Table(title=f"each fold by itself{spread}", title_justify="left", box=box.SIMPLE_HEAD)
    for column in ("seed", "fold", "trained on", "held out", "score", "baseline", "seconds", "chose"):
        table.add_column(column, justify="left" if column == "chose" else "right")
    for row in facts["folds"]:
        baseline = "" if row["baseline"] is None else f"{row['baseline']:.4f}"
        chosen = ", ".join(f"{key}={value}" for key, value in row["chosen"].items())
        counts = (str(row["seed"]), str(row["fold"] + 1), f"{row['trained_on']:,}", f"{row['n']:,}")
        table.add_row(*counts, f"{row['value']:.4f}", baseline, f"{row['seconds']:.1f}", chosen)
    return table


def _curve(evaluation: Evaluation) -> list[str]:
    """What more data would bring."""
    curve = evaluation.facts.get("curve")
    if curve is None:
        return []
    points = [
        f"{point['trained_on']:>10,.0f} records: {point['value']:.4f}, {_interval(point['low'], point['high'])}"
        for point in curve["points"]
    ]
    more = curve["twice_the_data"]
    said = (
        "too few points to say what more data would bring"
        if more is None
        else f"by a power law twice as many: {more:.4f}"
    )
    return [f"\nlearning curve, {evaluation.headline} (curve.svg)", *points, said]


def _against_baseline(evaluation: Evaluation) -> list[str]:
    found, score = evaluation.difference, evaluation.score(evaluation.headline)
    if found is None or score is None:
        return []
    beside = evaluation.score(evaluation.baseline)
    parts = dict(part.partition(":")[::2] for part in beside.signature.split("|")) if beside is not None else {}
    other = "n-gram" if evaluation.task == "causal-lm" else parts.get("system", "commonest answer")
    p_value = "" if found.p_value is None else f", p = {found.p_value:.2g}"
    return [
        f"\nmodel − {other}: {found.value:+.4f} {score.unit}, {_interval(found.low, found.high)}{p_value}: "
        f"[bold]{found.verdict}[/]"
    ]


def _number(value: float) -> str:
    return f"{value:.4f}" if value < 1e4 else f"{value:.4g}"


def _interval(low: float | None, high: float | None) -> str:
    return "no interval" if low is None or high is None else f"{_number(low)} … {_number(high)}"
