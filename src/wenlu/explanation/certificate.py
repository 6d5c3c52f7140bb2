"""What an explanation is worth, and the verdict: valid, unconverged or unfaithful."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np

from wenlu.explanation.faithfulness import Faithfulness, faithfulness
from wenlu.explanation.methods import COMPLETE, Attribution, EffortConfig, Method
from wenlu.explanation.reasons import Reason
from wenlu.explanation.subject import Floats, Subject
from wenlu.explanation.units import Unit

Verdict = Literal["valid", "unconverged", "unfaithful"]
INDEPENDENT = 0.3
"""Rank correlation with explanations of shuffled weights from which on an explanation says little of the model (Adebayo
et al. 2018, arXiv:1810.03292)."""
STEADY = 0.5
"""Rank correlation between seeds below which more has to be sampled."""


@dataclass(frozen=True)
class Certificate:
    """Attributes:
    value, base: the number of the whole text, and of nothing but the baseline.
    completeness_error: as `Attribution`. steps: nodes or orders of the method.
    randomisation: mean Spearman correlation with the amounts of the same model after its weights were shuffled.
    stability: the least Spearman correlation between seeds; None: the method draws nothing.
    reasons: why the verdict is not "valid", or what else to mind.
    """

    verdict: Verdict
    reasons: tuple[Reason, ...]
    method: str
    baseline: str
    unit: str
    value: float
    base: float
    completeness_error: float | None
    steps: int | None
    faithfulness: Faithfulness
    randomisation: float | None
    randomisations: int
    stability: float | None
    seed: int
    model: str
    tokenizer: str | None


def certified(
    subject: Subject,
    units: Sequence[Unit],
    method: Method,
    found: Attribution,
    effort: EffortConfig,
    *,
    unit: str,
    orders: int,
    randomisations: int,
) -> Certificate:
    ends = np.zeros((2, len(subject.pieces)), np.bool_)
    ends[1] = True
    base, value = subject.ask(ends).values.tolist()
    faithful = faithfulness(subject, units, found.amounts, orders=orders, seed=effort.seed)
    read = np.array([bool(unit.pieces) for unit in units])

    spent = effort.model_copy(update={"max_steps": found.steps or effort.max_steps})

    def again(where: Subject, seed: int) -> Floats:
        amounts: Floats = method.attribute(where, units, spent.model_copy(update={"seed": seed})).amounts[read]
        return amounts

    own = found.amounts[read]
    shuffled = [
        rank_correlation(own, again(subject.randomised(seed), effort.seed))
        for seed in range(randomisations if is_complete(found) else 0)  # else the verdict stands already
    ]
    randomisation = float(np.mean(shuffled)) if shuffled else None
    stability = _stability(again, own, subject, effort.seed) if method.is_sampled and found.errors is not None else None
    verdict, reasons = judged(found, faithful, randomisation, stability, int(read.sum()))
    return Certificate(
        verdict=verdict,
        reasons=reasons,
        method=method.name,
        baseline=subject.removal,
        unit=unit,
        value=value,
        base=base,
        completeness_error=found.completeness_error,
        steps=found.steps,
        faithfulness=faithful,
        randomisation=randomisation,
        randomisations=len(shuffled),
        stability=stability,
        seed=effort.seed,
        model=subject.model_digest,
        tokenizer=subject.tokenizer_digest,
    )


def judged(
    found: Attribution, faithful: Faithfulness, randomisation: float | None, stability: float | None, units: int
) -> tuple[Verdict, tuple[Reason, ...]]:
    """What did not converge is not asked whether it is faithful."""
    unsteady, unfaithful = [], []
    if not is_complete(found):
        assert found.completeness_error is not None, "what promises no sum misses none"
        unsteady.append(Reason("incomplete", {"percent": 100 * found.completeness_error}))
    if stability is not None and stability < STEADY:
        unsteady.append(Reason("unsteady", {"correlation": stability}))
    if not faithful.can_be_told:
        unfaithful.append(Reason("untold", {"units": units, "orders": faithful.orders}))
    elif not faithful.is_faithful:
        unfaithful.append(Reason("chance", {"p_value": faithful.p_value}))
    if randomisation is not None and randomisation >= INDEPENDENT:
        unfaithful.append(Reason("independent", {"correlation": randomisation}))
    if unsteady:
        return "unconverged", (*unsteady, *unfaithful)
    return ("unfaithful" if unfaithful else "valid"), tuple(unfaithful)


def is_complete(found: Attribution) -> bool:
    return found.completeness_error is None or found.completeness_error < COMPLETE


def rank_correlation(a: Floats, b: Floats) -> float:
    """Spearman's; 0 where either is all the same."""
    ranks = [_ranks(values) for values in (a, b)]
    spread = [values - values.mean() for values in ranks]
    size = float(np.sqrt((spread[0] ** 2).sum() * (spread[1] ** 2).sum()))
    return float((spread[0] * spread[1]).sum() / size) if size else 0.0


def _ranks(values: Floats) -> Floats:
    """Those of equal values are their mean."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = counts.cumsum()
    found: Floats = (ends - (counts - 1) / 2)[inverse]
    return found


def _stability(again: Callable[[Subject, int], Floats], own: Floats, subject: Subject, seed: int) -> float:
    others = [own, again(subject, seed + 1), again(subject, seed + 2)]
    return min(rank_correlation(a, b) for a, b in combinations(others, 2))
