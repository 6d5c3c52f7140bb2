"""How often code that a model wrote passes the unit tests of its problems: pass@k, in a sandbox."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from wenlu.bundle import Bundle
from wenlu.corpus.parallel import available_workers
from wenlu.errors import UsageError
from wenlu.evaluation.code_tests import Problem, run_completions
from wenlu.evaluation.result import Score
from wenlu.evaluation.sandbox import Limits, Outcome
from wenlu.evaluation.scoring import score
from wenlu.evaluation.settings import EvaluateConfig
from wenlu.generation.answering import decoding_of
from wenlu.generation.settings import SamplingConfig
from wenlu.generation.text import answers
from wenlu.metrics import pass_at_k, pass_at_k_columns
from wenlu.progress import QUIET, Progress
from wenlu.tasks.code import Code
from wenlu.tasks.coding.settings import CodeExample


@dataclass(frozen=True)
class Passing:
    """What running programs showed.

    Attributes:
        scores: pass@k for each k of the settings.
        details: how many programs were run and how they ended; or why none was.
        by_id: of each problem how many programs were written, and how many passed.
    """

    scores: tuple[Score, ...]
    details: dict[str, Any]
    by_id: dict[str, dict[str, int]]


def has_tests(example: Any) -> bool:
    return isinstance(example, CodeExample) and None not in (example.unit_tests, example.entry_point)


def problem_of(example: CodeExample) -> Problem:
    """What an example with tests asks for."""
    return Problem(example.id, example.source, example.unit_tests or "", example.entry_point or "")


def evaluate_passing(
    bundle: Bundle,
    examples: Sequence[CodeExample],
    clusters: Sequence[str],
    context: int,
    config: EvaluateConfig,
    sampling: SamplingConfig,
    *,
    progress: Progress = QUIET,
) -> Passing:
    """Write programs for examples that have tests, and run them.

    Where the system does not grant the sandbox's walls nothing is run; a warning says so, and the details.
    """
    problems = [problem_of(example) for example in examples]
    limits = Limits(timeout_seconds=config.test_seconds)
    try:
        run_completions(problems[:1], [["    pass"]], limits)  # before an hour of writing
    except UsageError as error:
        progress.warn(f"pass@k is not measured: {error}")
        return Passing((), {"problems": len(problems), "skipped": str(error)}, {})
    sampling = _drawing(sampling, config)
    written = _written(bundle, examples, context, sampling, progress)
    progress.start("run tests", total=config.samples * len(problems), unit="programs")
    outcomes = run_completions(problems, written, limits, workers=available_workers())
    progress.finish(f"{config.samples * len(problems):,} programs")
    passed = [sum(outcome.passed for outcome in row) for row in outcomes]
    told = {
        "task": Code.name,
        "samples": str(config.samples),
        "decoding": decoding_of(sampling),
        "timeout": f"{config.test_seconds:g}s",
        "tok": bundle.tokenizer.fingerprint[:8],
    }
    scores = tuple(
        score(pass_at_k(k), pass_at_k_columns([config.samples] * len(problems), passed, k), clusters, told, config)
        for k in config.k
    )
    ids = (problem.id for problem in problems)
    by_id = {id: {"samples": config.samples, "passed": count} for id, count in zip(ids, passed, strict=True)}
    return Passing(scores, _details(outcomes), by_id)


def _drawing(sampling: SamplingConfig, config: EvaluateConfig) -> SamplingConfig:
    if config.samples == 1:
        return sampling.model_copy(update={"n": 1})
    return SamplingConfig(
        max_new_tokens=sampling.max_new_tokens,
        temperature=config.sample_temperature,
        top_p=0.95,  # as Chen et al. drew theirs
        n=config.samples,
        seed=sampling.seed,
        max_batch=sampling.max_batch,
        cache=sampling.cache,
    )


def _written(
    bundle: Bundle, examples: Sequence[CodeExample], context: int, sampling: SamplingConfig, progress: Progress
) -> list[list[str]]:
    task = bundle.task
    assert isinstance(task, Code), "asked of models that write code"
    bundle = replace(bundle, generation={**bundle.generation, "eos_token_id": sorted({*bundle.end_ids, task.end_id})})
    found: dict[int, list[str]] = {}
    progress.start("write programs", total=len(examples), unit="problems")
    for place, choices in answers(bundle, task.prompts(examples, context), sampling):
        if (error := next((choice.error for choice in choices if choice.error is not None), None)) is not None:
            raise UsageError(error)
        found[place] = [
            task.answered(examples[place], choice.text, choice.ids, choice.logprob).text for choice in choices
        ]
        progress.update(len(found))
    progress.finish(f"{len(examples):,} problems")
    return [found[place] for place in range(len(examples))]


def _details(outcomes: Sequence[Sequence[Outcome]]) -> dict[str, Any]:
    counts = Counter(outcome.reason for row in outcomes for outcome in row)
    return {"problems": len(outcomes), "programs": counts.total(), "ended": dict(counts.most_common())}
