"""A model in a form that other programs read, checked against the model before it gets its name."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from wenlu import __version__
from wenlu.bundle import Bundle, load
from wenlu.compression.onnx import OnnxModel, example_length, export_onnx
from wenlu.config import Config, check, override
from wenlu.errors import ParityError, UsageError
from wenlu.lifecycle.model_card import CARD, Subject, model_card
from wenlu.lifecycle.model_folder import generation_kept, write_bundle
from wenlu.lifecycle.parity import TEXTS, Parity, ParitySettings, Side, compare, side_of
from wenlu.lifecycle.report.words import Language
from wenlu.models import Ability, family_of
from wenlu.models.weights import save_config
from wenlu.models.weights.generation_config import write_generation_config
from wenlu.models.weights.gguf import FileType, write_gguf
from wenlu.progress import QUIET, Progress
from wenlu.rundir import atomic, is_run

FormatName = Literal["hf", "gguf", "onnx"]
Dtype = Literal["auto", "float32", "float16", "bfloat16", "q8_0"]
RECORD = "export.json"
"""Says that a folder is an export, which a later one may replace."""


class ExportConfig(Config):
    """What `wenlu export` takes.

    Attributes:
        format: a folder in Hugging Face's layout, one GGUF file, or an ONNX graph; each with its tokenizer.
        dtype: of the numbers; "auto" keeps those of a Hugging Face folder, and takes float16 for GGUF and float32 for
            ONNX.
        language: of the model card.
    """

    format: FormatName = "hf"
    dtype: Dtype = "auto"
    language: Language = "en"
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


def export(model: str | Path, out: Path, overrides: Sequence[str] = (), *, progress: Progress = QUIET) -> Export:
    """Write `model` in another form to the new folder `out`, unless it answers otherwise than the model.

    Args:
        model: what `load` takes.
        out: a folder that does not exist, is empty, or holds an export, which is replaced at once.
        overrides: `format=…`, `dtype=…`, `language=…`, and the thresholds of `[parity]`.

    Raises:
        ParityError: the exported form answers otherwise; nothing is left behind.
        UsageError: `out` holds something else, or the format has no such dtype.
        WeightsError: the model cannot be loaded, or has no such form.
    """
    config = check(ExportConfig, override({}, overrides), where="export")
    row = next(row for row in FORMATS if row.name == config.format)
    if config.dtype not in ("auto", *row.dtypes):
        raise UsageError(f"dtype = {config.dtype!r}: format {row.name} has {', '.join(row.dtypes)}")
    _refuse_foreign(out)
    bundle = load(model)
    job = _job(bundle, out, config)
    with atomic.atomic_folder(out) as folder:
        made = row.write(folder, job)
        found = compare(side_of(bundle, model), made, TEXTS, _settings(row, job, config), progress=progress)
        if not found.equal:
            raise ParityError(_message(row, found))
        name = made.dtype if job.dtype == "auto" else job.dtype
        size = sum(path.stat().st_size for path in folder.iterdir())
        done = Export(out, row.name, name, size, replace(found, a=job.name, b=row.name))
        record = {"wenlu": __version__, **done.to_json(), "path": out.name}
        atomic.write_text(folder / RECORD, json.dumps(record, ensure_ascii=False, indent=2) + "\n")
    return done


def _hf(folder: Path, job: Job) -> Side:
    write_bundle(folder, _converted(job), name=job.name, run=job.run, language=job.language)
    return side_of(load(folder), "hf")


def _gguf(folder: Path, job: Job) -> Side:
    names: dict[str, FileType] = {"float32": "f32", "float16": "f16", "bfloat16": "bf16", "q8_0": "q8_0"}
    model, tokenizer = job.bundle.model, job.bundle.tokenizer
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
    return replace(side, dtype=job.dtype)


def _onnx(folder: Path, job: Job) -> Side:
    bundle = _converted(job)
    family = family_of(bundle.model)
    export_onnx(folder / "model.onnx", bundle.model, family)
    save_config(folder, bundle.model, family)
    bundle.tokenizer.save(folder)
    if Ability.CAUSAL in family.abilities:
        write_generation_config(folder, generation_kept(bundle))
    _write_card(folder, job)
    graph = OnnxModel(folder / "model.onnx")
    _check_lengths(graph, side_of(bundle, "onnx"), (1, example_length(bundle.model) + 2))
    size = bundle.tokenizer.vocab_size

    def go_on(prompts: list[list[int]], count: int) -> list[list[int]]:
        rows: dict[int, list[int]] = {}
        for length in {len(prompt) for prompt in prompts}:  # rows of one length need no padding
            alike = [row for row, prompt in enumerate(prompts) if len(prompt) == length]
            rows |= zip(alike, _continued(graph, [prompts[row] for row in alike], count, size), strict=True)
        return [rows[row] for row in range(len(prompts))]

    return replace(side_of(bundle, "onnx"), answer=graph, go_on=go_on)


FORMATS: tuple[Format, ...] = (
    Format("hf", ("float32", "float16", "bfloat16"), keeps=True, write=_hf),
    Format("gguf", ("float16", "float32", "bfloat16", "q8_0"), keeps=False, write=_gguf),
    Format("onnx", ("float32",), keeps=False, write=_onnx),
)
"""Forms of language models; what is not one, as word vectors, has formats of its own beside them."""

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


def _job(bundle: Bundle, out: Path, config: ExportConfig) -> Job:
    row = next(row for row in FORMATS if row.name == config.format)
    dtype = config.dtype if config.dtype != "auto" or row.keeps else row.dtypes[0]
    path = bundle.path
    run = next((folder for folder in (path, path.parent) if is_run(folder)), None)
    return Job(bundle, out.name if run is None else run.resolve().name, run, dtype, config.language)


def _converted(job: Job) -> Bundle:
    """The bundle with its numbers in the wanted type; the same one where nothing changes."""
    if job.dtype == "auto":
        return job.bundle
    wanted = getattr(torch, job.dtype)
    if next(job.bundle.model.parameters()).dtype == wanted:
        return job.bundle
    return replace(job.bundle, model=load(job.bundle.path, dtype=wanted).model)


def _write_card(folder: Path, job: Job) -> None:
    model = job.bundle.model
    subject = Subject(job.name, model, family_of(model), job.bundle.tokenizer)
    atomic.write_text(folder / CARD, model_card(subject, job.run, job.language))


def _continued(
    graph: Callable[[Tensor], Tensor], prompts: list[list[int]], count: int, vocab_size: int
) -> list[list[int]]:
    """The likeliest next tokens of prompts of one length, read anew each time."""
    ids = torch.tensor(prompts)
    for _ in range(count):
        ids = torch.cat([ids, graph(ids)[:, -1:, :vocab_size].argmax(-1)], dim=1)
    found: list[list[int]] = ids[:, len(prompts[0]) :].tolist()
    return found


def _check_lengths(graph: OnnxModel, model: Side, lengths: Sequence[int]) -> None:
    """Raise ParityError where the graph answers otherwise than the model at a length that texts seldom have."""
    known = [number for text in TEXTS for number in model.tokenizer.encode(text)]
    for length in lengths:
        if model.context is not None and length + 2 > model.context:
            continue
        ids = torch.tensor([(known * (1 + length // len(known)))[:length]])
        mine, graphs = model.answer(ids).double(), graph(ids).double()
        apart = float((mine - graphs).abs().max())
        if not apart <= 1e-3 + 1e-4 * float(mine.abs().max()):
            raise ParityError(
                f"format onnx: with {length} tokens the graph answers otherwise than the model: a number differs by "
                f"{apart:.3g}, so nothing was written; the exporter has no form for what this model does with length"
            )


def _message(row: Format, found: Parity) -> str:
    numbers = {name: value for name, value in asdict(found).items() if name in found.failed}
    shown = ", ".join(
        f"{name} = {value:.6g}" if isinstance(value, float) else f"{name} = {value}" for name, value in numbers.items()
    )
    place = found.first_difference
    where = "" if place is None else f"; first at text {place.text}, token {place.position}: {place.what}"
    return (
        f"format {row.name}: the exported model answers otherwise than the model ({shown}{where}), so nothing was "
        "written. Another dtype may be near enough, or thresholds that you set yourself (parity.logits=…)"
    )


def _refuse_foreign(out: Path) -> None:
    if out.is_dir() and (any(out.iterdir()) and not (out / RECORD).is_file()):
        raise UsageError(f"{out}: holds something that is no export (no {RECORD} in it); choose another --out")
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out}: is a file; --out names a folder")
