"""Make a model's confidence mean what it says: the temperature and the threshold that its validation part tells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from wenlu.evaluation.calibration import fit_label_temperature, fit_temperature, threshold_for_precision
from wenlu.models import LanguageModel
from wenlu.progress import QUIET, Progress
from wenlu.tasks import LabelledTask
from wenlu.tasks.labelled import ReadingTask

FEWEST = 20
"""Examples of the validation part; fewer say little of confidence."""


def calibrated(
    task: LabelledTask, model: LanguageModel, examples: Sequence[Any], context: int, progress: Progress = QUIET
) -> LabelledTask:
    """The task with the temperature and settings of its own that are `tuned`, and with the threshold of
    `target_precision` where one is asked for.

    The temperature changes no answer, and the last threshold but withholds some. A task that writes stays as it was,
    and so does one with fewer than FEWEST examples.
    """
    if not isinstance(task, ReadingTask) or len(examples) < FEWEST:
        return task
    found = task.uncalibrated(model, examples, context)
    if found is not None:
        logits, gold = found
        fit = fit_temperature if gold.ndim == 1 else fit_label_temperature
        task = task.with_settings(temperature=round(fit(logits, gold), 4))
    if own := task.tuned(model, examples, context):
        task = task.with_settings(**own)
    target = task.config.target_precision
    if target is None:
        return task
    answers = task.answer(model, examples, context)
    confidence = np.array([task.told(answer).get("probability", np.nan) for answer in answers], float)
    correct = task.judged(examples, answers).get("correct")
    if correct is None or np.isnan(confidence).any():
        progress.warn(f"task.target_precision: {task.name} says of no answer how sure it is; nothing is withheld")
        return task
    threshold = threshold_for_precision(confidence, correct, target)
    if threshold is None:
        progress.warn(
            f"task.target_precision = {target:g}: no confidence reaches it on the validation part, where "
            f"{float(correct.mean()):.3f} are right; nothing is withheld"
        )
        return task
    progress.start("confidence")
    progress.finish(
        f"answers under a probability of {threshold.value:.3f} are withheld: on the validation part "
        f"{threshold.precision:.3f} of the others are right, and {threshold.coverage:.1%} are answered"
    )
    return task.with_settings(abstain_below=threshold.value)
