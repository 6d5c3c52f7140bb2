"""The same chart in letters, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wenlu.lifecycle.report.numbers import amount
from wenlu.lifecycle.run_plot import Against, RunCurve, axes

MARKS = "•+×o*#@%"
COLUMNS, ROWS, MARGIN = 64, 16, 9


def plot_text(curves: Sequence[RunCurve], *, name: str, against: Against, log_x: bool, log_y: bool) -> str:
    """One mark a column and run; where runs meet, the first one's."""
    across, up = axes(curves, log_x=log_x, log_y=log_y)
    grid = [[" "] * COLUMNS for _ in range(ROWS)]
    for index, each in reversed([*enumerate(curves)]):
        places = np.array([across.place(value) for value in each.curve.x]) * (COLUMNS - 1)
        heights = np.array([up.place(value) for value in each.curve.mean]) * (ROWS - 1)
        first, last = round(float(places[0])), round(float(places[-1]))
        for column in range(first, last + 1):
            height = round(float(np.interp(column, places, heights)))
            grid[ROWS - 1 - height][column] = MARKS[index % len(MARKS)]
    labels = {0: amount(up.high), ROWS - 1: amount(up.low)}
    unit = curves[0].unit
    lines = [f"{name} ({unit})" if unit else name]
    lines += [f"{labels.get(row, ''):>{MARGIN - 2}} │{''.join(cells)}".rstrip() for row, cells in enumerate(grid)]
    lines.append(" " * (MARGIN - 1) + "└" + "─" * COLUMNS)
    ends = f"{amount(across.low)}{amount(across.high):>{COLUMNS - len(amount(across.low))}}"
    lines.append(" " * MARGIN + ends + f"  {against}")
    lines += [f"{MARKS[index % len(MARKS)]:>{MARGIN}} {each.label}" for index, each in enumerate(curves)]
    return "\n".join(lines)
