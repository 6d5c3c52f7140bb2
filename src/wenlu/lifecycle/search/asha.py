"""Asynchronous successive halving as the paper has it: Li et al. 2020, arXiv:1810.05934, algorithm 2.

A trial pauses at each rung. Whoever is free promotes a trial that is among the best of its rung, and only where there
is none begins a new one. (Optuna's SuccessiveHalvingPruner decides once, as a trial comes to a rung, and takes nothing
back: one that was behind when it came is lost, even if it is among the best of all that came later.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def rungs(most: int, reduction: int) -> list[int]:
    """How many validations a trial has had at each rung, up to the `most` that it can have."""
    found = [1]
    while found[-1] * reduction < most:
        found.append(found[-1] * reduction)
    return found if found[-1] == most else [*found, most]


def promotable(results: Sequence[Mapping[int, float]], reduction: int) -> tuple[int, int] | None:
    """The trial to promote and the rung to which, the highest first; None where there is none.

    Args:
        results: for each rung what the trials cost that were given so far; nan while a trial is on its way to it.
    """
    for rung in range(len(results) - 2, -1, -1):
        finished = {trial: cost for trial, cost in results[rung].items() if cost == cost}
        for trial in best(finished, len(finished) // reduction):
            if trial not in results[rung + 1]:
                return trial, rung + 1
    return None


def best(costs: Mapping[int, float], count: int) -> list[int]:
    """The trials that cost least, the first of them first; of equal ones the earlier."""
    return sorted(costs, key=lambda trial: (costs[trial], trial))[:count]
