"""What `wenlu compare RECIPE.toml` does once the data are read."""

from __future__ import annotations

import json
import math

from wenlu.errors import UsageError
from wenlu.lifecycle.cache import stage_key
from wenlu.lifecycle.ladder.ablation import Ablated, ablate, plain_ablation, read_ablation
from wenlu.lifecycle.ladder.climb import CODE, Climb
from wenlu.lifecycle.ladder.outcome import LeftOut, Outcome
from wenlu.lifecycle.ladder.plot import write_pareto
from wenlu.lifecycle.ladder.shown import shown
from wenlu.lifecycle.ladder.standing import Ladder, Standing, stand, verdict_of, worth_it
from wenlu.lifecycle.life import Life
from wenlu.lifecycle.readings import log_ladder
from wenlu.rundir import atomic

ABLATION = "ablation.json"
ABLATION_SHARE = 0.1
"""Of the budget, so much is there for it even where the recipe's own model took all."""
ABLATED = ("linear-svm", "logistic-regression", "ridge-regression")


def climb(life: Life) -> Ladder:
    """Every rung of the recipe's ladder, compared; writes `ladder.json` and `pareto.svg`.

    Raises UsageError where no rung could be climbed.
    """
    ladder = Climb.begin(life)
    found = ladder.climb()
    outcomes = [each for each in found if isinstance(each, Outcome)]
    left_out = tuple(each for each in found if isinstance(each, LeftOut))
    if not outcomes:
        told = "; ".join(f"{each.name}: {each.reason}" for each in left_out) or "compare.rungs names none of the task"
        raise UsageError(f"no rung of the ladder could be climbed: {told}")
    metrics = ladder.parts.task.measures()
    standings, compared = stand(
        outcomes, [ladder.folder(each.name) for each in outcomes], metrics, ladder.bench.evaluate
    )
    headline, n, split = metrics[0], len(ladder.parts.test), ladder.bench.evaluate.split
    worth = worth_it(standings)
    if split == "test":
        log_ladder(
            life.root,
            [each.name for each in standings],
            headline.name,
            worth.value if math.isfinite(worth.value) else None,
        )
    result = Ladder(
        path=life.out,
        standings=tuple(standings),
        left_out=left_out,
        comparison=compared,
        budget_seconds=life.recipe.compare.budget.amount,
        headline=headline.name,
        better=headline.better,
        split=split,
        n=n,
        verdict=verdict_of(standings, n, headline.name),
        ablation=tuple(_ablation(ladder, standings)),
        shown=shown(life.root, split, ladder.folder(worth.name), life.recipe.seed),
    )
    result.save()
    write_pareto(life.out, standings, headline.name)
    return result


def _ablation(ladder: Climb, standings: list[Standing]) -> list[Ablated]:
    """Of the linear model that does best on the validation part."""
    life = ladder.life
    linear = [each for each in standings if each.name in ABLATED]
    if not life.recipe.compare.ablation or not linear:
        return []
    chosen = max(linear, key=_on_validation)
    strength = chosen.outcome.chosen.get("strength", 1.0)
    key = stage_key([life.recipe.features], code=CODE, inputs=[life.key("examples"), chosen.name, str(strength)])
    path = life.out / ABLATION
    if not (life.cache.is_done("ablation", key) and path.is_file()):
        spare = max(ladder.left(), ABLATION_SHARE * life.recipe.compare.budget.amount)
        if spare < len(ladder.bench.prepare().groups) * ladder.slowest / 2:
            life.progress.warn("compare.budget is used up, so no group of features was left out to see what it brings")
            return []
        with life.working("ablation", key):
            found = plain_ablation(ablate(chosen.name, strength, ladder.bench))
            atomic.write_text(path, json.dumps(found, ensure_ascii=False, indent=2) + "\n")
    return read_ablation(json.loads(path.read_text(encoding="utf-8")))


def _on_validation(standing: Standing) -> float:
    tried = standing.outcome.chosen.get("on validation", {})
    return max(tried.values(), default=0.0)
