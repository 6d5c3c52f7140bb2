"""Predict with word vectors: a word or a sum of words a row in, its neighbours a JSON object a line out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
from pydantic import PositiveInt

from wenlu.bundle import VectorsBundle
from wenlu.generation.inputs import ReadingConfig
from wenlu.generation.predict import PredictSummary, answer_each, answer_file
from wenlu.generation.rows import BadRow, Row
from wenlu.models.vectors import ask
from wenlu.progress import QUIET, Progress


class NeighboursConfig(ReadingConfig):
    """Settings of `wenlu predict` for word vectors."""

    neighbours: PositiveInt = 10
    """How many words to name."""


def neighbours_of_rows(
    bundle: VectorsBundle, rows: Iterable[Row | BadRow], config: NeighboursConfig
) -> Iterator[dict[str, Any]]:
    """One object a row: `prediction`, the nearest word; `score`, the cosine; the others; or `error`."""

    def answer(prompt: str) -> dict[str, Any]:
        found = ask(bundle.model, prompt, count=config.neighbours)
        listed = [{"word": neighbour.word, "score": round(neighbour.score, 4)} for neighbour in found]
        return {
            "prediction": found[0].word if found else "",
            "score": listed[0]["score"] if listed else None,
            "text": " ".join(neighbour.word for neighbour in found),
            "predictions": listed,
        }

    return answer_each(rows, vectors_signature(bundle, config), answer)


def predict_neighbours(
    bundle: VectorsBundle,
    source: Path | BinaryIO,
    out: Path | IO[str],
    config: NeighboursConfig,
    *,
    overwrite: bool = False,
    progress: Progress = QUIET,
) -> PredictSummary:
    """Write one line of JSON for each row of `source`, as `predict` does for a language model, with its errors."""
    return answer_file(
        source,
        out,
        config,
        vectors_signature(bundle, config),
        partial(neighbours_of_rows, bundle, config=config),
        overwrite=overwrite,
        progress=progress,
    )


def vectors_signature(bundle: VectorsBundle, config: NeighboursConfig) -> str:
    """12 hex digits of the words, a sample of their vectors, and the settings that decide a prediction."""
    vectors = bundle.model
    digest = hashlib.sha256(repr((config.neighbours, vectors.matrix.shape)).encode())
    digest.update("\n".join(vectors.words).encode("utf-8", errors="surrogatepass"))
    for matrix in (vectors.matrix, *([] if vectors.ngrams is None else [vectors.ngrams.matrix])):
        flat = matrix.reshape(-1)
        digest.update(np.ascontiguousarray(flat[:: max(1, len(flat) // 4096)]).tobytes())
    return digest.hexdigest()[:12]
