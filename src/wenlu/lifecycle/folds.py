"""Cross-validation of a recipe: every fold is a whole life from its own training part, the test part stays unread."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from wenlu.corpus.collect import hash64
from wenlu.corpus.folds import Pool, divisions, pool_of
from wenlu.corpus.parts import write_parts
from wenlu.corpus.prepare import read_split, splits
from wenlu.corpus.record import Record
from wenlu.corpus.shingles import I64
from wenlu.corpus.statistics import DataSummary
from wenlu.errors import DataError, UsageError
from wenlu.evaluation import Evaluation
from wenlu.evaluation.comparison import FOLDS
from wenlu.evaluation.pooled import pooled
from wenlu.lifecycle.cache import stage_key
from wenlu.lifecycle.examples import read_examples
from wenlu.lifecycle.fold_settings import FoldsConfig
from wenlu.lifecycle.learning_curve import write_curve
from wenlu.lifecycle.life import Life
from wenlu.lifecycle.recipe import Recipe
from wenlu.lifecycle.stages import (
    data_stage,
    evaluate_stage,
    examples_stage,
    tokenizer_stage,
    tokens_stage,
    train_stage,
)
from wenlu.progress import Named
from wenlu.tasks import LabelledConfig
from wenlu.tasks.labelled.task import value_of

_POOL = ("train", "validation")
_FITTED = ("class_weights",)
"""What `learnt` fits to counts, and each fold has to fit to its own."""

Candidates = Sequence[tuple[dict[str, Any], Recipe]]
"""Settings to choose among, and the recipe with each."""


@dataclass(frozen=True)
class FoldRow:
    """One fold: what it chose, and what its model reached on the part that it was kept from."""

    seed: int
    fold: int
    fraction: float
    trained_on: int
    n: int
    value: float
    baseline: float | None
    seconds: float
    chosen: dict[str, Any]


def cross_validate(life: Life, config: FoldsConfig, candidates: Candidates = ()) -> Evaluation:
    """Train and score each fold below `life.out/folds`; what is there already is not done again.

    Returns the scores over the held-out examples of all folds; the facts have a row a fold, the standard deviation over
    folds, and with several `fractions` the learning curve, which `curve.svg` draws.

    Args:
        candidates: what `config.choose` stands for.

    Raises:
        UsageError: the recipe is none of a single model.
        DataError: too few records, or a missing column.
    """
    recipe = life.recipe
    for section in ("members", "architectures", "vectors"):
        if getattr(recipe, section):
            raise UsageError(f"folds: recipes with the section [{section}] train no single model; remove one of them")
    life = data_stage(life)
    records = [
        record for part in _POOL if part in splits(life.out / "data") for record in read_split(life.out / "data", part)
    ]
    if isinstance(recipe.task, LabelledConfig):
        recipe = recipe.model_copy(update={"task": _named(life)})
    work = _Work(life, config, records, _pool(recipe, records, stratify=config.stratify), candidates)
    found, points = list[FoldRow](), list[dict[str, Any]]()
    evaluation = None
    for fraction in config.fractions:
        rows = [
            row
            for seed in range(recipe.seed, recipe.seed + config.seeds)
            for row in work.folds(recipe, life.out / FOLDS, np.arange(len(records)), seed, fraction)
        ]
        runs = [life.out / FOLDS / _name(row.seed, row.fold, row.fraction) for row in rows]
        convention = f"folds:{config.count}x{config.seeds}|by:{recipe.own_data.split_by}"
        evaluation = pooled(runs, recipe.task_evaluate, convention=convention)
        head = evaluation.score(evaluation.headline)
        assert head is not None, "pooled answers have a headline"
        size = statistics.mean(row.trained_on for row in rows)
        points.append({"fraction": fraction, "trained_on": size, **asdict(head)})
        found += rows
    assert evaluation is not None, "there is one fraction at least"
    told = {
        "folds": [asdict(row) for row in found],
        "spread": statistics.stdev([row.value for row in rows]) if len(rows) > 1 else None,
        **({"curve": write_curve(life.out, points)} if len(points) > 1 else {}),
    }
    return replace(evaluation, facts={**evaluation.facts, **told})


@dataclass(frozen=True)
class _Work:
    """The records of all folds, and how they are divided."""

    life: Life
    config: FoldsConfig
    records: Sequence[Record]
    pool: Pool
    candidates: Candidates

    def folds(self, recipe: Recipe, root: Path, numbers: I64, seed: int, fraction: float) -> Iterator[FoldRow]:
        """Each fold of the records with these numbers, as a run below `root`."""
        for fold, (left, held) in enumerate(self._divided(numbers, self.config.count, seed)):
            if fold == (self.config.take or self.config.count):
                break
            name = _name(seed, fold, fraction)
            chosen, best = self._chosen(recipe, root / f"{name}-choice", left, seed)
            yield self._trained(best, root / name, left, held, (seed, fold, fraction), chosen)

    def _chosen(self, recipe: Recipe, root: Path, left: I64, seed: int) -> tuple[dict[str, Any], Recipe]:
        """Of the candidates the one whose folds within the training part did best; nothing else was looked at."""
        if not self.candidates:
            return {}, recipe
        tried = []
        for number, (settings, candidate) in enumerate(self.candidates):
            folder = root / str(number)
            own = candidate.model_copy(update={"task": recipe.task})
            for fold, (inner, held) in enumerate(self._divided(left, self.config.inner, seed)):
                self._trained(own, folder / str(fold), inner, held, (seed, fold, 1.0), settings)
            runs = [folder / str(fold) for fold in range(self.config.inner)]
            found = pooled(runs, recipe.task_evaluate, convention="inner")
            head = found.score(found.headline)
            assert head is not None, "pooled answers have a headline"
            tried.append((head.value if head.better == "higher" else -head.value, -number, settings, own))
        _, _, settings, own = max(tried, key=lambda one: one[:2])
        return settings, own

    def _divided(self, numbers: I64, count: int, seed: int) -> Iterator[tuple[I64, I64]]:
        by = self.life.recipe.own_data.split_by
        for left, held in divisions(self.pool.part(numbers), count, by, seed):
            yield numbers[left], numbers[held]

    def _trained(
        self, recipe: Recipe, out: Path, left: I64, held: I64, told: tuple[int, int, float], chosen: dict[str, Any]
    ) -> FoldRow:
        """One life from the records `left` to scores on those `held`."""
        seed, fold, fraction = told
        parts = self._parts(recipe, left, held, seed, fraction)
        recipe = recipe.model_copy(update={"seed": seed, "folds": None})
        content = [hash64(f"{name} {record.id} {record.text}") for name, part in parts.items() for record in part]
        key = stage_key([], code=(), inputs=[self.life.key("data"), str(content)])
        progress = Named(f"fold {fold + 1}", self.life.progress)
        with Life.begin(recipe, out, self.life.origin, progress) as one:
            if not one.cache.is_done("data", key):
                with one.working("data", key):
                    note = f"fold {fold} of {self.config.count}, seed {seed}: the test part here is of that fold"
                    write_parts(out / "data", parts, DataSummary.open(self.life.out / "data"), note)
            one = tokenizer_stage(one.with_key("data", key))
            one = examples_stage(one) if recipe.has_examples else tokens_stage(one)
            evaluate_stage(train_stage(one))
            evaluation = json.loads((out / "evaluation.json").read_text(encoding="utf-8"))
            seconds = sum(one.cache.seconds().values())
        baseline = (evaluation["baseline"] or {}).get("value")
        value = evaluation["headline"]["value"]
        return FoldRow(seed, fold, fraction, len(parts["train"]), len(held), value, baseline, seconds, chosen)

    def _parts(self, recipe: Recipe, left: I64, held: I64, seed: int, fraction: float) -> Mapping[str, list[Record]]:
        """What is left as training and validation parts, in the recipe's proportion, and what is held out as test."""
        share = _validation_share(recipe, self.records, self.life)
        train, validation = left, left[:0]
        if share:
            *_, (train, validation) = self._divided(left, max(2, round(1 / share)), seed)
        if fraction < 1:
            units = self.pool.units[train]
            place = {unit: hash64(f"{seed} {unit}") / 2**64 for unit in np.unique(units).tolist()}
            train = train[np.array([place[unit] < fraction for unit in units.tolist()], bool)]
            if not len(train):
                raise DataError(f"folds.fractions: {fraction:g} of {len(left)} records is none; take a larger one")
        chosen = {"train": train, "validation": validation, "test": held}
        return {name: [self.records[i] for i in part.tolist()] for name, part in chosen.items() if len(part)}


def candidates_of(config: FoldsConfig) -> list[dict[str, Any]]:
    """Each combination of the values in `choose`."""
    return [dict(zip(config.choose, values, strict=True)) for values in product(*config.choose.values())]


def _validation_share(recipe: Recipe, records: Sequence[Record], life: Life) -> float:
    if isinstance(recipe.own_data.validation, float):
        return recipe.own_data.validation
    there = splits(life.out / "data")
    return sum(1 for _ in read_split(life.out / "data", "validation")) / len(records) if "validation" in there else 0.0


def _named(life: Life) -> LabelledConfig:
    """The task with the names of its labels, so that folds number them alike; all else is learnt in each fold."""
    task = life.recipe.task
    assert isinstance(task, LabelledConfig), "only labelled tasks have labels"
    there = [part for part in _POOL if part in splits(life.out / "data")]
    learnt = task.learnt([example for part in there for example in read_examples(life.out, part, task)])
    return learnt.model_copy(update={name: getattr(task, name) for name in _FITTED if hasattr(task, name)})


def _pool(recipe: Recipe, records: Sequence[Record], *, stratify: bool) -> Pool:
    data, task = recipe.own_data, recipe.task
    labels = None
    if stratify and isinstance(task, LabelledConfig):
        answer = next((role.name for role in task.roles if role.is_answer), None)
        labels = None if answer is None else [value_of(record, answer, task) or "" for record in records]
    return pool_of(records, data.split_by, labels=labels, group=data.group, time=data.time)


def _name(seed: int, fold: int, fraction: float) -> str:
    return f"seed-{seed}-fold-{fold}" + ("" if fraction == 1 else f"-of-{fraction:g}")
