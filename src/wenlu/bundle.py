"""Load a model with all that belongs to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from wenlu import hub
from wenlu.config import did_you_mean
from wenlu.errors import DataError, ResourceError, UsageError, WeightsError
from wenlu.models import Ability, Family, LanguageModel, ModelConfig, family_of
from wenlu.models.adapters import adapter_names, assemble, base_named, is_adapter, merged_model, read_base
from wenlu.models.adapters.peft_config import FILE as ADAPTER
from wenlu.models.layers.encoder import Encoder
from wenlu.models.layers.encoder_decoder import EncoderDecoder
from wenlu.models.vectors import ENDINGS, VectorsFacts, WordVectors, holds_vectors, load_text, load_vectors
from wenlu.models.weights import load_model
from wenlu.models.weights.digest import weights_digest
from wenlu.models.weights.files import config_path, read_json
from wenlu.models.weights.generation_config import FILE as SAMPLING
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

    def with_adapter(self, path_or_id: str | Path, *, task: str | None = None) -> Bundle:
        """The model with an adapter that was trained beside it, and with that one's task; this bundle stays as it is.

        Both share all weights but the adapter's, so several adapters of a base take little more memory than one, and
        each answers whenever it is asked.

        Args:
            path_or_id: a run with `[adapter]`, or a folder that peft wrote. task: as `load`.

        Raises:
            UsageError: there is no adapter, or this model has one itself.
            WeightsError: it was trained beside other weights, or does not fit.
        """
        path = model_path(path_or_id)
        if not is_adapter(path):
            raise UsageError(f"{path}: is no adapter, but a whole model; load it by itself")
        if adapter_names(self.model):
            raise UsageError(
                f"{self.path}: has an adapter already; give the other one to its base: {base_named(self.path)}"
            )
        facts, base = read_base(path), replace(self, model=merged_model(self.model))
        if facts is not None and weights_digest(base.model) != facts.digest:  # or they were converted as they were read
            facts.check(weights_digest(merged_model(load(self.path).model)), path)
        return _beside(base, path, next(self.model.parameters()).dtype, task)

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
    elif is_adapter(path):
        return _adapted(path, dtype, task)
    else:
        family, model = load_model(path, dtype=dtype)
        tokenizer = Tokenizer.load(path)
        generation = read_generation_config(path)
    return _bundle(path, family, model, tokenizer, generation, task)


def _adapted(path: Path, dtype: torch.dtype | None, task: str | None) -> Bundle:
    """An adapter with its base, in the type of numbers that it was trained in."""
    named = base_named(path)
    try:
        if model_path(named) == path:
            raise WeightsError(f"{named} is the adapter itself")
        base = load(named)
    except (WeightsError, UsageError, ResourceError) as error:
        raise type(error)(
            f"{path}: is an adapter, and its base cannot be loaded: {error}. Put the base there, or give it the "
            f'adapter: wenlu.load("BASE").with_adapter("{path}")'
        ) from error
    base = replace(base, model=merged_model(base.model))
    facts = read_base(path)
    if facts is not None:
        facts.check(weights_digest(base.model), path)
    return _beside(base, path, dtype or _told_dtype(path), task)


def _beside(base: Bundle, path: Path, dtype: torch.dtype | None, task: str | None) -> Bundle:
    """The base with the adapter in the folder `path`; what this has not of its own is the base's."""
    family = family_of(base.model)
    model = assemble(path, family, base.model, dtype=dtype)
    tokenizer = Tokenizer.load(path) if (path / "tokenizer.json").is_file() else base.tokenizer
    generation = read_generation_config(path) if (path / SAMPLING).is_file() else base.generation
    return _bundle(path, family, model, tokenizer, generation, task)


def _told_dtype(path: Path) -> torch.dtype | None:
    file = config_path(path)
    told = read_json(file).get("dtype") if file.is_file() else None
    if told not in (None, "float64", "float32", "bfloat16", "float16"):
        raise WeightsError(f"{file}: dtype {told!r} is no type of numbers that models have")
    return None if told is None else getattr(torch, told)


def _bundle(
    path: Path,
    family: Family,
    model: LanguageModel,
    tokenizer: Tokenizer,
    generation: Mapping[str, Any],
    task: str | None,
) -> Bundle:
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
        if (folder / "config.json").is_file() or (folder / ADAPTER).is_file():
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
        file = config_path(path)
        problem = read_json(file).get("problem_type") if file.is_file() else None
        return task_of_class(model.config, problem, tokenizer)
    return CausalLM() if Ability.CAUSAL in family.abilities else None


def _member(path: Path, name: str, tokenizer: Tokenizer) -> Task:
    whole = load_task(path, tokenizer)
    if not isinstance(whole, MultiTask):
        raise UsageError(f"{path}: was not trained for several tasks, so leave out task={name}")
    if name not in whole.members:
        raise UsageError(f"{path}: has no task {name!r}; {did_you_mean(name, whole.members)}")
    return whole.members[name]
