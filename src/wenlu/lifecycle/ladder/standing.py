"""The rungs beside each other: which is best, which is not distinguishable from it, and which are worth their cost."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from wenlu.evaluation.comparison import Answers, Comparison, Pair, compare_answers
from wenlu.evaluation.settings import EvaluateConfig
from wenlu.lifecycle.ladder.ablation import Ablated
from wenlu.lifecycle.ladder.outcome import LeftOut, Outcome
from wenlu.lifecycle.ladder.shown import Shown
from wenlu.metrics import Metric
from wenlu.rundir import atomic

FILE = "ladder.json"


@dataclass(frozen=True)
class Standing:
    """A rung with its scores.

    Attributes:
        scores: as `evaluation.json` has them, the headline first.
        on_front: no other rung is at least as good, as fast to train, as fast to answer and as small, and better in
            one of these.
        against_best: what the pair of this rung and the best came to; None of the best, and of what has no score.
    """

    outcome: Outcome
    scores: tuple[dict[str, Any], ...]
    on_front: bool = False
    is_best: bool = False
    against_best: Pair | None = None

    @property
    def name(self) -> str:
        return self.outcome.name

    @property
    def value(self) -> float:
        found = self.scores[0]["value"]
        return math.nan if found is None else float(found)


@dataclass(frozen=True)
class Ladder:
    """What `wenlu compare RECIPE.toml` found."""

    path: Path
    standings: tuple[Standing, ...]
    left_out: tuple[LeftOut, ...]
    comparison: Comparison | None
    budget_seconds: float
    headline: str
    better: str
    split: str
    n: int
    verdict: str
    ablation: tuple[Ablated, ...] = field(default=())
    shown: tuple[Shown, ...] = field(default=())
    """What the rung that is worth its cost answers to a few of the texts."""

    @property
    def worth(self) -> Standing:
        return worth_it(self.standings)

    @property
    def best(self) -> Standing:
        return next(each for each in self.standings if each.is_best)

    def to_json(self) -> dict[str, Any]:
        """Plain data: `metrics` are the headline of each rung, `pairs` each rung and the best."""
        told = {} if self.comparison is None else self.comparison.to_json()
        told.pop("values", None)  # which stand with each rung, and of which some are no numbers
        headlines = [{**each.scores[0], "name": f"{each.name}.{self.headline}"} for each in self.standings]
        return {
            **told,
            "split": self.split,
            "n": self.n,
            "headline": self.headline,
            "better": self.better,
            "metrics": headlines,
            "pairs": told.get("pairs", []),
            "best": self.best.name,
            "worth": self.worth.name,
            "verdict": self.verdict,
            "rungs": [_told(each) for each in self.standings],
            "left_out": [asdict(each) for each in self.left_out],
            "ablation": [asdict(each) for each in self.ablation],
            "shown": [each.to_json() for each in self.shown],
            "budget_seconds": self.budget_seconds,
        }

    def save(self) -> None:
        atomic.write_text(self.path / FILE, json.dumps(self.to_json(), ensure_ascii=False, indent=2) + "\n")


def stand(
    outcomes: Sequence[Outcome], folders: Sequence[Path], metrics: tuple[Metric, ...], config: EvaluateConfig
) -> tuple[list[Standing], Comparison | None]:
    """The rungs with their scores, and the pairs of each with the best."""
    systems = [Answers.of(each.name, folder, metrics) for each, folder in zip(outcomes, folders, strict=True)]
    standings = [
        Standing(each, tuple(score for score in _scores(folder) if score["name"] in {m.name for m in metrics}))
        for each, folder in zip(outcomes, folders, strict=True)
    ]
    sign = 1 if metrics[0].better == "higher" else -1
    able = [place for place, each in enumerate(standings) if math.isfinite(each.value)]
    best = max(able, key=lambda place: (sign * standings[place].value, -outcomes[place].seconds), default=0)
    pairs = [(place, best) for place in able if place != best]
    compared = None
    if pairs:
        compared = compare_answers(
            systems, pairs, sliced=False, confidence=config.confidence, resamples=config.resamples, seed=config.seed
        )
    against = {} if compared is None else dict(zip((place for place, _ in pairs), compared.pairs, strict=True))
    front = pareto([_costs(each, sign) for each in standings])
    return [
        Standing(each.outcome, each.scores, place in front, place == best, against.get(place))
        for place, each in enumerate(standings)
    ], compared


def pareto(costs: Sequence[tuple[float, ...]]) -> set[int]:
    """The places of those that no other is as good as in everything and better than in something; less is better, and
    what is no number is worst."""
    plain = [tuple(math.inf if math.isnan(cost) else cost for cost in each) for each in costs]
    return {
        place
        for place, own in enumerate(plain)
        if not any(other != own and all(a <= b for a, b in zip(other, own, strict=True)) for other in plain)
    }


def worth_it(standings: Sequence[Standing]) -> Standing:
    """The quickest to train of the best and of those that are not distinguishable from it."""
    best = next(each for each in standings if each.is_best)
    return min([best, *_tied(standings)], key=lambda each: each.outcome.seconds)


def _tied(standings: Sequence[Standing]) -> list[Standing]:
    return [each for each in standings if each.against_best and each.against_best.verdict == "not distinguishable"]


def verdict_of(standings: Sequence[Standing], n: int, headline: str) -> str:
    """What it comes to, in one or two sentences."""
    best = next(each for each in standings if each.is_best)
    recipe = next((each for each in standings if each.name == "recipe"), None)
    others = [each for each in standings if each.against_best is not None]
    tied, cheapest = _tied(standings), worth_it(standings)
    if not others:
        said = f"The {called(best)} is the only rung that has a score."
    elif cheapest is not best:
        said = (
            f"The {called(cheapest)} is not distinguishable from the {called(best)} at n = {n:,} ({headline} "
            f"{cheapest.value:.4f} and {best.value:.4f}, p = {_p(cheapest)}), and takes {_less(cheapest, best)}."
        )
    elif tied:
        named = ", ".join(f"the {called(each)}" for each in tied)
        said = (
            f"The {called(best)} is enough: {headline} {best.value:.4f} after {duration(best.outcome.seconds)} of "
            f"training; at n = {n:,} none of {named}, which cost more, does better."
        )
    else:
        second = max(others, key=lambda each: -abs(each.value - best.value))
        said = (
            f"The {called(best)} is better than all others: {headline} {best.value:.4f} after "
            f"{duration(best.outcome.seconds)} of training, beside {second.value:.4f} of the {called(second)} after "
            f"{duration(second.outcome.seconds)} (p = {_p(second)})."
        )
    if recipe is None:
        return f"{said} The recipe's own model did not take part."
    if recipe.against_best is not None and recipe.against_best.verdict == "worse":
        said += f" The recipe's own model does worse here: {recipe.value:.4f} (p = {_p(recipe)})."
    return said


def _less(cheapest: Standing, best: Standing) -> str:
    times = [duration(each.outcome.seconds) for each in (cheapest, best)]
    return f"as long to train: {times[0]}" if times[0] == times[1] else "{} of training in place of {}".format(*times)


def _p(standing: Standing) -> str:
    assert standing.against_best is not None, "asked of what was compared"
    return f"{standing.against_best.corrected:.4f}"


def called(standing: Standing) -> str:
    """A rung as a sentence names it."""
    return "recipe's own model" if standing.name == "recipe" else standing.name.replace("-", " ")


def duration(seconds: float) -> str:
    if seconds < 0.95:
        return "under a second" if seconds < 0.5 else f"{seconds:.1f} s"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} minutes"


def _costs(standing: Standing, sign: int) -> tuple[float, ...]:
    told = standing.outcome
    return (-sign * standing.value, told.seconds, told.milliseconds_per_text, float(told.bytes))


def _scores(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))["metrics"]
    return found


def _told(standing: Standing) -> dict[str, Any]:
    outcome = standing.outcome
    return {
        "name": outcome.name,
        "what": outcome.what,
        "metrics": list(standing.scores),
        "seconds": round(outcome.seconds, 3),
        "milliseconds_per_text": round(outcome.milliseconds_per_text, 4),
        "megabytes": round(outcome.bytes / 1e6, 3),
        "on_front": standing.on_front,
        "is_best": standing.is_best,
        "against_best": None if standing.against_best is None else standing.against_best.verdict,
        "chosen": dict(outcome.chosen),
        **outcome.told,
    }
