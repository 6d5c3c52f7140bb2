"""Score word vectors: agreement with people on similarity, analogies, and how much of a text they know."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import nan
from typing import Any

import numpy as np
from pydantic import PositiveInt

from wenlu.config import Config
from wenlu.evaluation.result import Evaluation, Score
from wenlu.evaluation.scoring import score
from wenlu.evaluation.settings import EvaluateConfig
from wenlu.evaluation.word_sets import find_set, read_analogies, read_pairs
from wenlu.metrics import COVERAGE, Columns
from wenlu.models.vectors import Analogy, WordPair, WordVectors
from wenlu.progress import QUIET, Progress
from wenlu.tasks import Predictor, ScoredTask, WordAnalogy, WordSimilarity

TEXT = "text"
"""The set that is no set of questions: the held-out text."""


class WordTestsConfig(Config):
    """The section `[word_tests]`: what to ask word vectors. A set is `wordsim353`, `simlex999`, `questions-words`,
    or a file in the same format."""

    similarity: tuple[str, ...] = ("wordsim353", "simlex999")
    analogies: tuple[str, ...] = ("questions-words",)
    neighbours_of: tuple[str, ...] = ()
    """Words, or sums as in "king - man + woman", whose neighbours to show."""
    neighbours: PositiveInt = 8
    """How many of them."""


@dataclass(frozen=True)
class TextWords:
    """The words of one held-out text."""

    id: str
    cluster: str
    words: Sequence[str]


@dataclass(frozen=True)
class _Asked:
    """A set of questions with what was answered; `clusters` stand together in the bootstrap."""

    name: str
    task: ScoredTask
    columns: Columns
    clusters: Sequence[str]
    ids: Sequence[str]


def evaluate_words(
    vectors: WordVectors,
    tests: WordTestsConfig,
    config: EvaluateConfig,
    *,
    held_out: Sequence[TextWords] = (),
    progress: Progress = QUIET,
) -> Evaluation:
    """Score on every set of `tests`; without an answer a question counts against coverage alone.

    Questions that share their first word (of an analogy: its first pair) are drawn together by the bootstrap.

    Args:
        config: confidence, resamples and seed of the intervals.
        held_out: texts of whose words to count those that have a vector.

    Raises DataError where a set cannot be read.
    """
    asked = []
    for name, task in [*((name, WordSimilarity()) for name in tests.similarity), *_analogies(tests)]:
        progress.start(task.name, unit="questions")
        asked.append(_ask(vectors, name, task))
        progress.finish(f"{asked[-1].name}: {int(asked[-1].columns['known'].sum()):,} of {len(asked[-1].ids):,} known")
    scores = [score for part in asked for score in _scores(part, config)]
    rows = [row for part in asked for row in _rows(part)]
    if held_out:
        columns = _known_words(vectors, held_out)
        told = {"set": TEXT, "words": "running"}
        clusters = [text.cluster for text in held_out]
        n = int(columns["asked"].sum())
        scores.append(replace(score(COVERAGE, columns, clusters, told, config), name=f"{TEXT}_coverage", n=n))
    sets = [
        {"set": part.name, "task": part.task.name, "asked": len(part.ids), "known": int(part.columns["known"].sum())}
        for part in asked
    ]
    settings = {**tests.model_dump(mode="json"), **config.model_dump(include={"confidence", "resamples", "seed"})}
    facts = {"model": "word-vectors", "words": len(vectors), "dimensions": vectors.dimensions, "sets": sets}
    return Evaluation(
        facts=facts,
        scores=tuple(scores),
        difference=None,
        settings=settings,
        rows=rows,
        task="word-vectors",
        headline=None,
    )


def _analogies(tests: WordTestsConfig) -> Iterator[tuple[str, ScoredTask]]:
    return ((name, WordAnalogy()) for name in tests.analogies)


def _ask(predictor: Predictor, name: str, task: ScoredTask) -> _Asked:
    short, path = find_set(name)
    if isinstance(task, WordAnalogy):
        questions: Sequence[WordPair | Analogy] = read_analogies(path)
    else:
        questions = read_pairs(path)
    columns = task.columns(questions, predictor.answer(questions))
    names = [_names(question) for question in questions]
    return _Asked(short, task, columns, [cluster for cluster, _ in names], [id for _, id in names])


def _names(question: WordPair | Analogy) -> tuple[str, str]:
    """The cluster and the id of a question."""
    match question:
        case WordPair():
            return question.first, f"{question.first} {question.second}"
        case Analogy():
            first = f"{question.section} {question.a} {question.b}"
            return first, f"{first} {question.c} {question.expected}"


def _scores(part: _Asked, config: EvaluateConfig) -> Iterator[Score]:
    """Each metric of the task; all but the coverage are of the questions that have an answer."""
    known = np.flatnonzero(part.columns["known"])
    answered = {name: column[known] for name, column in part.columns.items()}
    told = {"set": part.name, "case": "ignored", "unknown": "skipped"}
    for metric in part.task.metrics:
        if metric is COVERAGE:
            found = score(metric, part.columns, part.clusters, told, config)
        elif len(known):
            found = score(metric, answered, [part.clusters[i] for i in known.tolist()], told, config)
        else:
            found = Score(metric.name, nan, None, None, 0, metric.unit, metric.better, metric.sign(told))
        yield replace(found, name=f"{part.name}_{metric.name}")


def _rows(part: _Asked) -> Iterator[dict[str, Any]]:
    for i, (id, cluster) in enumerate(zip(part.ids, part.clusters, strict=True)):
        cells = {name: column[i].item() for name, column in part.columns.items()}
        yield {"id": f"{part.name}: {id}", "set": part.name, "cluster": cluster, **cells}


def _known_words(vectors: WordVectors, texts: Sequence[TextWords]) -> Columns:
    return {
        "known": np.array([sum(word in vectors for word in text.words) for text in texts], dtype=np.int64),
        "asked": np.array([len(text.words) for text in texts], dtype=np.int64),
    }
