"""Quality against seconds of training, a point a rung: one SVG file."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from wenlu.lifecycle.ladder.standing import Standing
from wenlu.lifecycle.report.html import Html, element, join
from wenlu.lifecycle.report.numbers import amount
from wenlu.lifecycle.run_plot import BOTTOM, COLOURS, HEIGHT, LEFT, RIGHT, STYLE, TOP, WIDTH, Axis
from wenlu.rundir import atomic

FILE = "pareto.svg"
LEAST_SECONDS = 0.01
ROOM = 150
"""On the right, for the names."""


def write_pareto(folder: Path, standings: Sequence[Standing], headline: str) -> None:
    atomic.write_text(folder / FILE, pareto_plot(standings, headline) + "\n")


def pareto_plot(standings: Sequence[Standing], headline: str) -> Html:
    """Filled points are on the Pareto front; a line is the interval."""
    shown = [each for each in standings if math.isfinite(each.value)]
    ends = [end for each in shown for end in (*_ends(each), each.value)] or [0.0, 1.0]
    times = [max(LEAST_SECONDS, each.outcome.seconds) for each in shown] or [1.0]
    up = Axis.around(min(ends), max(ends), is_log=False)
    across = Axis.around(min(times), max(times), is_log=True)

    def x(value: float) -> float:
        return LEFT + 12 + across.place(value) * (WIDTH - LEFT - RIGHT - ROOM)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - 8 - up.place(value) * (HEIGHT - TOP - BOTTOM - 16)

    drawn: list[Html] = []
    for tick in up.ticks():
        drawn.append(
            element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=f"{y(tick):.1f}", y2=f"{y(tick):.1f}", class_="grid")
        )
        drawn.append(element("text", amount(tick), x=LEFT - 8, y=f"{y(tick) + 4:.1f}", text_anchor="end"))
    for tick in across.ticks():
        drawn.append(element("text", amount(tick), x=f"{x(tick):.1f}", y=HEIGHT - BOTTOM + 18, text_anchor="middle"))
    for index, each in enumerate(shown):
        drawn += _point(each, COLOURS[index % len(COLOURS)], x(max(LEAST_SECONDS, each.outcome.seconds)), y)
    drawn.append(element("text", headline, x=LEFT, y=12))
    drawn.append(element("text", "seconds of training", x=WIDTH - RIGHT, y=HEIGHT - BOTTOM + 36, text_anchor="end"))
    return element(
        "svg",
        element("style", Html(STYLE)),
        join(*drawn),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        aria_label=f"{headline} against seconds of training; filled: on the Pareto front",
    )


def _point(standing: Standing, colour: str, x: float, y: object) -> list[Html]:
    assert callable(y), "places a value"
    low, high = _ends(standing)
    place = y(standing.value)
    return [
        element("line", x1=f"{x:.1f}", x2=f"{x:.1f}", y1=f"{y(low):.1f}", y2=f"{y(high):.1f}", stroke=colour),
        element(
            "circle",
            element("title", f"{standing.outcome.what}: {standing.value:.4f}"),
            cx=f"{x:.1f}",
            cy=f"{place:.1f}",
            r=6,
            stroke=colour,
            stroke_width=2,
            fill=colour if standing.on_front else "#fff",
        ),
        element("text", standing.name, x=f"{x + 10:.1f}", y=f"{place + 4:.1f}"),
    ]


def _ends(standing: Standing) -> tuple[float, float]:
    told = standing.scores[0]
    low, high = told["low"], told["high"]
    return (standing.value, standing.value) if low is None or high is None else (low, high)
