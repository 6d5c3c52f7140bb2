"""How to read documents with a model: in which windows, in which number format."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import torch

from wenlu.bundle import Bundle
from wenlu.errors import ConfigError, WeightsError
from wenlu.evaluation.likelihood import Scorer, StateScorer, WindowScorer
from wenlu.evaluation.settings import EvaluateConfig
from wenlu.models import FAMILIES, Ability, LanguageModel
from wenlu.progress import QUIET, Progress

Tokens = Sequence[int]

MAX_CONTEXT = 2048
TUNING_TOKENS = 20_000


def resolve_reading(
    bundle: Bundle, config: EvaluateConfig, tuning: Sequence[Tokens] = (), *, progress: Progress = QUIET
) -> tuple[Scorer, EvaluateConfig]:
    """The scorer of a model, and the settings with context, stride and dtype resolved.

    Args:
        tuning: token ids of validation documents, on which an "auto" context is chosen.

    Raises:
        ConfigError: a context beyond what the model can read, or a stride beyond the context.
        WeightsError: a tokenizer without end of text, so that documents have no beginning and no end.
    """
    bos_id, eos_id = bundle.tokenizer.bos_id, bundle.tokenizer.eos_id
    if bos_id is None or eos_id is None:
        raise WeightsError(
            f"{bundle.path}: the tokenizer has no end-of-text token; name one as eos_token in its config"
        )
    model = in_dtype(bundle.model, config)
    config = config.model_copy(update={"dtype": dtype_of(model)})
    if is_recurrent(model):
        return StateScorer(model, bos_id, eos_id, progress=progress), config
    scorers = [
        WindowScorer(model, bos_id, eos_id, context, _stride(config, context)) for context in _contexts(model, config)
    ]
    best = scorers[0] if len(scorers) == 1 or not tuning else min(scorers, key=partial(_cost, _some(tuning)))
    settings = config.model_copy(update={"context": best.context, "stride": best.stride})
    return replace(best, progress=progress), settings


def conventions(bundle: Bundle, config: EvaluateConfig) -> dict[str, str]:
    """What a signature tells of a reading with resolved settings."""
    window = {"ctx": str(config.context), "stride": str(config.stride)}
    if is_recurrent(bundle.model):
        window = {"ctx": "document"}
    return {**window, "dtype": config.dtype, "tok": bundle.tokenizer.fingerprint[:8]}


def is_recurrent(model: LanguageModel) -> bool:
    return any(row.model is type(model) and Ability.RECURRENT in row.abilities for row in FAMILIES)


def _contexts(model: LanguageModel, config: EvaluateConfig) -> list[int]:
    """The contexts to choose from, the longest first."""
    most = model.config.context or MAX_CONTEXT
    if config.context == "auto":
        longest = min(most, MAX_CONTEXT)
        return [longest, longest // 2] if longest > 1 else [longest]
    if config.context > most:
        raise ConfigError(f"evaluate.context={config.context}: the model reads at most {most} tokens at once")
    return [config.context]


def _stride(config: EvaluateConfig, context: int) -> int:
    if config.stride == "auto":
        return max(1, context // 2)
    if config.stride > context:
        raise ConfigError(
            f"evaluate.stride={config.stride} would skip tokens: a context of {context} can be chosen; "
            "set evaluate.context too"
        )
    return config.stride


def in_dtype(model: LanguageModel, config: EvaluateConfig) -> LanguageModel:
    """The model itself, or a copy in the number format of the settings."""
    name = config.dtype
    if name == "auto" and dtype_of(model) == "float64":
        name = "float64"
    elif name == "auto":
        name = "bfloat16" if _multiplies_bfloat16() and not is_recurrent(model) else "float32"
    if dtype_of(model) == name:
        return model
    wanted: torch.dtype = getattr(torch, name)
    return copy.deepcopy(model).to(wanted)


def as_it_answers(model: LanguageModel, config: EvaluateConfig) -> LanguageModel:
    """As `in_dtype`, but in the model's own format unless another is asked for: in that it answers everywhere else."""
    return model if config.dtype == "auto" else in_dtype(model, config)


def dtype_of(model: LanguageModel) -> str:
    return str(next(model.parameters()).dtype).removeprefix("torch.")


def _multiplies_bfloat16() -> bool:
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))


def _some(documents: Sequence[Tokens]) -> list[Tokens]:
    """The first documents, to TUNING_TOKENS tokens, the last one cut."""
    found: list[Tokens] = []
    room = TUNING_TOKENS
    for document in documents:
        found.append(document[:room])
        room -= len(found[-1])
        if room <= 0:
            break
    return found


def _cost(documents: Sequence[Tokens], scorer: WindowScorer) -> float:
    return sum(float(cost.sum()) for cost in scorer.negative_log_likelihoods(documents))
