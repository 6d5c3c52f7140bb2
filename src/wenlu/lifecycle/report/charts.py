"""Small charts as SVG: text stays text, colours come from the page, and a width of 360 units fits a telephone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from wenlu.html import Html, element
from wenlu.lifecycle.report.numbers import amount, number, ticks

Values = np.ndarray[Any, np.dtype[np.float64]]

WIDTH, HEIGHT = 360, 210
LEFT, RIGHT, TOP, BOTTOM = 42, 8, 10, 34
BUCKETS = 160
MARKED = 24
"""A line with at most so many points shows each."""


@dataclass(frozen=True)
class Curve:
    """Values over a training, thinned to what the eye can see: mean, least and greatest of neighbours."""

    x: Values
    mean: Values
    low: Values
    high: Values

    @classmethod
    def of(cls, x: Values, y: Values) -> Curve | None:
        """Without the values that are not finite; None where none is left."""
        finite = np.isfinite(x) & np.isfinite(y)
        x, y = x[finite], y[finite]
        if len(x) == 0:
            return None
        parts = np.array_split(np.arange(len(x)), min(BUCKETS, len(x)))
        return cls(
            np.array([x[part].mean() for part in parts]),
            np.array([y[part].mean() for part in parts]),
            np.array([y[part].min() for part in parts]),
            np.array([y[part].max() for part in parts]),
        )


@dataclass(frozen=True)
class Mark:
    """A measured value with its interval, one row of `interval_plot`."""

    label: str
    value: float
    low: float
    high: float
    is_main: bool = False


def line_chart(curve: Curve, *, label: str, x_label: str) -> Html:
    """A curve with its spread. What lies above the frame is cut off.

    The first fiftieth of a training may fall from so high that the rest would look flat; the frame ignores it.
    """
    settled = curve.mean[len(curve.mean) // 50 :]
    low, high = _padded(float(settled.min()), float(settled.max()))
    x_low, x_high = min(0.0, float(curve.x[0])), float(curve.x[-1]) or 1.0

    def to_x(value: float) -> float:
        return LEFT + (value - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT)

    def to_y(value: float) -> float:
        inside = min(max(value, low), high + (high - low))
        return HEIGHT - BOTTOM - (inside - low) / (high - low) * (HEIGHT - TOP - BOTTOM)

    def path(xs: Values, ys: Values) -> str:
        return " ".join(f"{to_x(x):.1f},{to_y(y):.1f}" for x, y in zip(xs, ys, strict=True))

    name = "clip-" + "".join(f"{ord(letter):x}" for letter in label)
    frame = element("rect", x=LEFT, y=TOP, width=WIDTH - LEFT - RIGHT + 4, height=HEIGHT - TOP - BOTTOM)
    drawn = []
    if len(curve.x) > MARKED:
        outline = f"{path(curve.x, curve.high)} {path(curve.x[::-1], curve.low[::-1])}"
        drawn.append(element("polygon", points=outline, class_="spread"))
    drawn.append(element("polyline", points=path(curve.x, curve.mean), class_="line"))
    if len(curve.x) <= MARKED:
        drawn += [
            element("circle", cx=f"{to_x(x):.1f}", cy=f"{to_y(y):.1f}", r=2.5, class_="point")
            for x, y in zip(curve.x, curve.mean, strict=True)
        ]
    return _svg(
        HEIGHT,
        label,
        element("defs", element("clipPath", frame, id=name)),
        *_y_axis(ticks(low, high), to_y),
        *_x_axis(ticks(x_low, x_high, 4), to_x, HEIGHT, x_label),
        element("g", *drawn, clip_path=f"url(#{name})"),
    )


def interval_plot(marks: list[Mark], *, label: str, x_label: str) -> Html:
    """One row a mark: a dot, its interval as a bar, its value at the right."""
    row, left, right = 26, 104, 52
    height = row * len(marks) + BOTTOM
    low, high = _padded(min(mark.low for mark in marks), max(mark.high for mark in marks))

    def to_x(value: float) -> float:
        return left + (value - low) / (high - low) * (WIDTH - left - right)

    rows = []
    for index, mark in enumerate(marks):
        y = row * index + row / 2
        kind = "main" if mark.is_main else "other"
        rows += [
            element("text", _shortened(mark.label), x=left - 10, y=y + 4, text_anchor="end"),
            element("line", x1=f"{to_x(mark.low):.1f}", x2=f"{to_x(mark.high):.1f}", y1=y, y2=y, class_=f"bar {kind}"),
            element("circle", cx=f"{to_x(mark.value):.1f}", cy=y, r=4, class_=f"dot {kind}"),
            element("text", number(mark.value), x=WIDTH - RIGHT, y=y + 4, text_anchor="end", class_="value"),
        ]
    grid = [tick for tick in ticks(low, high, 4) if low <= tick <= high]
    return _svg(height, label, *_x_axis(grid, to_x, height, x_label, grid_from=0), *rows)


def reliability_chart(points: list[tuple[float, float, int]], *, label: str, x_label: str) -> Html:
    """(probability, share that is right, how many) of each bin as a dot, larger where there are more, and the diagonal.

    Guo et al. 2017, arXiv:1706.04599, figure 1.
    """

    def to_x(value: float) -> float:
        return LEFT + value * (WIDTH - LEFT - RIGHT)

    def to_y(value: float) -> float:
        return HEIGHT - BOTTOM - value * (HEIGHT - TOP - BOTTOM)

    most = max(count for _, _, count in points)
    dots = [
        element(
            "circle",
            element("title", f"{number(confidence)} → {number(accuracy)} (n = {count})"),
            cx=f"{to_x(confidence):.1f}",
            cy=f"{to_y(accuracy):.1f}",
            r=f"{2 + 5 * (count / most) ** 0.5:.1f}",
            class_="point",
        )
        for confidence, accuracy, count in points
    ]
    diagonal = element("line", x1=to_x(0), y1=to_y(0), x2=to_x(1), y2=to_y(1), class_="grid")
    marks = ticks(0.0, 1.0, 4)
    return _svg(HEIGHT, label, *_y_axis(marks, to_y), *_x_axis(marks, to_x, HEIGHT, x_label), diagonal, *dots)


def _svg(height: float, label: str, *children: Html) -> Html:
    return element("svg", *children, viewBox=f"0 0 {WIDTH} {height}", role="img", aria_label=label)


def _y_axis(values: list[float], to_y: Callable[[float], float]) -> list[Html]:
    drawn = []
    for value in values:
        y = f"{to_y(value):.1f}"
        drawn.append(element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=y, y2=y, class_="grid"))
        drawn.append(element("text", amount(value), x=LEFT - 6, y=to_y(value) + 4, text_anchor="end"))
    return drawn


def _x_axis(
    values: list[float], to_x: Callable[[float], float], height: float, label: str, grid_from: float | None = None
) -> list[Html]:
    base = height - BOTTOM
    drawn = [element("text", label, x=WIDTH - RIGHT, y=height - 4, text_anchor="end", class_="caption")]
    for value in values:
        x = to_x(value)
        anchor = "end" if x > WIDTH - RIGHT - 12 else "middle"
        drawn.append(element("text", amount(value), x=f"{x:.1f}", y=base + 15, text_anchor=anchor))
        if grid_from is not None:
            drawn.append(element("line", x1=f"{x:.1f}", x2=f"{x:.1f}", y1=grid_from, y2=base, class_="grid"))
    return drawn


def _padded(low: float, high: float) -> tuple[float, float]:
    """A little air around the values, and a frame of some height around a constant."""
    margin = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
    return (low - margin if low < 0 or low - margin > 0 else 0.0), high + margin


def _shortened(text: str, length: int = 15) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
