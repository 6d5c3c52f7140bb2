"""What answers to labelled examples come to, whoever gave them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from wenlu.evaluation.judged import Judged
from wenlu.evaluation.kept import Kept
from wenlu.evaluation.result import Evaluation
from wenlu.evaluation.scoring import score
from wenlu.evaluation.settings import EvaluateConfig
from wenlu.evaluation.source_scores import source_scores
from wenlu.tasks import LabelledTask


def evaluation_of(
    task: LabelledTask,
    examples: Sequence[Judged],
    answers: Sequence[Any],
    config: EvaluateConfig,
    told: Mapping[str, str],
) -> Evaluation:
    """Every metric of the task with its interval, and what a comparison needs; no baseline stands beside it.

    Args:
        told: what the signature of each metric says of the system.
    """
    asked, clusters = [each.example for each in examples], [each.cluster for each in examples]
    columns = task.judged(asked, answers)
    rows = [
        {"id": each.id, "cluster": each.cluster, **each.facts, **task.told(answer)}
        for each, answer in zip(examples, answers, strict=True)
    ]
    return Evaluation(
        facts={
            "split": config.split,
            "documents": len(examples),
            "clusters": len(set(clusters)),
            "details": task.details(columns),
            "sources": source_scores(task.measures()[0], columns, clusters, [each.source for each in examples], config),
        },
        scores=tuple(score(metric, columns, clusters, told, config) for metric in task.measures()),
        difference=None,
        settings=config.model_dump(mode="json"),
        rows=rows,
        task=task.name,
        headline=task.measures()[0].name,
        baseline=None,
        kept=Kept.of(task.measures(), columns, asked, clusters, [each.id for each in examples]),
    )
