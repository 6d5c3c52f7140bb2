"""What else is measured of a model of code: the lines it fills in, and the unit tests its programs pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from wenlu.bundle import Bundle
from wenlu.evaluation.gaps import evaluate_gaps
from wenlu.evaluation.passing import Passing, evaluate_passing, has_tests
from wenlu.evaluation.settings import EvaluateConfig
from wenlu.generation.settings import SamplingConfig
from wenlu.progress import QUIET, Progress
from wenlu.tasks import Code


def score_code(
    bundle: Bundle,
    examples: Sequence[Any],
    clusters: Sequence[str],
    context: int,
    config: EvaluateConfig,
    sampling: SamplingConfig,
    *,
    progress: Progress = QUIET,
) -> Passing:
    """Scores of gaps in functions, and of programs for those examples that have tests; nothing for other tasks."""
    if not isinstance(bundle.task, Code):
        return Passing((), {}, {})
    pairs = list(zip(examples, clusters, strict=True))
    whole = [(example, cluster) for example, cluster in pairs if example.suffix is None]
    tested = [(example, cluster) for example, cluster in pairs if has_tests(example)]
    gaps = evaluate_gaps(bundle, *_apart(whole), context, config, sampling, progress=progress)
    if not tested:
        return Passing(gaps, {}, {})
    passing = evaluate_passing(bundle, *_apart(tested), context, config, sampling, progress=progress)
    return replace(passing, scores=(*gaps, *passing.scores), details={"unit_tests": passing.details})


def _apart(pairs: Sequence[tuple[Any, str]]) -> tuple[list[Any], list[str]]:
    return [example for example, _ in pairs], [cluster for _, cluster in pairs]
