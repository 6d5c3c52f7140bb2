"""Whether what an explanation puts first is what the model needs: comprehensiveness and sufficiency (DeYoung et al.
2020, arXiv:1911.03429, section 4), against the same of units in random order.

Of an order of units, r_k are the first k. Comprehensiveness is p(x) - p(x without r_k), sufficiency is
p(x) - p(r_k alone), p the probability of what is explained; each is averaged over k of `SHARES` of the units. A good
order has a high comprehensiveness and a low sufficiency; their difference is what is tested.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, permutations
from math import ceil, factorial

import numpy as np

from wenlu.explanation.subject import Floats, Subject
from wenlu.explanation.units import Unit

SHARES = (0.01, 0.05, 0.1, 0.2, 0.5)
"""ERASER's bins, of units, at least one."""
LEVEL = 0.05
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
    orders: random ones. percentile: share of them that the explanation's difference is above.
    p_value: (1 + random orders that are at least as good) / (1 + orders).
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
        return self.p_value <= LEVEL


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
    others = random_orders(len(players), orders, seed)
    found = removals(subject, players, [ours, *others])
    gaps = found[:, 0] - found[:, 1]
    better = int((gaps[1:] >= gaps[0] - 1e-12).sum())
    return Faithfulness(
        _against(found[:, 0]),
        _against(found[:, 1]),
        len(others),
        float((gaps[1:] < gaps[0]).mean()) if others else 0.0,
        (1 + better) / (1 + len(others)),
        1 / (1 + len(others)) <= LEVEL and factorial(min(len(players), 8)) >= 1 / LEVEL,
    )


def removals(subject: Subject, players: Sequence[Unit], orders: Sequence[Order]) -> Floats:
    """(n, 2) comprehensiveness and sufficiency of each order."""
    cuts = [max(1, ceil(share * len(players))) for share in SHARES]
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


def random_orders(count: int, orders: int, seed: int) -> list[Order]:
    if factorial(min(count, 20)) <= orders:
        return list(islice(permutations(range(count)), orders))
    dice = np.random.default_rng(seed)
    return [dice.permutation(count).tolist() for _ in range(orders)]


def _against(values: Floats) -> AgainstRandom:
    random = values[1:] if len(values) > 1 else values
    low, high = np.quantile(random, [0.025, 0.975]).tolist()
    return AgainstRandom(float(values[0]), float(random.mean()), low, high)
