"""What scores owe to pictures: the same model blind, and shown the pictures of other examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from wenlu.bundle import Bundle
from wenlu.evaluation.judged import Judged
from wenlu.evaluation.result import Score
from wenlu.evaluation.scoring import score
from wenlu.evaluation.settings import EvaluateConfig
from wenlu.generation import SamplingConfig
from wenlu.generation.answering import answers_to
from wenlu.progress import QUIET, Progress
from wenlu.tasks import PicturedTask
from wenlu.tasks.pictured.task import shuffled
from wenlu.tasks.pictured.writing import PicturedWritingTask

CONTROLS = ("blind", "shuffled")
"""What stands before the name of a score."""


def control_scores(
    bundle: Bundle,
    task: PicturedTask,
    examples: Sequence[Judged],
    context: int,
    config: EvaluateConfig,
    told: Mapping[str, str],
    *,
    sampling: SamplingConfig | None = None,
    progress: Progress = QUIET,
) -> tuple[Score, ...]:
    """Every metric of the task's answers where all pictures are zeros (`blind_…`), and where each example has the
    picture of another one (`shuffled_…`). A model that looks does much worse so."""
    if isinstance(task, PicturedWritingTask):
        drawn = task.drawn(examples, None if config.generated == "all" else config.generated, config.seed)
        examples = [given.example for given in drawn]
    asked, clusters = [each.example for each in examples], [each.cluster for each in examples]
    blind = task.with_sight(replace(task.seeing, is_blind=True))
    ways: tuple[tuple[PicturedTask, Sequence[Any]], ...] = ((blind, asked), (task, shuffled(asked, config.seed)))
    found: list[Score] = []
    for name, (other, shown) in zip(CONTROLS, ways, strict=True):
        answers = answers_to(replace(bundle, task=other), shown, context, sampling, progress=progress)
        columns = task.judged(asked, answers)
        conventions = {**told, "pictures": name}
        found += [
            score(metric, columns, clusters, conventions, config, name=f"{name}_{metric.name}")
            for metric in task.measures()
        ]
    return tuple(found)
