"""What several runs logged under one name, as one chart: an SVG file, or an HTML page around it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from wenlu.config.load import did_you_mean
from wenlu.errors import UsageError
from wenlu.html import Html, element, join
from wenlu.lifecycle.report.charts import Curve
from wenlu.lifecycle.report.numbers import amount, ticks
from wenlu.rundir import Run, atomic

Against = Literal["step", "tokens", "seconds"]

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 440, 64, 16, 18, 48
LEGEND_ROW = 20
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Told apart by colour-blind readers too (Okabe & Ito 2008)."""
STYLE = (
    "svg{background:#fff;font:13px system-ui,sans-serif}text{fill:#333}"
    ".grid{stroke:#ddd}polyline{fill:none;stroke-width:2}"
)


@dataclass(frozen=True)
class RunCurve:
    """One run's values, in order."""

    label: str
    unit: str
    curve: Curve


@dataclass(frozen=True)
class Axis:
    """From values to places between 0 and 1."""

    low: float
    high: float
    is_log: bool = False

    @classmethod
    def around(cls, low: float, high: float, *, is_log: bool) -> Axis:
        """With an extent, whatever the values are."""
        if is_log:
            return cls(low, high if high > low else low * 10, True)
        margin = 0.0 if high > low else abs(high) * 0.1 or 1.0
        return cls(low - margin, high + margin)

    def place(self, value: float) -> float:
        if self.is_log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        if not self.is_log:
            return ticks(self.low, self.high)
        first, last = math.floor(math.log10(self.low)), math.ceil(math.log10(self.high))
        factors = (1, 2, 5) if last - first <= 3 else (1,)
        marks = [factor * 10.0**power for power in range(first, last + 1) for factor in factors]
        inside = [mark for mark in marks if self.low <= mark * 1.000001 and mark <= self.high * 1.000001]
        return inside if len(inside) > 1 else ticks(self.low, self.high)  # less than a power of ten


def read_curves(paths: Sequence[Path], name: str, against: Against, *, log_x: bool, log_y: bool) -> list[RunCurve]:
    """The runs' values of `name` that can be drawn; raises UsageError where a run has none."""
    return [_read(path, name, against, log_x=log_x, log_y=log_y) for path in paths]


def axes(curves: Sequence[RunCurve], *, log_x: bool, log_y: bool) -> tuple[Axis, Axis]:
    xs = np.concatenate([each.curve.x for each in curves])
    ys = np.concatenate([each.curve.mean for each in curves])
    return (
        Axis.around(float(xs.min()), float(xs.max()), is_log=log_x),
        Axis.around(float(ys.min()), float(ys.max()), is_log=log_y),
    )


def write_plot(path: Path, curves: Sequence[RunCurve], *, name: str, against: str, log_x: bool, log_y: bool) -> None:
    """Write the chart as `path`'s suffix says; raises UsageError for another than .svg and .html."""
    svg = plot(curves, name=name, against=against, log_x=log_x, log_y=log_y)
    match path.suffix.lower():
        case ".svg":
            atomic.write_text(path, svg + "\n")
        case ".html":
            head = element("head", element("meta", charset="utf-8"), element("title", name))
            atomic.write_text(path, "<!doctype html>\n" + element("html", head, element("body", svg)) + "\n")
        case suffix:
            raise UsageError(f"{path}: charts are written as .svg or .html, not {suffix or 'without a suffix'}")


def plot(curves: Sequence[RunCurve], *, name: str, against: str, log_x: bool, log_y: bool) -> Html:
    across, up = axes(curves, log_x=log_x, log_y=log_y)
    height = HEIGHT + LEGEND_ROW * len(curves)

    def x(value: float) -> float:
        return LEFT + across.place(value) * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - up.place(value) * (HEIGHT - TOP - BOTTOM)

    drawn: list[Html] = []
    for tick in up.ticks():
        drawn.append(
            element("line", x1=LEFT, x2=WIDTH - RIGHT, y1=f"{y(tick):.1f}", y2=f"{y(tick):.1f}", class_="grid")
        )
        drawn.append(element("text", amount(tick), x=LEFT - 8, y=f"{y(tick) + 4:.1f}", text_anchor="end"))
    for tick in across.ticks():
        drawn.append(
            element("line", x1=f"{x(tick):.1f}", x2=f"{x(tick):.1f}", y1=TOP, y2=HEIGHT - BOTTOM, class_="grid")
        )
        drawn.append(element("text", amount(tick), x=f"{x(tick):.1f}", y=HEIGHT - BOTTOM + 18, text_anchor="middle"))
    for index, each in enumerate(curves):
        colour, row = COLOURS[index % len(COLOURS)], HEIGHT + LEGEND_ROW * index
        points = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in zip(each.curve.x, each.curve.mean, strict=True))
        drawn.append(element("polyline", points=points, stroke=colour))
        drawn.append(element("line", x1=LEFT, x2=LEFT + 24, y1=row - 4, y2=row - 4, stroke=colour, stroke_width=3))
        drawn.append(element("text", each.label, x=LEFT + 32, y=row))
    unit = curves[0].unit
    drawn.append(element("text", f"{name} ({unit})" if unit else name, x=LEFT, y=12))
    drawn.append(element("text", against, x=WIDTH - RIGHT, y=HEIGHT - BOTTOM + 36, text_anchor="end"))
    return element(
        "svg",
        element("style", Html(STYLE)),
        join(*drawn),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {WIDTH} {height}",
        role="img",
        aria_label=f"{name} against {against}",
    )


def _read(path: Path, name: str, against: Against, *, log_x: bool, log_y: bool) -> RunCurve:
    events = [event for event in Run.open(path).events() if not isinstance(event.value, str)]
    chosen = [event for event in events if event.name == name]
    if not chosen:
        known = {event.name for event in events}
        hint = did_you_mean(name, known) if known else "it logged no numbers"
        raise UsageError(f"{path}: logged no {name!r}; {hint}")
    x = np.array([float(getattr(event, against)) for event in chosen])
    y = np.array([float(event.value) for event in chosen])
    drawable = np.isfinite(y) & ((x > 0) | (not log_x)) & ((y > 0) | (not log_y))
    curve = Curve.of(x[drawable], y[drawable])
    if curve is None:
        wanted = " and above zero" if log_x or log_y else ""
        raise UsageError(f"{path}: no value of {name!r} is finite{wanted}, so there is nothing to draw")
    return RunCurve(str(path), chosen[0].unit, curve)
