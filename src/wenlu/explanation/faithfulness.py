"""Whether what an explanation puts first is what the model needs: comprehensiveness and sufficiency (DeYoung et al.
2020, arXiv:1911.03429, section 4), against the same of units in random order.

Of an order of units, r_k are the first k. Comprehensiveness is p(x) - p(x without r_k), sufficiency is
p(x) - p(r_k alone), p the probability of what is explained; each is averaged over k of `SHARES` of the units. A good
order has a high comprehensiveness and a low sufficiency; their difference is what is tested.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from math import ceil

import numpy as np

from wenlu.explanation.subject import Floats, Subject
from wenlu.explanation.units import Unit

SHARES = (0.01, 0.05, 0.1, 0.2, 0.5)
"""ERASER's bins, of units, at least one."""
LEVEL = 0.05
ALIKE = 1e-3
"""Of the range of all differences, within which two are the same."""
MOST_IN_ALL_ORDERS = 6
"""Units; of more there are thousands of orders."""
Order = Sequence[int]


@dataclass(frozen=True)
class AgainstRandom:
    """A mean over shares, and what random orders give: their mean and the interval that 95 % of them lie in."""

    value: float
    random_mean: float
    random_low: float
    random_high: float


@dataclass(frozen=True)
class Faithfulness:
    """Attributes:
    orders: that it is held against, random ones, or all that differ where these are fewer.
    percentile: share of them that the explanation's difference is above.
    p_value: share of orders that are better, by more than a thousandth of what all differ by; of random ones it counts
        as one itself. An order that puts the one word first that matters is as good, and no reproach.
    can_be_told: whether there are enough orders of so few units to tell the best from chance.
    """

    comprehensiveness: AgainstRandom
    sufficiency: AgainstRandom
    orders: int
    percentile: float
    p_value: float
    can_be_told: bool

    @property
    def is_faithful(self) -> bool:
        """Hardly ever is another order better, and most are worse."""
        return self.p_value <= LEVEL and self.percentile > 0.5


def faithfulness(
    subject: Subject, units: Sequence[Unit], amounts: Floats, *, orders: int, seed: int = 0
) -> Faithfulness:
    """Of the units that are read, by falling amounts.

    Args:
        orders: random ones; of so few units that there are no more, all.
    """
    read = [number for number, unit in enumerate(units) if unit.pieces]
    players = [units[number] for number in read]
    ours = np.argsort(-amounts[read], kind="stable").tolist()
    every = all_orders(len(players))
    is_whole = len(every) in range(1, orders + 1)
    others = every if is_whole else random_orders(len(players), orders, seed)
    itself = 0 if is_whole else 1  # which is among all
    found = removals(subject, players, [ours, *others])
    gaps = found[:, 0] - found[:, 1]
    margin = ALIKE * float(np.ptp(gaps))
    better = int((gaps[1:] > gaps[0] + margin).sum())
    return Faithfulness(
        _against(found[:, 0]),
        _against(found[:, 1]),
        len(others),
        float((gaps[1:] < gaps[0] - margin).mean()) if others else 0.0,
        (itself + better) / (itself + len(others)),
        1 / (itself + len(others)) <= LEVEL,
    )


def removals(subject: Subject, players: Sequence[Unit], orders: Sequence[Order]) -> Floats:
    """(n, 2) comprehensiveness and sufficiency of each order."""
    cuts = cuts_of(len(players))
    distinct = sorted(set(cuts))
    kept = np.ones((1 + 2 * len(orders) * len(distinct), len(subject.pieces)), np.bool_)
    owned = [list(unit.pieces) for unit in players]
    row = 1
    for order in orders:
        for cut in distinct:
            first = [piece for player in order[:cut] for piece in owned[player]]
            rest = [piece for player in order[cut:] for piece in owned[player]]
            kept[row, first] = False
            kept[row + 1, rest] = False
            row += 2
    chances = subject.ask(kept).chances
    falls = (chances[0] - chances[1:]).reshape(len(orders), len(distinct), 2)
    weights = np.array([cuts.count(cut) for cut in distinct]) / len(cuts)
    found: Floats = (falls * weights[:, None]).sum(axis=1)
    return found


def cuts_of(count: int) -> list[int]:
    """How many units each share is."""
    return [max(1, ceil(share * count)) for share in SHARES]


def all_orders(count: int) -> list[Order]:
    """One of each kind that the cuts tell apart; none where there are more than a few units."""
    if count > MOST_IN_ALL_ORDERS:
        return []
    kinds = {tuple(frozenset(order[:cut]) for cut in cuts_of(count)): order for order in permutations(range(count))}
    return list(kinds.values())


def random_orders(count: int, orders: int, seed: int) -> list[Order]:
    dice = np.random.default_rng(seed)
    return [dice.permutation(count).tolist() for _ in range(orders)]


def _against(values: Floats) -> AgainstRandom:
    random = values[1:] if len(values) > 1 else values
    low, high = np.quantile(random, [0.025, 0.975]).tolist()
    return AgainstRandom(float(values[0]), float(random.mean()), low, high)
