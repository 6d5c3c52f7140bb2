"""What a task gains or loses by sharing a model with others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from wenlu.bundle import Bundle
from wenlu.evaluation.bootstrap import Difference, paired_difference
from wenlu.evaluation.judged import Judged
from wenlu.evaluation.labelled import context_of
from wenlu.evaluation.reading import as_it_answers
from wenlu.evaluation.settings import EvaluateConfig
from wenlu.generation.answering import answers_to
from wenlu.progress import QUIET, Progress
from wenlu.tasks import LabelledTask

Effect = Literal["positive", "negative", "not distinguishable"]
_EFFECTS: dict[str, Effect] = {"better": "positive", "worse": "negative", "undecided": "not distinguishable"}


@dataclass(frozen=True)
class Transfer:
    """A member's first metric, of the model that was trained for it alone and of the one that all share.

    Attributes:
        steps: of each of the two that were the member's own.
        n: examples.
        difference: together minus alone, paired by example. effect: whether its interval leaves out 0, and on which
            side.
    """

    member: str
    task: str
    steps: int
    metric: str
    unit: str
    better: str
    n: int
    alone: float
    together: float
    difference: Difference
    effect: Effect

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def transfer(
    member: str,
    together: Bundle,
    alone: Bundle,
    examples: Sequence[Judged],
    config: EvaluateConfig,
    *,
    steps: int,
    progress: Progress = QUIET,
) -> Transfer:
    """Ask both models the same examples, and compare what they answer by the task's first metric."""
    asked = [each.example for each in examples]
    columns = []
    for bundle in (together, alone):
        own = replace(bundle, model=as_it_answers(bundle.model, config))
        assert isinstance(own.task, LabelledTask), f"{own.path} was trained for a labelled task"
        answers = answers_to(own, asked, context_of(bundle, config), progress=progress)
        columns.append(own.task.judged(asked, answers))
    assert isinstance(together.task, LabelledTask), f"{together.path} was trained for a labelled task"
    metric = together.task.measures()[0]
    difference = paired_difference(
        metric,
        columns[0],
        columns[1],
        [each.cluster for each in examples],
        confidence=config.confidence,
        resamples=config.resamples,
        seed=config.seed,
    )
    return Transfer(
        member=member,
        task=together.task.name,
        steps=steps,
        metric=metric.name,
        unit=metric.unit,
        better=metric.better,
        n=len(examples),
        alone=metric.compute(columns[1]),
        together=metric.compute(columns[0]),
        difference=difference,
        effect=_EFFECTS[difference.verdict],
    )
