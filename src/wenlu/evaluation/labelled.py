"""Evaluate answers to labelled examples: every metric of the task with its interval, beside a cheap baseline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from wenlu.bundle import Bundle
from wenlu.errors import DataError
from wenlu.evaluation.answered import evaluation_of
from wenlu.evaluation.baselines import fit_baseline
from wenlu.evaluation.bootstrap import paired_difference
from wenlu.evaluation.code_scores import score_code
from wenlu.evaluation.controls import control_scores
from wenlu.evaluation.judged import Judged
from wenlu.evaluation.kept import Kept
from wenlu.evaluation.reading import as_it_answers, dtype_of
from wenlu.evaluation.result import Evaluation
from wenlu.evaluation.scoring import score
from wenlu.evaluation.settings import EvaluateConfig
from wenlu.evaluation.source_scores import source_scores
from wenlu.evaluation.written import LIKELIHOOD, evaluate_written
from wenlu.generation.answering import answers_to, decoding_of, sampling_of
from wenlu.generation.settings import SamplingConfig
from wenlu.progress import QUIET, Progress
from wenlu.tasks import GenerativeTask, LabelledTask, PicturedTask, Preference, Reward
from wenlu.tasks.pictured.writing import PicturedWritingTask

LONGEST = 512


def evaluate_answers(
    bundle: Bundle,
    task: LabelledTask,
    examples: Sequence[Judged],
    config: EvaluateConfig,
    *,
    training: Sequence[Any] = (),
    sampling: SamplingConfig | None = None,
    progress: Progress = QUIET,
) -> Evaluation:
    """Score the model's answers, and those of a baseline that is fitted to `training` examples where there are any.

    The difference is of the first metric, paired by example.

    Args:
        sampling: how a task that writes does so; by default as generation_config.json says.

    Raises DataError where there are no examples, or one says no answer.
    """
    if not examples:
        raise DataError(f"the {config.split} split has no examples; hold out more, or give some with data.test=FILE")
    model = as_it_answers(bundle.model, config)
    context = context_of(bundle, config)
    config = config.model_copy(update={"dtype": dtype_of(model), "context": context})
    examples = _with_room(task, examples, context, progress)
    asked = [each.example for each in examples]
    clusters, ids = [each.cluster for each in examples], [each.id for each in examples]
    bundle, tok = replace(bundle, model=model, task=task), bundle.tokenizer.fingerprint[:8]
    if isinstance(task, GenerativeTask):
        sampling = sampling or sampling_of(bundle)
        found = evaluate_written(
            bundle, task, ids, asked, clusters, config, training=training, sampling=sampling, progress=progress
        )
        if isinstance(task, PicturedWritingTask):
            told = {"task": task.name, "ctx": str(context), "dtype": config.dtype, "tok": tok, "nrefs": "1"}
            told["decoding"] = decoding_of(sampling)
            controls = control_scores(
                bundle, task, examples, context, config, told, sampling=sampling, progress=progress
            )
            found = replace(found, scores=(*found.scores, *controls))
        more = score_code(bundle, asked, clusters, context, config, sampling, progress=progress)
        return replace(
            found,
            facts={
                **found.facts,
                "details": {**found.facts["details"], **more.details},
                "sources": _written_sources(task, found, examples, config),
            },
            scores=(*found.scores, *more.scores),
            rows=[
                {**row, **each.facts, **more.by_id.get(each.id, {})}
                for row, each in zip(found.rows, examples, strict=True)
            ],
        )
    answers = answers_to(bundle, asked, context, progress=progress)
    told = {"task": task.name, "ctx": str(context), "dtype": config.dtype, "tok": tok}
    found = evaluation_of(task, examples, answers, config, told)
    if isinstance(task, PicturedTask):
        controls = control_scores(bundle, task, examples, context, config, told, progress=progress)
        found = replace(found, scores=(*found.scores, *controls))
    fitted = fit_baseline(task, training, progress) if config.baseline and training else None
    if fitted is None:
        return found
    headline = task.measures()[0]
    others = task.judged(asked, fitted.predictor.answer(asked))
    facts = {"task": task.name, "system": fitted.name, "train": f"{len(training)}-examples"}
    beside = score(headline, others, clusters, facts, config, name=f"baseline_{headline.name}")
    assert found.kept is not None, "answers to examples are kept"
    difference = paired_difference(
        headline,
        found.kept.columns,
        others,
        clusters,
        confidence=config.confidence,
        resamples=config.resamples,
        seed=config.seed,
    )
    kept = Kept.of((headline,), others, asked, clusters, ids)
    scores = (*found.scores, beside)
    return replace(found, scores=scores, difference=difference, baseline=beside.name, kept_beside=kept)


def _written_sources(
    task: GenerativeTask, found: Evaluation, examples: Sequence[Judged], config: EvaluateConfig
) -> list[dict[str, Any]]:
    """Of those that were answered in writing, by the main score."""
    metric = next((each for each in (*LIKELIHOOD, *task.measures()) if each.name == found.headline), None)
    if metric is None or found.kept is None or any(name not in found.kept.columns for name in metric.needs):
        return []
    sources, kept = {each.id: each.source for each in examples}, found.kept
    return source_scores(metric, kept.columns, kept.clusters, [sources[id] for id in kept.ids], config)


def _with_room(task: LabelledTask, examples: Sequence[Judged], context: int, progress: Progress) -> Sequence[Judged]:
    """Of pairs those whose answers have room behind their prompt, as in training; a warning counts the others."""
    if not isinstance(task, Preference | Reward):
        return examples
    rows = task.rows([each.example for each in examples], context)
    kept = [examples[place] for place in sorted({*rows.owners.tolist()})]
    if len(kept) < len(examples):
        progress.warn(
            f"{len(examples) - len(kept):,} of {len(examples):,} pairs are left out: an answer has no room behind its "
            f"prompt in {context:,} tokens; raise context"
        )
    return kept


def context_of(bundle: Bundle, config: EvaluateConfig) -> int:
    """What the settings say, else the task, else what the model reads at once, at most LONGEST."""
    if config.context != "auto":
        return config.context
    if isinstance(bundle.task, LabelledTask) and bundle.task.config.trained_context is not None:
        return bundle.task.config.trained_context
    return min(bundle.config.context or LONGEST, LONGEST)
