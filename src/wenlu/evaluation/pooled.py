"""What several models of one recipe answered to different examples, scored as one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wenlu.evaluation.bootstrap import interval, paired_difference
from wenlu.evaluation.comparison import Answers
from wenlu.evaluation.kept import BESIDE, Kept
from wenlu.evaluation.result import Evaluation, Score
from wenlu.evaluation.settings import EvaluateConfig


def pooled(runs: Sequence[Path], config: EvaluateConfig, *, convention: str) -> Evaluation:
    """Every metric over the held-out examples of all runs; near-duplicates count as one wherever they were held out.

    Args:
        convention: added to the signature of each score.

    Raises UsageError where a run kept no answers.
    """
    answers = [Answers.read(run) for run in runs]
    told = [json.loads((run / "evaluation.json").read_text(encoding="utf-8")) for run in runs]
    first, kept = answers[0], _joined([each.kept for each in answers])
    signatures = {score["name"]: f"{score['signature']}|{convention}" for score in told[0]["metrics"]}

    def score(name: str, metric: Any, columns: Any) -> Score:
        found = interval(
            metric,
            columns,
            kept.clusters,
            confidence=config.confidence,
            resamples=config.resamples,
            seed=config.seed,
        )
        facts = (metric.unit, metric.better, signatures.get(name, f"{metric.signature}|{convention}"))
        return Score(name, found.value, found.low, found.high, len(kept.ids), *facts)

    headline = first.metrics[0]
    scores = [score(metric.name, metric, kept.columns) for metric in first.metrics]
    difference, baseline = None, None
    if all((run / BESIDE).is_file() for run in runs):
        beside = _joined([Kept.read(run, BESIDE) for run in runs])
        baseline = told[0]["baseline"]["name"]
        scores.append(score(baseline, headline, beside.columns))
        difference = paired_difference(
            headline,
            kept.columns,
            beside.columns,
            kept.clusters,
            confidence=config.confidence,
            resamples=config.resamples,
            seed=config.seed,
        )
    rows = [
        {"fold": run.name, **json.loads(line)}
        for run in runs
        for line in (run / "evaluation.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    return Evaluation(
        facts={"split": "folds", "documents": len(kept.ids), "clusters": len(set(kept.clusters))},
        scores=tuple(scores),
        difference=difference,
        settings=config.model_dump(mode="json"),
        rows=rows,
        task=first.task,
        headline=headline.name,
        baseline=baseline,
        kept=kept,
    )


def _joined(parts: Sequence[Kept]) -> Kept:
    """In the order of the examples' ids, so that it does not depend on the folds."""
    ids = [id for part in parts for id in part.ids]
    order = sorted(range(len(ids)), key=lambda place: ids[place])
    columns = {
        name: np.concatenate([np.asarray(part.columns[name]) for part in parts])[order] for name in parts[0].columns
    }
    digests = [digest for part in parts for digest in part.digests]
    clusters = [cluster for part in parts for cluster in part.clusters]
    return Kept(
        columns,
        tuple(digests[place] for place in order),
        tuple(clusters[place] for place in order),
        tuple(ids[place] for place in order),
    )
