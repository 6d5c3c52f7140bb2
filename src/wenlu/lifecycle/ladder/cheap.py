"""The rungs of tasks that no linear model of whole texts does: taggers by word, and each other task's baseline."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from wenlu.evaluation import EvaluateConfig
from wenlu.evaluation.answered import evaluation_of
from wenlu.evaluation.baselines import BASELINES
from wenlu.evaluation.linear.tagger import fit as fit_window
from wenlu.lifecycle.ladder.outcome import Outcome
from wenlu.lifecycle.ladder.parts import Parts
from wenlu.progress import Progress
from wenlu.tasks import Predictor

WHAT = {
    "window": "a linear model of each word and its neighbours",
    "commonest-tags": "the tag that each word had most often",
}


def climb_cheap(name: str, parts: Parts, folder: Path, config: EvaluateConfig, progress: Progress) -> Outcome:
    """Fit and score; nothing but the answers is kept."""
    system, fit = _fit_of(name, parts.task.name)
    progress.start(system, total=len(parts.train), unit="examples")
    begin = time.perf_counter()
    predictor = fit(parts.task, parts.train.examples)
    took = time.perf_counter() - begin
    begin = time.perf_counter()
    answers = predictor.answer(parts.test.examples)
    answering = time.perf_counter() - begin
    progress.finish(f"{len(parts.train):,} examples")
    told = {"task": parts.task.name, "system": system, "train": f"{len(parts.train)}-examples"}
    evaluation_of(parts.task, parts.test.judged, answers, config, told).save(folder)
    what = WHAT.get(name, system.replace("-", " "))
    return Outcome(name, what, took, 1000 * answering / max(1, len(parts.test)), 0)


def _fit_of(name: str, task: str) -> tuple[str, Callable[[Any, Sequence[Any]], Predictor]]:
    return ("linear-window", fit_window) if name == "window" else BASELINES[task]
