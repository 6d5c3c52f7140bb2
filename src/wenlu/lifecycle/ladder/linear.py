"""The rungs of linear models: fitted on the training part, chosen on the validation part."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wenlu.errors import UsageError
from wenlu.evaluation import EvaluateConfig
from wenlu.evaluation.answered import evaluation_of
from wenlu.evaluation.linear.explain import strongest
from wenlu.evaluation.linear.features import Features
from wenlu.evaluation.linear.groups import Item, Sparse
from wenlu.evaluation.linear.learners import CLASSIFIERS, GRADERS, MEAN, PRIOR, Learner, Targets
from wenlu.evaluation.linear.predictor import LinearModel, LinearTask, calibrated, fitted, item_of, targets_of
from wenlu.evaluation.linear.settings import FeaturesConfig
from wenlu.evaluation.linear.stored import FOLDER, save_linear
from wenlu.lifecycle.ladder.outcome import Outcome, bytes_below
from wenlu.lifecycle.ladder.parts import Part, Parts
from wenlu.progress import Progress
from wenlu.tasks.text_classification import TextClassification

PROBED = 100
"""Training texts by which is told how long the features of all take; of fewer than twice as many nothing is asked."""
CHOOSING_SHARE = 0.15
"""Of what is left of the budget, so much may go into trying strengths; the first is always tried."""
WHAT = {
    "prior": "how often each label stands in the training part",
    "mean-score": "the mean score of the training part",
    "linear-svm": "linear support vectors",
    "logistic-regression": "logistic regression",
    "nb-svm": "support vectors over log-count ratios",
    "ridge-regression": "ridge regression",
    "bag-of-ngrams": "the mean of learnt vectors of n-grams",
}


def learner_of(name: str, task: LinearTask) -> Learner:
    own = (*CLASSIFIERS, PRIOR) if isinstance(task, TextClassification) else (*GRADERS, MEAN)
    return next(each for each in own if each.name == name)


@dataclass(frozen=True)
class Rows:
    """The features of a part, and what they are to tell."""

    values: Sparse
    targets: Targets


@dataclass
class LinearBench:
    """What the linear rungs share: features, found once."""

    parts: Parts
    config: FeaturesConfig
    evaluate: EvaluateConfig
    progress: Progress
    features: Features | None = None
    rows: dict[str, Rows] = field(default_factory=dict)

    @property
    def task(self) -> LinearTask:
        assert isinstance(self.parts.task, LinearTask), "linear rungs are of tasks that they can do"
        return self.parts.task

    def prepare(self) -> Features:
        """Raises DataError where a group of features finds nothing."""
        if self.features is None:
            self.progress.start("features", total=len(self.parts.train), unit="texts")
            self.features, values = Features.fit(self.config, _items(self.parts.train))
            targets = targets_of(self.task, self.parts.train.examples)
            self.rows["train"] = Rows(values, targets)
            self.progress.finish(f"{values.shape[1]:,}")
        return self.features

    def check_time(self, seconds: float) -> None:
        """Raise UsageError where a sample says that finding the features of all texts takes longer than so."""
        items = _items(self.parts.train)
        if self.features is not None or len(items) < 2 * PROBED:
            return
        sample = items[:: len(items) // PROBED]
        begin = time.perf_counter()
        Features.fit(self.config.model_copy(update={"fewest_texts": 1}), sample)
        took = time.perf_counter() - begin
        whole = [*items, *_items(self.parts.validation), *_items(self.parts.test)]
        expected = took * _characters(whole) / max(1, _characters(sample))
        if expected > seconds:
            raise UsageError(
                f"finding the features of all texts would take about {expected:.0f} s, and {max(0.0, seconds):.0f} s "
                'are left of compare.budget; features.characters="none" is several times faster'
            )

    def rows_of(self, name: str) -> Rows:
        features = self.prepare()
        if name not in self.rows:
            part: Part = getattr(self.parts, name)
            self.rows[name] = Rows(features.rows(_items(part)), targets_of(self.task, part.examples))
        return self.rows[name]

    def seen(self, model: LinearModel, name: str) -> Sparse:
        """The rows of a part with the features that the model has."""
        return model.features.of_whole(self.prepare(), self.rows_of(name).values)

    def value(self, model: LinearModel, name: str) -> float:
        """The first metric of the task on a part."""
        part, metric = getattr(self.parts, name), self.task.measures()[0]
        answers = model.read(model.weights.scores(self.seen(model, name)))
        return metric.compute(self.task.judged(part.examples, answers))

    def choose(self, learner: Learner, seconds: float) -> tuple[LinearModel, dict[str, Any]]:
        """The model with the strength that does best on the validation part, of those that can be tried in time."""
        features, train = self.prepare(), self.rows_of("train")
        is_higher = self.task.measures()[0].better == "higher"
        begin, best, tried = time.perf_counter(), None, {}
        for strength in learner.strengths:
            model = fitted(learner, self.task, features, train.values, train.targets, strength)
            if not len(self.parts.validation) or len(learner.strengths) == 1:
                return model, {}
            value = self.value(model, "validation")
            tried[f"{strength:g}"] = round(value, 4)
            if best is None or (value > best[0] if is_higher else value < best[0]):
                best = value, strength, model
            spent = time.perf_counter() - begin
            if spent * (len(tried) + 1) / len(tried) > seconds:
                break
        assert best is not None, "a learner has a strength"
        return best[2], {"strength": best[1], "on validation": tried}


def climb_linear(name: str, bench: LinearBench, folder: Path, seconds: float) -> Outcome:
    """Fit, choose, store and score a linear model."""
    learner = learner_of(name, bench.task)
    if name in ("prior", "mean-score"):
        return _climb_nothing(name, bench, folder)
    bench.check_time(seconds)
    bench.prepare()
    if len(bench.parts.validation):
        bench.rows_of("validation")
    begin = time.perf_counter()
    bench.progress.start(name)
    model, chosen = bench.choose(learner, CHOOSING_SHARE * seconds)
    if len(bench.parts.validation):
        model = calibrated(model, bench.seen(model, "validation"), bench.rows_of("validation").targets)
    took = time.perf_counter() - begin + sum(model.features.seconds.values())
    chosen |= {"features": {group.name: len(group.names) for group in model.features.groups}}
    chosen |= {"words": model.features.config.words}
    begin = time.perf_counter()
    answers = model.answer_items(_items(bench.parts.test))
    return _kept(name, model, bench, folder, answers, took, time.perf_counter() - begin, chosen)


def _climb_nothing(name: str, bench: LinearBench, folder: Path) -> Outcome:
    begin = time.perf_counter()
    features, targets = Features.nothing(), targets_of(bench.task, bench.parts.train.examples)
    rows = features.rows(_items(bench.parts.train))
    model = fitted(learner_of(name, bench.task), bench.task, features, rows, targets, 1.0)
    took = time.perf_counter() - begin
    begin = time.perf_counter()
    answers = model.answer_items(_items(bench.parts.test))
    return _kept(name, model, bench, folder, answers, took, time.perf_counter() - begin, {})


def _kept(
    name: str,
    model: LinearModel,
    bench: LinearBench,
    folder: Path,
    answers: list[Any],
    seconds: float,
    answering: float,
    chosen: dict[str, Any],
) -> Outcome:
    save_linear(folder / FOLDER, model)
    told = {"task": bench.task.name, "system": name, "train": f"{len(bench.parts.train)}-examples"}
    evaluation_of(model.task, bench.parts.test.judged, answers, bench.evaluate, told).save(folder)
    strong = {label: [list(pair) for pair in pairs] for label, pairs in strongest(model).items()}
    return Outcome(
        name=name,
        what=WHAT[name],
        seconds=seconds,
        milliseconds_per_text=1000 * answering / max(1, len(bench.parts.test)),
        bytes=bytes_below(folder / FOLDER),
        chosen=chosen,
        told={"strongest": strong} if strong else {},
    )


def _items(part: Part) -> list[Item]:
    return [item_of(example, columns) for example, columns in zip(part.examples, part.columns, strict=True)]


def _characters(items: Sequence[Item]) -> int:
    return sum(len(item.text) for item in items)


def without(bench: LinearBench, learner: Learner, strength: float, group: str) -> LinearModel:
    """The model that is fitted without a group of features."""
    whole, train = bench.prepare(), bench.rows_of("train")
    rest = whole.only({name for name in whole.places if name != group})
    return fitted(learner, bench.task, rest, rest.of_whole(whole, train.values), train.targets, strength)
