"""The scores of word vectors as a table for the terminal: one set of questions a row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Group

WORD_VECTORS = "word-vectors"
"""What `evaluation.json` says under `model` where it is of word vectors."""


def render_words(evaluation: Mapping[str, Any]) -> Group:
    """Sets side by side, each with its score, its interval, and how many of its questions could be answered.

    Args:
        evaluation: the content of `evaluation.json`.
    """
    from rich import box
    from rich.console import Group
    from rich.markup import escape
    from rich.table import Table

    percent = f"{100 * evaluation['settings']['confidence']:g} %"
    table = Table(
        title=f"{evaluation['words']:,} words, {evaluation['dimensions']} dimensions",
        title_justify="left",
        box=box.SIMPLE_HEAD,
    )
    table.add_column("set", overflow="fold")
    table.add_column("score")
    for head in ("value", f"{percent} interval", "coverage", "answered"):
        table.add_column(head, justify="right")
    scores = {score["name"]: score for score in evaluation["metrics"]}
    for asked in evaluation["sets"]:
        name = asked["set"]
        coverage = scores.pop(f"{name}_coverage")
        score = next(found for key, found in scores.items() if key.startswith(f"{name}_"))
        kind = score["name"].removeprefix(f"{name}_")
        answered = f"{asked['known']:,} / {asked['asked']:,}"
        cells = (_number(score["value"]), _interval(score), _share(coverage["value"]), answered)
        table.add_row(escape(name), kind, *cells)
    text = scores.get("text_coverage")
    if text is not None:
        table.add_row("held-out text", "–", "–", "–", _share(text["value"]), f"{text['n']:,} words")
    return Group(table, *(f"[dim]{escape(score['signature'])}[/]" for score in evaluation["metrics"]))


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def _interval(score: Mapping[str, Any]) -> str:
    low, high = score["low"], score["high"]
    return "no interval" if low is None or high is None else f"{low:.3f} … {high:.3f}"
