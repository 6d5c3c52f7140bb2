"""Load a model with all that belongs to it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from wenlu.errors import WeightsError
from wenlu.models import LanguageModel, ModelConfig
from wenlu.models.weights import load_model
from wenlu.tasks import CausalLM
from wenlu.tokenizers import Tokenizer


@dataclass(frozen=True)
class Bundle:
    """A model, its tokenizer, its task and its settings, and the folder that they came from."""

    model: LanguageModel
    tokenizer: Tokenizer
    task: CausalLM
    config: ModelConfig
    path: Path


def load(path_or_id: str | Path, *, dtype: torch.dtype | None = None) -> Bundle:
    """Load a run directory or a model folder in Hugging Face's layout.

    Args:
        path_or_id: the run or the folder.
        dtype: convert the weights to it; by default they stay as stored.

    Raises:
        WeightsError: what was found instead, or what of it does not fit.
    """
    folder = model_folder(Path(path_or_id))
    _, model = load_model(folder, dtype=dtype)
    tokenizer = Tokenizer.load(folder)
    if tokenizer.vocab_size > model.config.vocab_size:
        raise WeightsError(
            f"{folder}: the tokenizer has {tokenizer.vocab_size} tokens, but the model only "
            f"{model.config.vocab_size}; are both of the same run?"
        )
    return Bundle(model=model, tokenizer=tokenizer, task=CausalLM(), config=model.config, path=folder)


def model_folder(path: Path) -> Path:
    """The folder with `config.json` that `path`, a run or a model, stands for; raises WeightsError."""
    for folder in (path, path / "model"):
        if (folder / "config.json").is_file():
            return folder
    raise WeightsError(f"{path}: {_found(path)}; give a run directory or a folder with config.json and *.safetensors")


def _found(path: Path) -> str:
    if path.is_file():
        return f"a file of {path.stat().st_size:,} bytes, not a model folder"
    if not path.is_dir():
        return "no such folder"
    if (path / "events.jsonl").exists():
        return "a run that has no model/ yet; let it finish, or resume it"
    names = sorted(entry.name for entry in path.iterdir())
    return (
        f"no model here, only {', '.join(names[:5])}{', …' if len(names) > 5 else ''}" if names else "an empty folder"
    )
