"""A linear model in a folder: `linear.skops`, of numbers and text alone, and `task.json`.

skops (https://skops.readthedocs.io) names every type that a file holds before anything is made of it; a file with
another than those of plain data and arrays is refused.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from wenlu.errors import ConfigError, MissingExtra, WeightsError
from wenlu.evaluation.linear.features import Features
from wenlu.evaluation.linear.predictor import LinearModel, LinearTask
from wenlu.evaluation.linear.weights import Weights
from wenlu.rundir import atomic
from wenlu.tasks import new_task, read_settings
from wenlu.tasks.grading import Grading
from wenlu.tasks.task import FILE as TASK_FILE
from wenlu.tasks.text_classification import TextClassification
from wenlu.tokenizers import Tokenizer, TokenizerConfig, train_tokenizer

FILE = "linear.skops"
FOLDER = "linear"
"""In a run, where others have `model`."""


def holds_linear(folder: Path) -> bool:
    return (folder / FILE).is_file()


def save_linear(folder: Path, model: LinearModel) -> None:
    skops = _skops()
    weights = model.weights
    state = {
        "features": model.features.state(),
        "weights": weights.weights.astype(np.float32),
        "bias": weights.bias.astype(np.float32),
        "reads": weights.reads,
    }
    packed = skops.dumps(state, compression=zipfile.ZIP_DEFLATED)
    folder.mkdir(parents=True, exist_ok=True)
    atomic.write_bytes(folder / FILE, packed)
    atomic.write_text(folder / TASK_FILE, model.task.config.model_dump_json(indent=2) + "\n")


def load_linear(folder: Path) -> LinearModel:
    """Raises WeightsError where the file is damaged, or holds anything but plain data."""
    skops = _skops()
    task = linear_task(folder)
    packed = (folder / FILE).read_bytes()
    try:
        strangers = skops.get_untrusted_types(data=packed)
        if strangers:
            raise WeightsError(
                f"{folder / FILE}: holds {', '.join(strangers[:3])}, which no model of ours does; refused"
            )
        state: dict[str, Any] = skops.loads(packed)
        weights = Weights.of(state["weights"], state["bias"], reads=state["reads"])
        return LinearModel(task, Features.of(state["features"]), weights)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise WeightsError(f"{folder / FILE}: damaged ({error}); fit it again") from error


def linear_task(folder: Path) -> LinearTask:
    """The task of a stored model; raises WeightsError."""
    path = folder / TASK_FILE
    try:
        task = new_task(read_settings(json.loads(path.read_text(encoding="utf-8"))), no_tokenizer())
    except (OSError, ValueError, ConfigError) as error:
        raise WeightsError(f"{path}: {error}") from error
    if not isinstance(task, TextClassification | Grading):
        raise WeightsError(f"{path}: names {task.name}, which no linear model does")
    return task


def no_tokenizer() -> Tokenizer:
    """What a task is made with whose linear model finds its words itself."""
    return train_tokenizer(TokenizerConfig(kind="char", vocab_size="auto"), iter(("a",)))


def _skops() -> Any:
    try:
        import skops.io
    except ImportError as error:
        raise MissingExtra("skops", extra="tasks", purpose="store linear models") from error
    return skops.io
