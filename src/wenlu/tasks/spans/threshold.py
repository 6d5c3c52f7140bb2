"""From which margin on a question has no answer: set on held-out examples, never on those that are scored."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def best_threshold(margins: Sequence[float], answered: Sequence[float], unanswered: Sequence[float]) -> float:
    """The threshold that scores highest, and of equal ones the one that is nearest to 0.

    Args:
        margins: by how much no answer is likelier than the best one; a question is answered up to the threshold.
        answered, unanswered: its score if it is answered, and if not.
    """
    found = np.asarray(margins, np.float64)
    finite = np.isfinite(found)  # one without any answer is never answered
    if not finite.any():
        return 0.0
    gains = (np.asarray(answered, np.float64) - np.asarray(unanswered, np.float64))[finite]
    found = found[finite]
    order = np.argsort(found, kind="stable")
    found = found[order]
    totals = np.concatenate([[0.0], np.cumsum(gains[order])])
    cuts = np.concatenate([[found[0] - 1], (found[1:] + found[:-1]) / 2, [found[-1] + 1]])
    parts = np.concatenate([[True], found[1:] > found[:-1], [True]])  # nothing lies between two equal margins
    totals, cuts = totals[parts], cuts[parts]
    best = cuts[np.isclose(totals, totals.max(), rtol=0, atol=1e-9)]
    return float(best[np.abs(best).argmin()])
