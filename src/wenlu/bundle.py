"""Load a model with all that belongs to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from wenlu import hub
from wenlu.config import did_you_mean
from wenlu.errors import DataError, ResourceError, UsageError, WeightsError
from wenlu.models import Ability, Family, LanguageModel, ModelConfig
from wenlu.models.layers.encoder import Encoder
from wenlu.models.layers.encoder_decoder import EncoderDecoder
from wenlu.models.vectors import ENDINGS, VectorsFacts, WordVectors, holds_vectors, load_text, load_vectors
from wenlu.models.weights import load_model
from wenlu.models.weights.files import read_json
from wenlu.models.weights.generation_config import ids_of, read_generation_config
from wenlu.models.weights.gguf import load_gguf
from wenlu.tasks import CausalLM, Dialogue, MaskedLM, MultiTask, Preference, Task, WordSimilarity, load_task
from wenlu.tasks.corruption.pairs import Pairs
from wenlu.tasks.labelled.published import task_of_class
from wenlu.tokenizers import Tokenizer
from wenlu.tokenizers.gguf import tokenizer_of

GGUF = ".gguf"


@dataclass(frozen=True)
class Bundle:
    """A model, its tokenizer, its task and its settings, and the folder or file that they came from.

    `task` is what the model was trained for: what task.json says, else the class that config.json names (BERT's for
    token classification and its kin), else to continue text where it can; None where nothing says so, as of a bare
    encoder. `generation` is what generation_config.json says.
    """

    model: LanguageModel
    tokenizer: Tokenizer
    task: Task | None
    config: ModelConfig
    path: Path
    generation: Mapping[str, Any] = field(default_factory=dict)

    @property
    def end_ids(self) -> frozenset[int]:
        """The tokens at which an answer ends: the tokenizer's, the config's and those of generation_config.json."""
        named = (self.tokenizer.eos_id, self.config.eos_token_id, self.generation.get("eos_token_id"))
        return frozenset(number for value in named for number in ids_of(value))

    def require_causal(self) -> CausalLM:
        """The task of a model that continues text; raises UsageError for another."""
        if isinstance(self.task, CausalLM):
            return self.task
        if isinstance(self.task, Dialogue | Preference):
            return CausalLM()
        name = type(self.model).__name__
        ask = f"ask it with: wenlu predict {self.path} --text TEXT"
        if self.task is None:
            way = f"reads one text and writes another; {ask}"
            if not isinstance(self.model, EncoderDecoder):
                way = "reads both ways; give a causal model"
            raise UsageError(f"{self.path}: {name} does not continue text: it {way}")
        answers = isinstance(self.model, EncoderDecoder) or isinstance(self.task, MaskedLM | Pairs)
        instead = ask if answers else "give a causal model, or see how well it does with: wenlu evaluate RUN"
        raise UsageError(
            f"{self.path}: this {name} was trained for {self.task.name}: it {self.task.ability}, but does not "
            f"continue text; {instead}"
        )


@dataclass(frozen=True)
class VectorsBundle:
    """Word vectors, what their folder says of them, and where that is; they need no tokenizer.

    `model` answers the examples of `task`, and those of `WordAnalogy`.
    """

    model: WordVectors
    config: VectorsFacts
    path: Path
    tokenizer: None = None
    task: WordSimilarity = field(default_factory=WordSimilarity)


def load_any(
    path_or_id: str | Path, *, dtype: torch.dtype | None = None, task: str | None = None
) -> Bundle | VectorsBundle:
    """Load what is there: a model as `load` does, or word vectors from a folder or a .vec or .txt file.

    Args:
        dtype: of a model's weights; word vectors are float32.
        task: as `load`.

    Raises:
        DataError: a line of a text file that is no word with its vector. The others are `load`'s.
    """
    path = vectors_path(path_or_id)
    if path is None:
        return load(path_or_id, dtype=dtype, task=task)
    if path.is_dir():
        vectors, facts = load_vectors(path)
    else:
        vectors = load_text(path)
        facts = VectorsFacts(words=len(vectors), dimensions=vectors.dimensions)
    return VectorsBundle(vectors, facts, path)


def vectors_path(path_or_id: str | Path) -> Path | None:
    """The folder or text file of word vectors that a path or id stands for; None for anything else."""
    path = _resolved(path_or_id)
    try:
        if path.is_file():
            return path if path.suffix.lower() in ENDINGS else None
        return next((folder for folder in (path, path / "model") if holds_vectors(folder)), None)
    except PermissionError:  # `load` says which folder it is
        return None


def load(path_or_id: str | Path, *, dtype: torch.dtype | None = None, task: str | None = None) -> Bundle:
    """Load a language model: a run directory, a folder in Hugging Face's layout, a GGUF file, a package or a hub id.

    Args:
        path_or_id: a path; `package:NAME` or `package:NAME/inner/path`; `[hf:]ORGANISATION/NAME[@REVISION]`. What
            exists here comes first; what was fetched once is read without a call.
        dtype: convert the weights to it; by default they stay as stored, and quantised ones become float32.
        task: the name of one of several tasks that the model was trained for; the bundle is then as if of it alone.

    Raises:
        WeightsError: what was found instead, or what of it does not fit.
        UsageError, ResourceError: a name that means nothing, or that cannot be fetched.
    """
    path = model_path(path_or_id)
    if path.is_file():
        family, model, header = load_gguf(path, dtype=dtype)
        tokenizer = tokenizer_of(header.metadata, where=str(path))
        generation: dict[str, Any] = {}
    elif holds_vectors(path):
        raise UsageError(f"{path}: holds word vectors, which read no text; ask them: wenlu predict {path} --text WORD")
    else:
        family, model = load_model(path, dtype=dtype)
        tokenizer = Tokenizer.load(path)
        generation = read_generation_config(path)
        start = generation.get("decoder_start_token_id")
        if isinstance(model, EncoderDecoder) and type(start) is int:
            model.config = model.config.model_copy(update={"decoder_start_token_id": start})
    if tokenizer.vocab_size > model.config.vocab_size:
        raise WeightsError(
            f"{path}: the tokenizer has {tokenizer.vocab_size} tokens, but the model only "
            f"{model.config.vocab_size}; are both of the same run?"
        )
    return Bundle(
        model=model,
        tokenizer=tokenizer,
        task=_task(path, family, model, tokenizer) if task is None else _member(path, task, tokenizer),
        config=model.config,
        path=path,
        generation=generation,
    )


def model_path(path_or_id: str | Path) -> Path:
    """The folder with `config.json`, or the GGUF file, that a path or an id stands for; the errors are `load`'s."""
    path = _resolved(path_or_id)
    try:
        return _model_in(path)
    except PermissionError as error:
        raise ResourceError(f"{path}: no permission to look at {error.filename}") from error


def _resolved(path_or_id: str | Path) -> Path:
    if isinstance(path_or_id, str) and not _exists(Path(path_or_id).expanduser()):
        try:
            return hub.resolve(path_or_id, kind="model").path
        except DataError as error:
            raise WeightsError(str(error)) from error
    return Path(path_or_id).expanduser()


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


def _task(path: Path, family: Family, model: LanguageModel, tokenizer: Tokenizer) -> Task | None:
    told = load_task(path, tokenizer)
    if told is not None:
        return told
    if isinstance(model, Encoder):
        return task_of_class(model.config, read_json(path / "config.json").get("problem_type"), tokenizer)
    return CausalLM() if Ability.CAUSAL in family.abilities else None


def _member(path: Path, name: str, tokenizer: Tokenizer) -> Task:
    whole = load_task(path, tokenizer)
    if not isinstance(whole, MultiTask):
        raise UsageError(f"{path}: was not trained for several tasks, so leave out task={name}")
    if name not in whole.members:
        raise UsageError(f"{path}: has no task {name!r}; {did_you_mean(name, whole.members)}")
    return whole.members[name]
