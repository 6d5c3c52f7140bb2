"""Predict with a masked language model: a text with [MASK] a row in, what stands there a JSON object a line out."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, BinaryIO

import torch
from pydantic import PositiveInt
from torch import Tensor

from wenlu.bundle import Bundle
from wenlu.errors import UsageError
from wenlu.generation.inputs import ReadingConfig
from wenlu.generation.predict import PredictSummary, answer_each, answer_file, model_fingerprint
from wenlu.generation.rows import BadRow, Row
from wenlu.progress import QUIET, Progress
from wenlu.tasks import MaskedLM, Objective
from wenlu.tasks.corruption.pairs import Pairs
from wenlu.tokenizers.words import HAN

_ENDS_IN_HAN = re.compile(f"[{HAN}]$")


class FillingConfig(ReadingConfig):
    """Settings of `wenlu predict` for models that fill in hidden tokens."""

    candidates: PositiveInt = 5
    """How many tokens to name for each place."""


@dataclass(frozen=True)
class Filled:
    """A text with its masks filled in.

    Attributes:
        tokens: what stands in each place. probability: of all of them, one after the other.
        candidates: of each place, the likeliest tokens and their probabilities while all places were hidden.
    """

    text: str
    tokens: tuple[str, ...]
    probability: float
    candidates: tuple[tuple[tuple[str, float], ...], ...]


def fills(bundle: Bundle) -> bool:
    """Whether the model was trained to fill in hidden tokens."""
    return isinstance(bundle.task, MaskedLM | Pairs)


@torch.inference_mode()
def fill(bundle: Bundle, text: str, *, candidates: int = 5) -> Filled:
    """Fill in each mask of `text`, the surest place first, and then the others knowing it.

    Raises UsageError where the text has no mask, or is longer than the model can read.
    """
    task = bundle.task
    assert isinstance(task, MaskedLM | Pairs), "asked of models that fill in"
    mask = task.masking.config.mask_token
    parts = text.split(mask)
    if len(parts) == 1:
        raise UsageError(f"the text has no {mask}, which this model fills in: {text[:60]!r}")
    ids, places = _encoded(bundle, task, parts)
    most = bundle.config.context or len(ids)
    if len(ids) > most:
        raise UsageError(f"the text has {len(ids)} tokens, but the model reads at most {most} at once; give less")
    row = torch.tensor([ids], device=next(bundle.model.parameters()).device)
    first = _probabilities(bundle, task, row)[places]  # (M, V)
    left, probability, found = list(places), 1.0, first
    while True:
        surest = int(found.amax(dim=1).argmax())
        best = int(found[surest].argmax())
        probability *= float(found[surest, best])
        row[0, left.pop(surest)] = best
        if not left:
            break
        found = _probabilities(bundle, task, row)[left]
    tokens = row[0, places].tolist()
    spelt = [bundle.tokenizer.spelling(token).decode("utf-8", "replace") for token in tokens]
    return Filled(
        text=_joined(parts, spelt),
        tokens=tuple(piece.strip() for piece in spelt),
        probability=probability,
        candidates=tuple(_likeliest(bundle, place, candidates) for place in first),
    )


def fill_rows(bundle: Bundle, rows: Iterable[Row | BadRow], config: FillingConfig) -> Iterator[dict[str, Any]]:
    """One object a row: `prediction`, the tokens of the masks; `probability`; the whole `text`; or `error`."""

    def answer(prompt: str) -> dict[str, Any]:
        found = fill(bundle, prompt, candidates=config.candidates)
        return {
            "prediction": " ".join(found.tokens),
            "probability": round(found.probability, 6),
            "text": found.text,
            "candidates": [
                [{"token": token, "probability": round(chance, 6)} for token, chance in place]
                for place in found.candidates
            ],
        }

    return answer_each(rows, filling_signature(bundle, config), answer)


def predict_filled(
    bundle: Bundle,
    source: Path | BinaryIO,
    out: Path | IO[str],
    config: FillingConfig,
    *,
    overwrite: bool = False,
    progress: Progress = QUIET,
) -> PredictSummary:
    """Write one line of JSON for each row of `source`, as `predict` does for a causal model, with its errors."""
    return answer_file(
        source,
        out,
        config,
        filling_signature(bundle, config),
        partial(fill_rows, bundle, config=config),
        overwrite=overwrite,
        progress=progress,
    )


def filling_signature(bundle: Bundle, config: FillingConfig) -> str:
    """12 hex digits of model, tokenizer and settings, as far as they decide a prediction."""
    return hashlib.sha256(f"{model_fingerprint(bundle)} {config.candidates}".encode()).hexdigest()[:12]


def _encoded(bundle: Bundle, task: Objective, parts: list[str]) -> tuple[list[int], list[int]]:
    """Ids with the ends that the task was trained with, and where the masks are.

    A space before a mask is the mask's: most vocabularies begin words with it.
    """
    assert isinstance(task, MaskedLM | Pairs), "asked of models that fill in"
    if isinstance(task, Pairs):
        begin, end = [task.cls_id], [task.sep_id]
    else:
        begin, end = bundle.tokenizer.opening, [id for id in (bundle.tokenizer.eos_id,) if id is not None]
    ids, places = list(begin), []
    for number, part in enumerate(parts):
        if number:
            places.append(len(ids))
            ids.append(task.masking.mask_id)
        ids += bundle.tokenizer.encode(part.removesuffix(" ") if number < len(parts) - 1 else part)
    return [*ids, *end], places


def _probabilities(bundle: Bundle, task: Objective, row: Tensor) -> Tensor:
    """(T, V) of each place of a row (1, T); special tokens have none."""
    assert isinstance(task, MaskedLM | Pairs), "asked of models that fill in"
    logits = bundle.model(row)[0].double()
    special = torch.from_numpy(task.masking.vocabulary.is_special).to(logits.device)
    logits[:, : len(special)] = logits[:, : len(special)].masked_fill(special, float("-inf"))
    logits[:, len(special) :] = float("-inf")  # rows that only make the embedding a round size
    return torch.softmax(logits, dim=-1)


def _likeliest(bundle: Bundle, chances: Tensor, count: int) -> tuple[tuple[str, float], ...]:
    values, ids = chances.topk(min(count, len(chances)))
    spelt = (bundle.tokenizer.spelling(number).decode("utf-8", "replace").strip() for number in ids.tolist())
    return tuple(zip(spelt, values.tolist(), strict=True))


def _joined(parts: list[str], spelt: list[str]) -> str:
    """The text, with a space before a filled-in token where there was one or the token begins with it, but none
    behind a Chinese character, where WordPiece shows one."""
    text = parts[0]
    for piece, part in zip(spelt, parts[1:], strict=True):
        if text.endswith(" ") or not text or _ENDS_IN_HAN.search(text):
            piece = piece.lstrip(" ")
        text += piece + part
    return text
