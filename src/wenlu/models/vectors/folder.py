"""Word vectors as a folder: `config.json`, `words.json` and `model.safetensors`; no pickle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field, PositiveInt

from wenlu.config import Config, check
from wenlu.errors import ConfigError, WeightsError
from wenlu.models.vectors.ngrams import Matrix, NgramVectors
from wenlu.models.vectors.vectors import WordVectors
from wenlu.models.weights.files import SINGLE, read_file, read_json, write_tensors
from wenlu.models.weights.rules import Stored
from wenlu.rundir.atomic import write_text

MODEL_TYPE = "wenlu-word-vectors"
WORDS = "words.json"


class NgramSizes(Config):
    """Characters of FastText's n-grams, and the buckets that they share."""

    shortest: PositiveInt
    longest: PositiveInt
    buckets: PositiveInt


class VectorsFacts(Config):
    """What `config.json` says of word vectors."""

    model_type: Literal["wenlu-word-vectors"] = "wenlu-word-vectors"
    words: PositiveInt
    dimensions: PositiveInt
    ngrams: NgramSizes | None = None
    training: dict[str, Any] = Field(default_factory=dict)
    """How they were trained, for the record."""


def save_vectors(folder: Path, vectors: WordVectors, *, training: dict[str, Any] | None = None) -> None:
    """Write the three files into an existing folder.

    Args:
        training: settings to keep for the record.
    """
    tensors = {"vectors": torch.from_numpy(np.ascontiguousarray(vectors.matrix))}
    sizes = None
    if vectors.ngrams is not None:
        tensors["ngrams"] = torch.from_numpy(np.ascontiguousarray(vectors.ngrams.matrix))
        sizes = NgramSizes(
            shortest=vectors.ngrams.shortest, longest=vectors.ngrams.longest, buckets=len(vectors.ngrams.matrix)
        )
    facts = VectorsFacts(words=len(vectors), dimensions=vectors.dimensions, ngrams=sizes, training=dict(training or {}))
    write_tensors(folder, tensors, shard_bytes=1 << 62)
    write_text(folder / WORDS, json.dumps(vectors.words, ensure_ascii=_has_surrogates(vectors), indent=0) + "\n")
    write_text(folder / "config.json", facts.model_dump_json(indent=2, exclude_none=True) + "\n")


def load_vectors(folder: Path) -> tuple[WordVectors, VectorsFacts]:
    """The vectors of a folder, mapped into memory; raises WeightsError that says what does not fit, and where."""
    try:
        facts = check(VectorsFacts, read_json(folder / "config.json"), where=str(folder / "config.json"))
    except ConfigError as error:
        raise WeightsError(str(error)) from error
    words = _read_words(folder / WORDS)
    if len(words) != facts.words:
        raise WeightsError(f"{folder}: {len(words)} words in {WORDS}, but {facts.words} in config.json")
    if not (folder / SINGLE).is_file():
        raise WeightsError(f"{folder}: no {SINGLE}; copy the whole folder")
    stored = read_file(folder / SINGLE)
    matrix = _matrix(folder, stored, "vectors", (facts.words, facts.dimensions))
    ngrams = None
    if facts.ngrams is not None:
        parts = _matrix(folder, stored, "ngrams", (facts.ngrams.buckets, facts.dimensions))
        ngrams = NgramVectors(facts.ngrams.shortest, facts.ngrams.longest, parts)
    if stored:
        raise WeightsError(f"{folder / SINGLE}: holds {sorted(stored)[0]!r}, which config.json does not speak of")
    try:
        return WordVectors(words, matrix, ngrams), facts
    except ValueError as error:
        raise WeightsError(f"{folder / WORDS}: {error}") from error


def holds_vectors(folder: Path) -> bool:
    """Whether `config.json` there is one of word vectors."""
    path = folder / "config.json"
    return path.is_file() and read_json(path).get("model_type") == MODEL_TYPE


def _read_words(path: Path) -> tuple[str, ...]:
    try:
        words = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise WeightsError(f"{path.parent}: no {path.name}; copy the whole folder") from error
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{path}: not valid JSON: {error}") from error
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise WeightsError(f"{path}: expected a list of words")
    return tuple(words)


def _matrix(folder: Path, stored: dict[str, Stored], name: str, shape: tuple[int, int]) -> Matrix:
    item = stored.pop(name, None)
    if item is None:
        raise WeightsError(f"{folder / SINGLE}: no tensor {name!r}, of which config.json speaks")
    if item.shape != shape or item.dtype != torch.float32:
        kind = str(item.dtype).removeprefix("torch.")
        raise WeightsError(f"{folder / SINGLE}: {name} is {kind} {item.shape}; config.json says float32 {shape}")
    matrix: Matrix = item.read().numpy()
    if not np.isfinite(matrix).all():
        raise WeightsError(f"{folder / SINGLE}: {name} has numbers that are not finite")
    return matrix


def _has_surrogates(vectors: WordVectors) -> bool:
    """Whether a word is no valid Unicode, so that only escapes can write it."""
    try:
        "".join(vectors.words).encode()
    except UnicodeEncodeError:
        return True
    return False
