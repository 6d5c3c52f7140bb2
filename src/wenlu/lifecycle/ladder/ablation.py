"""What each group of features is worth to a linear model: fitted again without it, and compared on the same texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from wenlu.evaluation import paired_difference
from wenlu.evaluation.linear.predictor import LinearModel, fitted
from wenlu.evaluation.paired_tests import holm, randomisation
from wenlu.lifecycle.ladder.linear import LinearBench, learner_of, without


@dataclass(frozen=True)
class Ablated:
    """A group of features left out.

    Attributes:
        value: of the first metric without it. difference: what the group brings, that with it less `value`.
        p_value: of approximate randomisation, corrected for the number of groups (Holm).
        verdict: of the group: "helps", "hurts" or "not distinguishable".
    """

    model: str
    left_out: str
    features: int
    value: float
    difference: float
    low: float | None
    high: float | None
    p_value: float
    verdict: str


def ablate(name: str, strength: float, bench: LinearBench) -> list[Ablated]:
    """Each group of features left out of the learner `name` with a strength, on the held-out part."""
    learner, task, evaluate = learner_of(name, bench.task), bench.task, bench.evaluate
    features, metric = bench.prepare(), task.measures()[0]
    if len(features.groups) < 2:
        return []
    clusters = [each.cluster for each in bench.parts.test.judged]

    def columns(model: LinearModel) -> Any:
        answers = model.read(model.weights.scores(bench.seen(model, "test")))
        return task.judged(bench.parts.test.examples, answers)

    train = bench.rows_of("train")
    whole = columns(fitted(learner, task, features, train.values, train.targets, strength))
    found: list[Ablated] = []
    for group in features.groups:
        own = columns(without(bench, learner, strength, group.name))
        difference = paired_difference(
            metric,
            whole,
            own,
            clusters,
            confidence=evaluate.confidence,
            resamples=evaluate.resamples,
            seed=evaluate.seed,
        )
        chance = randomisation(metric, whole, own, clusters, seed=evaluate.seed)
        told = (metric.compute(own), difference.value, difference.low, difference.high, chance, "")
        found.append(Ablated(name, group.name, len(group.names), *told))
    return _judged(found, better=metric.better, confidence=evaluate.confidence)


def _judged(found: Sequence[Ablated], *, better: str, confidence: float) -> list[Ablated]:
    corrected = holm([each.p_value for each in found])
    judged = []
    for each, p_value in zip(found, corrected, strict=True):
        helps = (each.difference > 0) == (better == "higher")
        verdict = "not distinguishable" if p_value > 1 - confidence else "helps" if helps else "hurts"
        judged.append(replace(each, p_value=p_value, verdict=verdict))
    return judged


def read_ablation(rows: Sequence[dict[str, Any]]) -> list[Ablated]:
    return [Ablated(**row) for row in rows]


def plain_ablation(found: Sequence[Ablated]) -> list[dict[str, Any]]:
    return [asdict(each) for each in found]
