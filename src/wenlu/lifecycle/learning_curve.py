"""How a score grows with the training part, and what more data would bring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wenlu.lifecycle.report.charts import Curve
from wenlu.lifecycle.run_plot import RunCurve, write_plot

FILE = "curve.svg"
_FEWEST = 3
"""Points that a power law of three numbers needs."""


def write_curve(out: Path, points: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Draw `curve.svg`; returns the points, and what a power law through them says of twice the data."""
    sizes = np.array([point["trained_on"] for point in points], float)
    values = np.array([point["value"] for point in points], float)
    name = str(points[0]["name"])
    ends = [(point["low"], point["value"], point["high"]) for point in points]
    labels = {1: name, 0: "lower end of its interval", 2: "upper end of its interval"}
    drawn = {
        label: Curve.of(sizes, np.array([np.nan if end[place] is None else end[place] for end in ends], float))
        for place, label in labels.items()
    }
    curves = [RunCurve(label, str(points[0]["unit"]), curve) for label, curve in drawn.items() if curve is not None]
    write_plot(out / FILE, curves, name=name, against="records of the training part", log_x=True, log_y=False)
    return {"points": list(points), "twice_the_data": doubled(sizes, values)}


def doubled(sizes: np.ndarray, values: np.ndarray) -> float | None:
    """The score at twice the largest size by value = a + b · size^-c (Hestness et al. 2017, arXiv:1712.00409).

    None where there are fewer than three points, or no such law fits.
    """
    if len(sizes) < _FEWEST:
        return None
    from scipy.optimize import least_squares

    share = sizes / sizes[-1]
    begun = (values[-1], values[0] - values[-1], 0.5)
    bounds = ((-np.inf, -np.inf, 0.01), (np.inf, np.inf, 2.0))
    found = least_squares(lambda law: _law(share, *law) - values, begun, bounds=bounds, xtol=1e-12, ftol=1e-12)
    return float(_law(np.array([2.0]), *found.x)[0]) if found.success else None


def _law(share: np.ndarray, a: float, b: float, c: float) -> np.ndarray:
    value: np.ndarray = a + b * share**-c
    return value
