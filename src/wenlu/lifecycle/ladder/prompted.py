"""The rungs of a language model that is prompted with examples."""

from __future__ import annotations

import time
from pathlib import Path

from wenlu.bundle import load
from wenlu.errors import UsageError
from wenlu.evaluation import EvaluateConfig
from wenlu.evaluation.answered import evaluation_of
from wenlu.evaluation.prompted import PromptedClassifier
from wenlu.lifecycle.ladder.outcome import Outcome, bytes_below
from wenlu.lifecycle.ladder.parts import Parts
from wenlu.lifecycle.recipe import Recipe
from wenlu.tasks.text_classification import TextClassification

NAME = "prompted"
PROBED = 3
"""Texts by which is told how long all would take."""


def shots_of(name: str) -> int:
    return int(name.rpartition("-")[2])


def climb_prompted(
    name: str, recipe: Recipe, parts: Parts, folder: Path, config: EvaluateConfig, seconds: float
) -> Outcome:
    """Ask and score; nothing is trained.

    Raises UsageError where it would take longer than it may.
    """
    decoder, task, count = recipe.compare.decoder, parts.task, shots_of(name)
    assert decoder is not None, "the rung is there where a language model is named"
    assert isinstance(task, TextClassification), "the rung is of texts with labels"
    bundle = load(decoder)
    asked = parts.test.examples
    predictor = PromptedClassifier.of(task, bundle, parts.train.examples, count, recipe.language, recipe.seed)
    predictor.answer(asked[:1])  # the prompt and what is common are looked at once
    begin = time.perf_counter()
    predictor.answer(asked[:PROBED])
    expected = (time.perf_counter() - begin) / min(PROBED, len(asked)) * len(asked)
    if expected > seconds:
        raise UsageError(
            f"{len(asked):,} texts would take {decoder} about {expected:.0f} s, and {max(0.0, seconds):.0f} s are left "
            "of compare.budget"
        )
    begin = time.perf_counter()
    answers = predictor.answer(asked)
    answering = time.perf_counter() - begin
    told = {"task": task.name, "system": name, "model": decoder, "tok": bundle.tokenizer.fingerprint[:8]}
    evaluation_of(task, parts.test.judged, answers, config, told).save(folder)
    path = bundle.path
    return Outcome(
        name=name,
        what=f"{decoder} prompted with {count} examples",
        seconds=0.0,
        milliseconds_per_text=1000 * answering / max(1, len(asked)),
        bytes=path.stat().st_size if path.is_file() else bytes_below(path),
        chosen={"shots": len(predictor.shots)},
    )
