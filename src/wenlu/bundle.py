"""Load a model with all that belongs to it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from wenlu import hub
from wenlu.errors import DataError, ResourceError, UsageError, WeightsError
from wenlu.models import Ability, Family, LanguageModel, ModelConfig
from wenlu.models.layers.encoder_decoder import EncoderDecoder
from wenlu.models.weights import load_model
from wenlu.models.weights.gguf import load_gguf
from wenlu.tasks import CausalLM
from wenlu.tokenizers import Tokenizer
from wenlu.tokenizers.gguf import tokenizer_of

GGUF = ".gguf"


@dataclass(frozen=True)
class Bundle:
    """A model, its tokenizer, its task and its settings, and the folder or file that they came from.

    `task` is None where the model has no head for one, as a bare encoder.
    """

    model: LanguageModel
    tokenizer: Tokenizer
    task: CausalLM | None
    config: ModelConfig
    path: Path

    def require_causal(self) -> CausalLM:
        """The task of a model that continues text; raises UsageError for another."""
        if self.task is None:
            name = type(self.model).__name__
            way = "reads one text and writes another" if isinstance(self.model, EncoderDecoder) else "reads both ways"
            raise UsageError(f"{self.path}: {name} does not continue text: it {way}; give a causal model")
        return self.task


def load(path_or_id: str | Path, *, dtype: torch.dtype | None = None) -> Bundle:
    """Load a model: a run directory, a folder in Hugging Face's layout, a GGUF file, a package or a hub id.

    Args:
        path_or_id: a path; `package:NAME` or `package:NAME/inner/path`; `[hf:]ORGANISATION/NAME[@REVISION]`. What
            exists here comes first; what was fetched once is read without a call.
        dtype: convert the weights to it; by default they stay as stored, and quantised ones become float32.

    Raises:
        WeightsError: what was found instead, or what of it does not fit.
        UsageError, ResourceError: a name that means nothing, or that cannot be fetched.
    """
    path = model_path(path_or_id)
    if path.is_file():
        family, model, header = load_gguf(path, dtype=dtype)
        tokenizer = tokenizer_of(header.metadata, where=str(path))
    else:
        family, model = load_model(path, dtype=dtype)
        tokenizer = Tokenizer.load(path)
    if tokenizer.vocab_size > model.config.vocab_size:
        raise WeightsError(
            f"{path}: the tokenizer has {tokenizer.vocab_size} tokens, but the model only "
            f"{model.config.vocab_size}; are both of the same run?"
        )
    return Bundle(model=model, tokenizer=tokenizer, task=_task(family), config=model.config, path=path)


def model_path(path_or_id: str | Path) -> Path:
    """The folder with `config.json`, or the GGUF file, that a path or an id stands for; the errors are `load`'s."""
    if isinstance(path_or_id, str) and not _exists(Path(path_or_id).expanduser()):
        try:
            path = hub.resolve(path_or_id, kind="model").path
        except DataError as error:
            raise WeightsError(str(error)) from error
    else:
        path = Path(path_or_id).expanduser()
    try:
        return _model_in(path)
    except PermissionError as error:
        raise ResourceError(f"{path}: no permission to look at {error.filename}") from error


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # too long, say: `hub.resolve` names it
        return False


def _model_in(path: Path) -> Path:
    if path.is_file() and path.suffix.lower() == GGUF:
        return path
    for folder in (path, path / "model"):
        if (folder / "config.json").is_file():
            return folder
    files = sorted(path.glob(f"*{GGUF}")) if path.is_dir() else []
    if len(files) == 1:
        return files[0]
    raise WeightsError(
        f"{path}: {_found(path, files)}; give a run directory, a folder with config.json and *.safetensors, "
        f"or a {GGUF} file"
    )


def _found(path: Path, gguf: list[Path]) -> str:
    if path.is_file():
        return f"a file of {path.stat().st_size:,} bytes, not a model folder"
    if not path.is_dir():
        return "no such folder"
    if gguf:
        return f"{len(gguf)} {GGUF} files ({', '.join(file.name for file in gguf[:5])}), of which you must choose one"
    if (path / "events.jsonl").exists():
        return "a run that has no model/ yet; let it finish, or resume it"
    names = sorted(entry.name for entry in path.iterdir())
    return (
        f"no model here, only {', '.join(names[:5])}{', …' if len(names) > 5 else ''}" if names else "an empty folder"
    )


def _task(family: Family) -> CausalLM | None:
    return CausalLM() if Ability.CAUSAL in family.abilities else None
