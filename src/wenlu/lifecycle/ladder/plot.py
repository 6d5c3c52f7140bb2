"""Quality against seconds of training, a point a rung: one SVG file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from wenlu.html import Html
from wenlu.lifecycle.front_plot import Point, front_plot
from wenlu.lifecycle.ladder.standing import Standing
from wenlu.rundir import atomic

FILE = "pareto.svg"
LEAST_SECONDS = 0.01


def write_pareto(folder: Path, standings: Sequence[Standing], headline: str) -> None:
    atomic.write_text(folder / FILE, pareto_plot(standings, headline) + "\n")


def pareto_plot(standings: Sequence[Standing], headline: str) -> Html:
    """Filled points are on the Pareto front; a line is the interval."""
    return front_plot([_point(each) for each in standings], headline, "seconds of training")


def _point(standing: Standing) -> Point:
    told = standing.scores[0]
    low, high = told["low"], told["high"]
    if low is None or high is None:
        low = high = standing.value
    outcome = standing.outcome
    seconds = max(LEAST_SECONDS, outcome.seconds)
    return Point(outcome.name, outcome.what, seconds, standing.value, low, high, standing.on_front)
