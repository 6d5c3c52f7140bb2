"""A model in a form that other programs read, checked against the model before it gets its name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch

from wenlu.bundle import Bundle, load, vectors_path
from wenlu.compression.onnx import OnnxModel, export_onnx
from wenlu.config import Config, check, override
from wenlu.errors import ParityError, UsageError
from wenlu.lifecycle.export_onnx import onnx_side
from wenlu.lifecycle.export_record import refuse_foreign, write_record
from wenlu.lifecycle.export_vectors import VECTORS_FORMATS, VectorsExport, VectorsFormat, export_vectors
from wenlu.lifecycle.model_card import CARD, Subject, model_card
from wenlu.lifecycle.model_folder import generation_kept, tokenizer_kept, write_bundle
from wenlu.lifecycle.parity import Parity, ParitySettings, compare
from wenlu.lifecycle.parity_record import write_parity
from wenlu.lifecycle.parity_side import Side, side_of, task_side
from wenlu.lifecycle.parity_texts import TEXTS
from wenlu.lifecycle.report.words import Language
from wenlu.models import Ability, family_of
from wenlu.models.adapters import adapter_names, merged_model
from wenlu.models.low_rank import low_rank_layers, multiplied_out
from wenlu.models.quantised import dequantised, quantised_layers
from wenlu.models.weights import save_config
from wenlu.models.weights.generation_config import write_generation_config
from wenlu.models.weights.gguf import FileType, write_gguf
from wenlu.progress import QUIET, Progress
from wenlu.rundir import atomic, is_run
from wenlu.tasks import ReadingTask
from wenlu.tasks.labelled.headed import OWN as OWN_POOLING
from wenlu.tokenizers.gguf.cuts import OWN, cut_like

FormatName = Literal["hf", "gguf", "onnx", "peft"]
Name = FormatName | VectorsFormat
Dtype = Literal["auto", "float32", "float16", "bfloat16", "q8_0"]


class ExportConfig(Config):
    """What `wenlu export` takes.

    Attributes:
        format: a folder in Hugging Face's layout, one GGUF file, or an ONNX graph; each with its tokenizer. In the
            folder, a model with a task's head becomes the class of transformers that answers as it does, if there is
            one. An adapter is merged into its base; "peft" writes it alone. Of word vectors: word2vec's text format, or
            a folder. "auto" is "hf", and goes by the ending of `out` for vectors.
        dtype: of the numbers; "auto" keeps those of a Hugging Face folder, and takes float16 for GGUF and float32 for
            ONNX.
        language: of the model card.
        task: one of several tasks that the model was trained for, to be exported as a model of this task alone.
        accept_divergence: keep what answers otherwise than the model; `parity.json` then says what failed.
    """

    format: Literal["auto", FormatName, VectorsFormat] = "auto"
    dtype: Dtype = "auto"
    language: Language = "en"
    task: str | None = None
    accept_divergence: bool = False
    parity: ParitySettings = ParitySettings()


@dataclass(frozen=True)
class Format:
    """One form: to add one, write a function and its row.

    Attributes:
        dtypes: what `dtype` may be beside "auto"; the first is what "auto" means, unless it keeps the model's own.
        write: puts the files into an empty folder, and returns that form as a side to compare with the model.
    """

    name: FormatName
    dtypes: tuple[Dtype, ...]
    keeps: bool
    write: Callable[[Path, Job], Side]


@dataclass(frozen=True)
class Job:
    """What is to be exported, and how. `run` tells of the model's training."""

    bundle: Bundle
    name: str
    run: Path | None
    dtype: Dtype
    language: Language


@dataclass(frozen=True)
class Export:
    """What was written, and how near it is to the model."""

    path: Path
    format: FormatName
    dtype: str
    bytes: int
    parity: Parity

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "path": str(self.path), "parity": self.parity.to_json()}

    def __str__(self) -> str:
        return f"{self.path}: {self.format}, {self.dtype}, {self.bytes:,} bytes"


def export(
    model: str | Path, out: Path, overrides: Sequence[str] = (), *, progress: Progress = QUIET
) -> Export | VectorsExport:
    """Write `model` in another form to the new folder `out`, unless it answers otherwise than the model.

    Args:
        model: what `load_any` takes, so word vectors too.
        out: a folder that does not exist, is empty, or holds an export, which is replaced at once; for word vectors
            also a new file that ends in .vec or .txt.
        overrides: `format=…`, `dtype=…`, `language=…`, `task=…`, and the thresholds of `[parity]`.

    Raises:
        ParityError: the exported form answers otherwise; nothing is left behind.
        UsageError: `out` holds something else, or the model has no such format, or the format no such dtype.
        WeightsError: the model cannot be loaded, or has no such form.
        DataError: a line of word vectors that is none, or a word that their text format cannot hold.
    """
    config = check(ExportConfig, override({}, overrides), where="export")
    name: Name = "hf" if config.format == "auto" else config.format
    row = next((row for row in FORMATS if row.name == name), None)
    if row is not None and config.dtype not in ("auto", *row.dtypes):
        raise UsageError(f"dtype = {config.dtype!r}: format {row.name} has {', '.join(row.dtypes)}")
    if vectors_path(model) is not None:
        return _vectors(model, out, config, progress)
    if row is None:
        named = ", ".join(row.name for row in FORMATS)
        raise UsageError(f"format = {name!r} is one of word vectors; {model} is a language model, which has {named}")
    return export_model(model, out, config, row, progress=progress)


def export_model(
    model: str | Path, out: Path, config: ExportConfig, row: Format, *, progress: Progress = QUIET
) -> Export:
    """Write a language model as `row` does it; the rest is `export`'s."""
    refuse_foreign(out)
    bundle = load(model, task=config.task)
    if row.name == "peft" and not adapter_names(bundle.model):
        raise UsageError(f"{model}: has no adapter to write alone; export it as format=hf")
    job = _job(bundle, out, config, row)
    with atomic.atomic_folder(out) as folder:
        made = row.write(folder, job)
        has_head = row.name in ("hf", "peft") and _has_head(bundle)
        own = task_side(bundle, model) if has_head else side_of(bundle, model)
        found = compare(own, made, TEXTS, _settings(row, job, config), progress=progress)
        if not found.equal and not config.accept_divergence:
            raise ParityError(_message(row, found))
        name = made.dtype if job.dtype == "auto" else job.dtype
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        done = Export(out, row.name, name, size, replace(found, a=job.name, b=row.name))
        write_record(folder, done.to_json(), name=out.name)
        write_parity(folder, done.parity, format=row.name, dtype=name)
    if not done.parity.equal:
        progress.warn(f"{out}: {_found(done.parity)}; kept, since accept_divergence=true")
    if row.name == "hf" and isinstance(bundle.task, ReadingTask):
        reason = bundle.task.why_no_class(bundle.model)
        if reason is not None:
            progress.warn(f"{out}: Wenlu reads the head of {bundle.task.name}, transformers only the body: {reason}")
    cut = cut_like(bundle.tokenizer.document)
    if row.name == "gguf" and cut is not None and OWN in cut.names:
        progress.warn(
            f"{out}: llama.cpp does not know how this tokenizer cuts text ({OWN!r}) and will refuse the file, which "
            'Wenlu reads; for one that it opens, train with tokenizer.pattern="gpt2" or "gpt4"'
        )
    return done


def _hf(folder: Path, job: Job) -> Side:
    bundle = in_class_of_family(_converted(job))
    write_bundle(folder, bundle, name=job.name, run=job.run, language=job.language)
    return (task_side if _has_head(bundle) else side_of)(load(folder), "hf")


def _peft(folder: Path, job: Job) -> Side:
    write_bundle(folder, job.bundle, name=job.name, run=job.run, language=job.language)
    return (task_side if _has_head(job.bundle) else side_of)(load(folder), "peft")


def in_class_of_family(bundle: Bundle) -> Bundle:
    """The model with its head as the class that transformers has for both, where one answers alike."""
    task = bundle.task
    if not isinstance(task, ReadingTask) or task.why_no_class(bundle.model) is not None:
        return bundle
    whole = task.as_class(bundle.model).eval()
    return replace(bundle, model=whole, config=whole.config, task=task.with_settings(pooling=OWN_POOLING))


def _has_head(bundle: Bundle) -> bool:
    return isinstance(bundle.task, ReadingTask)


def _gguf(folder: Path, job: Job) -> Side:
    names: dict[str, FileType] = {"float32": "f32", "float16": "f16", "bfloat16": "bf16", "q8_0": "q8_0"}
    model, tokenizer = _plain(job.bundle).model, job.bundle.tokenizer
    turn_ends = sorted(job.bundle.end_ids - {tokenizer.eos_id})
    write_gguf(
        folder / "model.gguf",
        model,
        family_of(model),
        tokenizer,
        type=names[job.dtype],
        end_of_turn_id=turn_ends[0] if turn_ends else None,
    )
    _write_card(folder, job)
    side = side_of(load(folder / "model.gguf"), "gguf")
    ends = side.ends if len(turn_ends) < 2 else job.bundle.end_ids  # the file has room for two
    return replace(side, dtype=job.dtype, ends=ends)


def _onnx(folder: Path, job: Job) -> Side:
    bundle = _plain(_converted(job))
    family = family_of(bundle.model)
    export_onnx(folder / "model.onnx", bundle.model, family)
    save_config(folder, bundle.model, family)
    tokenizer_kept(bundle.tokenizer, bundle.task).save(folder)
    if family.abilities & {Ability.CAUSAL, Ability.ENCODER_DECODER}:
        write_generation_config(folder, generation_kept(bundle))
    _write_card(folder, job)
    return onnx_side(OnnxModel(folder / "model.onnx"), bundle)


FORMATS: tuple[Format, ...] = (
    Format("hf", ("float32", "float16", "bfloat16"), keeps=True, write=_hf),
    Format("gguf", ("float16", "float32", "bfloat16", "q8_0"), keeps=False, write=_gguf),
    Format("onnx", ("float32",), keeps=False, write=_onnx),
    Format("peft", ("auto",), keeps=True, write=_peft),
)
"""Forms of language models; those of word vectors are `VECTORS_FORMATS`."""

_ONNX_LOGITS = 1e-4
"""Beside 1e-5 of the largest logit: SmolLM2-135M in float32 is itself 0.9e-4 from what it says in float64."""


def _settings(row: Format, job: Job, config: ExportConfig) -> ParitySettings:
    """The thresholds of the form that is written; an ONNX graph computes in float32 what the model does."""
    settings = config.parity
    if settings.dtype == "auto" and job.dtype == "q8_0":
        settings = settings.model_copy(update={"dtype": "q8_0"})
    stored = next(job.bundle.model.parameters()).dtype
    if row.name == "onnx" and settings.logits == "auto" and stored == torch.float32:
        settings = settings.model_copy(update={"logits": _ONNX_LOGITS})
    return settings


def _vectors(model: str | Path, out: Path, config: ExportConfig, progress: Progress) -> VectorsExport:
    foreign = sorted(config.model_fields_set - {"format"})
    if foreign:
        raise UsageError(f"{foreign[0]}: word vectors have no such setting, they stay float32 as they are; remove it")
    match config.format:
        case "auto" | "text" | "folder":
            return export_vectors(model, out, config.format, progress=progress)
    raise UsageError(
        f"format = {config.format!r} is one of language models; {model} holds word vectors, which have "
        f"{', '.join(VECTORS_FORMATS)}"
    )


def _job(bundle: Bundle, out: Path, config: ExportConfig, row: Format) -> Job:
    dtype = config.dtype if config.dtype != "auto" or row.keeps else row.dtypes[0]
    path = bundle.path
    run = next((folder for folder in (path, path.parent) if is_run(folder)), None)
    if row.name != "peft":
        bundle = _merged(bundle)
    return Job(bundle, out.name if run is None else run.resolve().name, run, dtype, config.language)


def _converted(job: Job) -> Bundle:
    """The bundle with its numbers in the wanted type; the same one where nothing changes."""
    if job.dtype == "auto":
        return job.bundle
    wanted = getattr(torch, job.dtype)
    if next(job.bundle.model.parameters()).dtype == wanted:
        return job.bundle
    again = load(job.bundle.path, dtype=wanted)
    if adapter_names(again.model):  # the sum is rounded once
        again = _merged(load(job.bundle.path, dtype=torch.promote_types(wanted, torch.float32)))
    return replace(job.bundle, model=again.model.to(wanted))


def _merged(bundle: Bundle) -> Bundle:
    """The model with its adapter in its weights."""
    if not adapter_names(bundle.model):
        return bundle
    model = merged_model(bundle.model)
    return replace(bundle, model=model, config=model.config)


def _plain(bundle: Bundle) -> Bundle:
    """The bundle with plain maps alone, for forms that have no place for ours."""
    if quantised_layers(bundle.model):
        bundle = replace(bundle, model=dequantised(bundle.model))
    return replace(bundle, model=multiplied_out(bundle.model)) if low_rank_layers(bundle.model) else bundle


def _write_card(folder: Path, job: Job) -> None:
    model = job.bundle.model
    subject = Subject(job.name, model, family_of(model), job.bundle.tokenizer)
    atomic.write_text(folder / CARD, model_card(subject, job.run, job.language))


def _found(found: Parity) -> str:
    """What is beyond its threshold, and where first."""
    numbers = {name: value for name, value in asdict(found).items() if name in found.failed}
    shown = ", ".join(
        f"{name} = {value:.6g}" if isinstance(value, float) else f"{name} = {value}" for name, value in numbers.items()
    )
    place = found.first_difference
    where = "" if place is None else f"; first at text {place.text}, token {place.position}: {place.what}"
    return f"the exported model answers otherwise than the model ({shown}{where})"


def _message(row: Format, found: Parity) -> str:
    return (
        f"format {row.name}: {_found(found)}, so nothing was written. Another dtype may be near enough, or thresholds "
        "that you set yourself (parity.logits=…); accept_divergence=true keeps it all the same and says so"
    )
