"""Answers of a model of a labelled task: read off its head, or written by the engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from wenlu.bundle import Bundle
from wenlu.config import check
from wenlu.errors import UsageError
from wenlu.generation.settings import Sampling, SamplingConfig
from wenlu.generation.text import answers
from wenlu.progress import QUIET, Progress
from wenlu.tasks import GenerativeTask, ImageTextRetrieval, Preference, ReadingTask

_SEARCH = ("max_new_tokens", "num_beams", "length_penalty", "repetition_penalty")
_DRAWING = ("temperature", "top_k", "top_p", "min_p")


def answers_to(
    bundle: Bundle,
    examples: Sequence[Any],
    context: int,
    sampling: SamplingConfig | None = None,
    *,
    progress: Progress = QUIET,
) -> list[Any]:
    """What the model answers to each example of its task, in order.

    Args:
        context: the most tokens of a row, as in training.
        sampling: how a task that writes does so; by default as `sampling_of`. One answer an example is written.

    Raises:
        UsageError: stop strings, or what cannot be asked of the model.
    """
    task = bundle.task
    if isinstance(task, ReadingTask | Preference | ImageTextRetrieval):
        return task.answer(bundle.model, examples, context, progress=progress)
    assert isinstance(task, GenerativeTask), f"{bundle.path}: neither reads nor writes answers to examples"
    sampling = (sampling or sampling_of(bundle)).model_copy(update={"n": 1})
    if sampling.stop:
        raise UsageError(f"stop={list(sampling.stop)}: answers of {task.name} end where the model ends them; remove it")
    ends = sorted({*bundle.end_ids, task.end_id})
    bundle = replace(bundle, generation={**bundle.generation, "eos_token_id": ends})
    prompts = task.prompts(examples, context)
    pictures = task.pictures(examples)
    found: dict[int, Any] = {}
    progress.start("write", total=len(prompts), unit="texts")
    for place, (choice, *_) in answers(bundle, prompts, sampling, pictures):
        if choice.error is not None:
            raise UsageError(choice.error)
        found[place] = task.answered(examples[place], choice.text, choice.ids, choice.logprob)
        progress.update(len(found))
    progress.finish(f"{len(prompts):,} texts")
    return [found[place] for place in range(len(prompts))]


def sampling_of(bundle: Bundle, given: Mapping[str, Any] | None = None) -> SamplingConfig:
    """How generation_config.json says that the model writes, but for what is `given`; raises ConfigError."""
    names = (*_SEARCH, *_DRAWING) if bundle.generation.get("do_sample") else _SEARCH
    said = {name: bundle.generation[name] for name in names if bundle.generation.get(name) is not None}
    if said.get("top_k") == 0:
        del said["top_k"]
    settings = {**said, **(given or {})}
    if settings.get("num_beams", 1) == 1 and "length_penalty" not in (given or {}):
        settings.pop("length_penalty", None)
    return check(SamplingConfig, settings, where=f"how {bundle.path} writes")


def decoding_of(sampling: SamplingConfig) -> str:
    """How texts were written, as signatures tell: `greedy`, `beams-4-penalty-1`, `drawn`."""
    if sampling.num_beams > 1:
        return f"beams-{sampling.num_beams}-penalty-{sampling.length_penalty:g}"
    return "greedy" if sampling.temperature == Sampling().temperature else f"drawn-{sampling.temperature:g}"
