"""Two charts of a search as SVG: which settings mattered, and which values went with which results."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from wenlu.html import Html, element, join
from wenlu.lifecycle.report.numbers import amount
from wenlu.lifecycle.run_plot import STYLE, Axis

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 400, 90, 90, 40, 40
BAR, BAR_LEFT = 26, 240
_BEST, _WORST = (0, 114, 178), (226, 226, 226)


def importance_plot(importance: Mapping[str, float]) -> Html:
    """A bar for each setting, the longest first."""
    drawn = []
    for place, (key, share) in enumerate(sorted(importance.items(), key=lambda item: -item[1])):
        y, width = TOP + BAR * place, share * (WIDTH - BAR_LEFT - RIGHT)
        drawn.append(element("text", key, x=BAR_LEFT - 8, y=y + 14, text_anchor="end"))
        drawn.append(element("rect", x=BAR_LEFT, y=y, width=f"{width:.1f}", height=BAR - 8, fill=_colour(0.0)))
        drawn.append(element("text", f"{share:.2f}", x=f"{BAR_LEFT + width + 6:.1f}", y=y + 14))
    title = element("text", "share of the spread between trials (fANOVA)", x=BAR_LEFT, y=20)
    return _svg(title, *drawn, height=TOP + BAR * len(importance) + 10, label="importance of settings")


def parallel_coordinates(
    trials: Sequence[tuple[Mapping[str, Any], float]], metric: str, *, better: str, logs: Collection[str] = ()
) -> Html:
    """A line for each trial through the values of its settings, and at last its result; better ones are darker.

    Args:
        trials: settings and result of each, the best first.
        logs: settings whose axis is logarithmic.
    """
    keys = [*dict.fromkeys(key for settings, _ in trials for key in settings)]
    columns = [*keys, metric]
    axes = [_Column([settings.get(key) for settings, _ in trials], is_log=key in logs) for key in keys]
    axes.append(_Column([value for _, value in trials]))
    gap = (WIDTH - LEFT - RIGHT) / max(1, len(columns) - 1)
    drawn = []
    for place, (name, axis) in enumerate(zip(columns, axes, strict=True)):
        x = LEFT + gap * place
        drawn.append(element("line", x1=x, x2=x, y1=TOP, y2=HEIGHT - BOTTOM, class_="grid"))
        drawn.append(element("text", name, x=x, y=20 if place % 2 else HEIGHT - 8, text_anchor="middle"))
        for label, height in axis.marks():
            drawn.append(element("text", label, x=x - 5, y=f"{_y(height) + 4:.1f}", text_anchor="end"))
    lines = []
    for place, (settings, value) in enumerate(trials):
        heights = [axes[i].height(settings.get(key)) for i, key in enumerate(keys)] + [axes[-1].height(value)]
        points = " ".join(f"{LEFT + gap * i:.1f},{_y(height):.1f}" for i, height in enumerate(heights))
        lines.append(element("polyline", points=points, stroke=_colour(place / max(1, len(trials) - 1))))
    title = f"settings and {metric} of {len(trials)} trials, {better} is better"
    return _svg(*reversed(lines), *drawn, height=HEIGHT + 10, label=title)


class _Column:
    """From the values of one setting to places between 0 and 1."""

    def __init__(self, values: Sequence[Any], *, is_log: bool = False) -> None:
        numbers = [float(value) for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
        self.axis: Axis | None = None
        self.names: list[str] = []
        if numbers and len(numbers) == len(values):
            self.axis = Axis.around(min(numbers), max(numbers), is_log=is_log)
        else:
            self.names = sorted({_name(value) for value in values})

    def height(self, value: Any) -> float:
        if self.axis is not None:
            return self.axis.place(float(value))
        return (self.names.index(_name(value)) + 0.5) / len(self.names)

    def marks(self) -> list[tuple[str, float]]:
        if self.axis is not None:
            return [(amount(tick), self.axis.place(tick)) for tick in self.axis.ticks()]
        return [(name, (place + 0.5) / len(self.names)) for place, name in enumerate(self.names)]


def _name(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _y(height: float) -> float:
    return HEIGHT - BOTTOM - height * (HEIGHT - TOP - BOTTOM)


def _colour(rank: float) -> str:
    """From the best, 0, to the worst, 1."""
    mixed = (round(a + (b - a) * rank**0.5) for a, b in zip(_BEST, _WORST, strict=True))
    return "#" + "".join(f"{part:02x}" for part in mixed)


def _svg(*drawn: Html, height: int, label: str) -> Html:
    return element(
        "svg",
        element("style", Html(STYLE)),
        join(*drawn),
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {WIDTH} {height}",
        role="img",
        aria_label=label,
    )
