"""How often a test part was read, by which models: one that choices are made by says no longer how good they are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from wenlu.bundle import model_path
from wenlu.corpus.statistics import DataSummary
from wenlu.evaluation import Evaluation
from wenlu.progress import QUIET, Progress
from wenlu.rundir import atomic

FILE = "test-readings.jsonl"
_TEST = "test"


def log_reading(root: Path, model: Path, evaluation: Evaluation, progress: Progress = QUIET) -> None:
    """Add a line to `root/test-readings.jsonl`, and warn where other models were scored on the same test part before.

    Args:
        root: whose `data/` the test part is of. model: the folder or run that was scored.
    """
    if evaluation.facts["split"] != _TEST:
        return
    head = evaluation.score(evaluation.headline)
    others = _add(root, _digest(model_path(str(model))), evaluation.headline, None if head is None else head.value)
    if others:
        times = "once" if len(others) == 1 else f"by {len(others)} models"
        progress.warn(
            f"this test part was read {times} before ({FILE}): if you choose among models by it, its score no "
            "longer says how good the choice is; choose by the validation part: evaluate.split=validation, wenlu tune, "
            "or folds.count=5"
        )


def log_ladder(root: Path, rungs: Sequence[str], metric: str, value: float | None) -> None:
    """Add a line that says which rungs of a ladder were scored on the test part of the data below `root`."""
    _add(root, f"ladder: {', '.join(rungs)}", metric, value)


def _add(root: Path, model: str, metric: str | None, value: float | None) -> set[str]:
    """Log a reading; returns which other models read the same part before."""
    row = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "data": f"sha256:{DataSummary.open(root / 'data').files[f'{_TEST}.jsonl'].sha256}",
        "model": model,
        "metric": metric,
        "value": value,
    }
    path = root / FILE
    before = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
    lines = [json.dumps(each, ensure_ascii=False) + "\n" for each in (*before, row)]
    atomic.write_text(path, "".join(lines))
    return {each["model"] for each in before if each["data"] == row["data"]} - {model}


def _digest(folder: Path) -> str:
    """Of all weights."""
    digest = hashlib.sha256()
    files = [folder] if folder.is_file() else sorted(folder.glob("*.safetensors"))
    for path in files:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return f"sha256:{digest.hexdigest()}"
