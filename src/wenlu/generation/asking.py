"""Ask a model from Python: texts in, for each the object that `wenlu predict --json` prints."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from wenlu.bundle import Bundle, VectorsBundle, load_any
from wenlu.config import check, override
from wenlu.errors import UsageError
from wenlu.generation.embedder import as_embedder
from wenlu.generation.filling import FillingConfig, fill_rows, fills
from wenlu.generation.labelled import AnsweringConfig, answer_examples, answers_examples
from wenlu.generation.neighbours import NeighboursConfig, neighbours_of_rows
from wenlu.generation.predict import PredictConfig, predict_rows
from wenlu.generation.rows import Row


def ask(
    model: str | Path | Bundle | VectorsBundle, texts: Sequence[str], overrides: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """What a model says to each text, in order: `prediction` and, as it fits the model, `text`, `probability`, `score`.

    Args:
        model: what `wenlu.load` takes or returned.
        texts: prompts, examples of a labelled task, texts with [MASK], or words.
        overrides: the `KEY=VALUE` settings of `wenlu predict`, for example `top_k=50`.

    Raises:
        UsageError: a text that cannot be answered, or one string in place of several. The others are those of `load`.
    """
    if isinstance(texts, str):
        raise UsageError(f"texts: several are asked for, not one string; write [{texts[:40]!r}]")
    bundle = model if isinstance(model, Bundle | VectorsBundle) else load_any(model)
    rows = [Row(f"texts:{number}", text) for number, text in enumerate(texts, start=1)]
    lines = list(_answered(bundle, rows, overrides))
    for line in lines:
        if "error" in line:
            raise UsageError(f"{line['id']}: {line['error']}")
    return lines


def _answered(bundle: Bundle | VectorsBundle, rows: list[Row], overrides: Sequence[str]) -> Iterator[dict[str, Any]]:
    settings, where = override({}, overrides), "ask"
    if isinstance(bundle, VectorsBundle):
        return neighbours_of_rows(bundle, rows, check(NeighboursConfig, settings, where=where))
    bundle = as_embedder(bundle)
    if answers_examples(bundle):
        return answer_examples(bundle, rows, check(AnsweringConfig, settings, where=where))
    if fills(bundle):
        return fill_rows(bundle, rows, check(FillingConfig, settings, where=where))
    return predict_rows(bundle, rows, check(PredictConfig, settings, where=where))
