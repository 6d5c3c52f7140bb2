"""The teacher of a recipe, set beside its task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wenlu.bundle import load
from wenlu.compression.distill.distilled import Distilled
from wenlu.corpus.packing import Rows
from wenlu.errors import ConfigError
from wenlu.lifecycle.recipe import Recipe
from wenlu.models import LanguageModel
from wenlu.tasks import Task
from wenlu.tokenizers import Tokenizer

Prompts = tuple[Rows, Sequence[Any]] | None
"""What a student answers by itself: training rows, and the examples that their owners number."""


def distilled(
    recipe: Recipe, task: Task, student: LanguageModel, tokenizer: Tokenizer, prompts: Prompts = None
) -> Task:
    """The task with what the teacher says of it; the task itself where the recipe has no teacher.

    Raises ConfigError where the two cannot be compared; what `load` raises.
    """
    config = recipe.distill
    if config is None:
        return task
    teacher = load(config.teacher)
    if teacher.tokenizer.fingerprint != tokenizer.fingerprint:
        raise ConfigError(
            f"distill.teacher={config.teacher!r}: cuts text otherwise than the student, whose tokens it is to judge; "
            "begin with model.base of the same tokenizer, or leave model.base out to take over the teacher's"
        )
    found = Distilled(task, (teacher.task, teacher.model), config, prompts)
    found.check_student(student)
    return found
