"""Quality against a cost, a point a model: an SVG drawing."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from wenlu.html import Html, element, join
from wenlu.lifecycle.report.numbers import amount
from wenlu.lifecycle.run_plot import BOTTOM, COLOURS, HEIGHT, LEFT, RIGHT, STYLE, TOP, WIDTH, Axis

ROOM = 150
"""On the right, for the names."""


@dataclass(frozen=True)
class Point:
    """One model.

    Attributes:
        cost: over zero.
        low, high: the interval of `value`; both are `value` where there is none.
    """

    name: str
    what: str
    cost: float
    value: float
    low: float
    high: float
    on_front: bool


def front_plot(points: Sequence[Point], headline: str, cost: str) -> Html:
    """Filled points are on the Pareto front; a line is the interval. What has no value is left out."""
    shown = [each for each in points if math.isfinite(each.value)]
    ends = [end for each in shown for end in (each.low, each.high, each.value)] or [0.0, 1.0]
    costs = [each.cost for each in shown] or [1.0]
    up = Axis.around(min(ends), max(ends), is_log=False)
    across = Axis.around(min(costs), max(costs), is_log=True)

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
        drawn += _point(each, COLOURS[index % len(COLOURS)], x(each.cost), y)
    drawn.append(element("text", headline, x=LEFT, y=12))
    drawn.append(element("text", cost, x=WIDTH - RIGHT, y=HEIGHT - BOTTOM + 36, text_anchor="end"))
    return element(
        "svg",
        element("style", Html(STYLE)),
        join(*drawn),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        aria_label=f"{headline} against {cost}; filled: on the Pareto front",
    )


def _point(point: Point, colour: str, x: float, y: Callable[[float], float]) -> list[Html]:
    place = y(point.value)
    return [
        element(
            "line", x1=f"{x:.1f}", x2=f"{x:.1f}", y1=f"{y(point.low):.1f}", y2=f"{y(point.high):.1f}", stroke=colour
        ),
        element(
            "circle",
            element("title", f"{point.what}: {point.value:.4f}"),
            cx=f"{x:.1f}",
            cy=f"{place:.1f}",
            r=6,
            stroke=colour,
            stroke_width=2,
            fill=colour if point.on_front else "#fff",
        ),
        element("text", point.name, x=f"{x + 10:.1f}", y=f"{place + 4:.1f}"),
    ]
