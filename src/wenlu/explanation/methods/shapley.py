"""Shapley values (Shapley 1953; Štrumbelj & Kononenko 2010): what a unit adds, in the mean over all orders in which
units could be put back.

Of up to `MOST_EXACT` units all subsets are asked, and the values are exact. Of more, orders are drawn in pairs of one
and its reverse (Mitchell et al. 2022, arXiv:2104.12199, section 4.2), and each value is told with its standard error
over pairs. Either way they add up to F(x) - F(nothing), since each order's do.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import factorial

import numpy as np

from wenlu.explanation.methods.method import Attribution, EffortConfig, Method, completeness_error
from wenlu.explanation.subject import Bools, Floats, Subject
from wenlu.explanation.units import Unit, on_grid

MOST_EXACT = 10


def attribute(subject: Subject, units: Sequence[Unit], config: EffortConfig) -> Attribution:
    players = [number for number, unit in enumerate(units) if unit.pieces]  # what is not read adds nothing
    if len(players) <= MOST_EXACT:
        found, values = exact(subject, [units[number] for number in players])
        errors, steps = None, len(values)
        difference = float(values[-1] - values[0])
    else:
        found, errors_found, difference = sampled(subject, [units[number] for number in players], config)
        steps = 2 * (config.samples // 2)
        errors = np.zeros(len(units))
        errors[players] = errors_found
    amounts = np.zeros(len(units))
    amounts[players] = on_grid(found)
    error = completeness_error(amounts, difference)
    return Attribution(amounts, errors=errors, completeness_error=error, steps=steps)


def exact(subject: Subject, players: Sequence[Unit]) -> tuple[Floats, Floats]:
    """(n,) values, and (2ⁿ,) what each subset is worth, by the number whose bits are its members."""
    count = len(players)
    subsets = np.arange(2**count)
    members = (subsets[:, None] >> np.arange(count)) & 1  # (2ⁿ, n)
    values = subject.ask(_kept(subject, players, members.astype(np.bool_))).values
    weights = np.array([factorial(size) * factorial(count - size - 1) / factorial(count) for size in range(count)])
    sizes = members.sum(axis=1)
    found = np.zeros(count)
    for player in range(count):
        lacking = subsets[members[:, player] == 0]
        found[player] = (weights[sizes[lacking]] * (values[lacking | (1 << player)] - values[lacking])).sum()
    return found, values


def sampled(subject: Subject, players: Sequence[Unit], config: EffortConfig) -> tuple[Floats, Floats, float]:
    """(n,) means over orders and their standard errors, and F(x) - F(nothing)."""
    count, dice = len(players), np.random.default_rng(config.seed)
    pairs = config.samples // 2
    means = np.zeros((pairs, count))
    difference = 0.0
    for pair in range(pairs):
        order = dice.permutation(count)
        for one in (order, order[::-1]):
            members = np.zeros((count + 1, count), np.bool_)
            for place, player in enumerate(one):
                members[place + 1 :, player] = True
            values = subject.ask(_kept(subject, players, members)).values
            difference = float(values[-1] - values[0])
            means[pair, one] += np.diff(values) / 2
    spread = means.std(axis=0, ddof=1) if pairs > 1 else np.full(count, np.inf)
    return means.mean(axis=0), spread / np.sqrt(pairs), difference


def _kept(subject: Subject, players: Sequence[Unit], members: Bools) -> Bools:
    kept = np.ones((len(members), len(subject.pieces)), np.bool_)
    for number, unit in enumerate(players):
        kept[:, list(unit.pieces)] = members[:, number, None]
    return kept


METHOD = Method("shapley", "Shapley values", "model", attribute, is_sampled=True)
