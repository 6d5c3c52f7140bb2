"""The verbs that a recipe goes through: each is the life up to a point."""

from __future__ import annotations

import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from wenlu.bundle import load as load_bundle
from wenlu.config import load
from wenlu.corpus.prepare import DataSummary, read_split, splits
from wenlu.distributed import from_environment, opened
from wenlu.errors import UsageError
from wenlu.evaluation import Evaluation
from wenlu.generation.asking import ask
from wenlu.generation.conversation import Conversation
from wenlu.generation.predict import predict
from wenlu.lifecycle import members
from wenlu.lifecycle.architectures import architectures_stage
from wenlu.lifecycle.augmentation import augment_stage
from wenlu.lifecycle.base import with_base
from wenlu.lifecycle.check import CheckReport, check_life, check_stage
from wenlu.lifecycle.evaluate import evaluate
from wenlu.lifecycle.folds import candidates_of, cross_validate
from wenlu.lifecycle.forgetting import forgetting_stage
from wenlu.lifecycle.ladder.standing import Ladder
from wenlu.lifecycle.ladder.verb import climb
from wenlu.lifecycle.life import Life
from wenlu.lifecycle.pictures import has_pictures
from wenlu.lifecycle.recipe import Recipe
from wenlu.lifecycle.stages import (
    data_stage,
    evaluate_stage,
    examples_stage,
    pictures_stage,
    report_stage,
    samples_stage,
    tokenizer_stage,
    tokens_stage,
    train_stage,
)
from wenlu.lifecycle.vectors import vectors_life, vectors_until_model
from wenlu.progress import QUIET, Progress
from wenlu.rundir import Run, atomic, provenance
from wenlu.rundir.listing import RunRow, list_runs
from wenlu.rundir.trackers import check_installed
from wenlu.tasks import LABELLED_TASKS, LabelledConfig
from wenlu.tokenizers import FertilityReport, Tokenizer, fertility

__all__ = [
    "RunSummary",
    "ask",
    "chat",
    "check",
    "data",
    "evaluate",
    "finetune",
    "ladder",
    "predict",
    "pretrain",
    "run",
    "runs",
    "tokenizer",
]

CHECK_SECONDS = 10.0
"""That eight examples may take to be learnt by heart when one waits for it."""


@dataclass(frozen=True)
class RunSummary:
    """What a life ended in.

    Attributes:
        seconds: by stage, of the last time that each was carried out.
        evaluation: the content of `evaluation.json`, where the life went that far.
        prompt: the first line of the first sample's prompt, to try next.
    """

    path: Path
    seconds: dict[str, float]
    evaluation: dict[str, Any] | None
    prompt: str | None

    @property
    def transfer(self) -> list[dict[str, Any]]:
        """The content of `transfer.json`: each of several tasks together with the others and alone."""
        return _content(self.path / members.TRANSFER) or []

    @property
    def answers_examples(self) -> bool:
        """Whether the model is of a labelled task."""
        return (self.evaluation or {}).get("task") in {task.name for task in LABELLED_TASKS}

    def values(self, name: str = "loss") -> dict[int, float]:
        """By step, the numbers that the run logged under a name of `events.jsonl`; none where it never logged it."""
        events = (event for event in Run(self.path).events() if event.name == name)
        return {event.step: event.value for event in events if not isinstance(event.value, str)}

    def to_json(self) -> dict[str, Any]:
        transfer = {"transfer": self.transfer} if self.transfer else {}
        return {"run": str(self.path), "seconds": self.seconds, **(self.evaluation or {}), **transfer}


def run(
    recipe: str | Path, out: str | Path, overrides: Sequence[str] = (), *, progress: Progress = QUIET
) -> RunSummary:
    """The whole life: data, tokenizer, training, evaluation, samples, report; or that of word vectors.

    A second call does nothing; after a change of settings, data or code the stages that it touches, and those
    behind them, run again; an interrupted one goes on. Raises the errors of `wenlu.errors`.
    """
    with _begin(recipe, out, overrides, progress) as life:
        if life.recipe.vectors is not None:
            return _summary(vectors_life(life))
        life = check_stage(read_stages(life))
        life = _trained(life) if life.recipe.architectures is None else architectures_stage(life)
        if life.world.is_first:
            report_stage(samples_stage(life))
        return _summary(life)


def data(
    recipe: str | Path, out: str | Path, overrides: Sequence[str] = (), *, progress: Progress = QUIET
) -> DataSummary:
    """The life up to the cleaned and split records in `out/data`."""
    with _begin(recipe, out, overrides, progress, trains=False) as life:
        data_stage(life)
        return DataSummary.open(life.out / "data")


def tokenizer(
    recipe: str | Path, out: str | Path, overrides: Sequence[str] = (), *, progress: Progress = QUIET
) -> FertilityReport:
    """The life up to the tokenizer in `out/tokenizer`; returns its fertility on held-out texts, by language."""
    with _begin(recipe, out, overrides, progress, trains=False) as life:
        tokenizer_stage(data_stage(life))
        texts: dict[str, list[str]] = defaultdict(list)
        for record in read_split(life.out / "data", splits(life.out / "data")[-1]):
            texts[record.meta.get("language", "all")].append(record.text)
        report = fertility(Tokenizer.load(life.out / "tokenizer"), texts)
        atomic.write_text(
            life.out / "fertility.json", json.dumps(report.to_json(), ensure_ascii=False, indent=2) + "\n"
        )
        return report


def pretrain(
    recipe: str | Path, out: str | Path, overrides: Sequence[str] = (), *, progress: Progress = QUIET
) -> RunSummary:
    """The life up to the trained model in `out/model`."""
    with _begin(recipe, out, overrides, progress) as life:
        if life.recipe.vectors is not None:
            return _summary(vectors_until_model(life))
        return _summary(train_stage(check_stage(read_stages(life))))


def check(
    recipe: str | Path, out: str | Path | None = None, overrides: Sequence[str] = (), *, progress: Progress = QUIET
) -> CheckReport:
    """Whether a recipe would learn, in under a minute; makes data and tokenizer in `out`, where they are not there yet.

    Writes `check.json` and `check.html` there; without `out` nothing stays. Raises UsageError for word vectors.
    """
    with ExitStack() as stack:
        folder = Path(out) if out is not None else Path(stack.enter_context(TemporaryDirectory())) / "run"
        life = stack.enter_context(_begin(recipe, folder, overrides, progress))
        if life.recipe.vectors is not None:
            raise UsageError(f"{recipe}: makes word vectors, and what is checked is the training of a model")
        report = check_life(read_stages(life), seconds=CHECK_SECONDS)
        report.save(life.out, life.recipe.language)
        return report


def finetune(
    recipe: str | Path, out: str | Path, overrides: Sequence[str] = (), *, progress: Progress = QUIET
) -> RunSummary:
    """The whole life of a model that begins with another, or that learns from labelled examples.

    Raises UsageError where the recipe has neither, or would judge a model of your data by its own; the others are those
    of `run`.
    """
    settings = load(Recipe, Path(recipe), overrides)
    if settings.model.base is None and not settings.has_examples:
        raise UsageError(
            f"{recipe}: nothing to fine-tune: name a model in model.base, or a task with labelled examples in "
            "task.name; models from random weights are made by: wenlu pretrain"
        )
    _refuse_foreign_test(Path(recipe), overrides)
    return run(recipe, out, overrides, progress=progress)


def ladder(
    recipe: str | Path, out: str | Path | None = None, overrides: Sequence[str] = (), *, progress: Progress = QUIET
) -> Ladder:
    """Train cheap models and the recipe's own on its split, as `[compare]` says, and compare them.

    Raises UsageError where the recipe has no labelled examples, or as `finetune`.
    """
    settings = load(Recipe, Path(recipe), overrides)
    if not isinstance(settings.task, LabelledConfig):
        what = f"{settings.task.name} has no labelled examples to compare models on"
        raise UsageError(f"{recipe}: {what}; two trained runs are compared by: wenlu compare RUN RUN")
    _refuse_foreign_test(Path(recipe), overrides)
    out = Path("runs") / f"compare-{settings.name}" if out is None else out
    with _begin(recipe, out, overrides, progress, trains=False) as life:
        return climb(read_stages(life))


def _refuse_foreign_test(path: Path, overrides: Sequence[str]) -> None:
    given, recipe = {item.partition("=")[0].strip() for item in overrides}, load(Recipe, path)
    held_out = {f"members.{name}.data": member.data.test for name, member in recipe.members.items()}
    if recipe.data is not None:
        held_out["data"] = recipe.data.test
    for data, test in held_out.items():
        if f"{data}.train" in given and f"{data}.test" not in given and isinstance(test, tuple):
            raise UsageError(
                f"{path}: {data}.train is yours, but {data}.test is still the recipe's own; give {data}.test=FILE too, "
                f"or hold out a part of yours: {data}.test=0.1"
            )


def cross_validated(path: Path, out: Path, overrides: Sequence[str], *, progress: Progress = QUIET) -> Evaluation:
    """What `evaluate` does with a recipe that has `[folds]`; raises what `cross_validate` does."""
    config = load(Recipe, path, overrides).folds
    assert config is not None, "only recipes with folds come here"
    if from_environment().size > 1:
        raise UsageError("folds are for one process; run the command without torchrun")
    candidates = []
    for settings in candidates_of(config) if config.choose else ():
        given = [f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in settings.items()]
        candidates.append((settings, with_base(load(Recipe, path, [*overrides, *given]))))
    with _begin(path, out, overrides, progress) as life:
        return cross_validate(life, config, candidates)


def chat(model: str | Path, *, system: str = "") -> Conversation:
    """A conversation with the model at a path: `.answer(text, sampling)` streams, `.text` is all that was said."""
    return Conversation(load_bundle(model), system)


def runs(folder: str | Path = "runs") -> list[RunRow]:
    """The runs below a folder, newest first, with their state and scores."""
    return list_runs(Path(folder))


@contextmanager
def _begin(
    path: str | Path, out: str | Path, overrides: Sequence[str], progress: Progress, *, trains: bool = True
) -> Iterator[Life]:
    """The life of a recipe, of all processes that torchrun started; it `trains` a model or is for one process."""
    path, out = Path(path), Path(out)
    recipe = with_base(load(Recipe, path, overrides))
    check_installed(recipe.tracking.to)
    processes = from_environment().size
    if recipe.members and not trains:
        raise UsageError(f"{path}: has several tasks, each with data of its own; run it whole: wenlu finetune {path}")
    sections = [name for name in ("vectors", "architectures", "members", "forgetting") if getattr(recipe, name)]
    if processes > 1 and (sections or not trains):
        what = f"the section [{sections[0]}]" if sections else "what comes before training"
        raise UsageError(f"{processes} processes were started, and {what} is for one; run the command without torchrun")
    origin = provenance(sys.argv, seeds={"run": recipe.seed}, data={}) | {"processes": processes}
    with (
        opened(recipe.distributed.timeout_seconds) as world,
        world.watched(out / f"process-{world.rank:05d}.log"),
        Life.begin(recipe, out, origin, progress, world) as life,
    ):
        yield life


def read_stages(life: Life) -> Life:
    """Up to what training reads: encoded documents, or examples."""
    if life.recipe.members:
        return members.read_stages(life)
    life = tokenizer_stage(data_stage(life))
    if has_pictures(life.recipe):
        life = pictures_stage(life)
    return augment_stage(examples_stage(life)) if life.recipe.has_examples else tokens_stage(life)


def _trained(life: Life) -> Life:
    """Trained, and measured by the first process alone."""
    life = train_stage(life)
    if not life.world.is_first:
        return life
    return members.scored_stages(life) if life.recipe.members else forgetting_stage(evaluate_stage(life))


def _summary(life: Life) -> RunSummary:
    evaluation, samples = (_content(life.out / name) for name in ("evaluation.json", "samples.json"))
    prompt = next(iter(samples[0]["prompt"].splitlines()), "") if samples else None
    return RunSummary(life.out, life.cache.seconds(), evaluation, prompt)


def _content(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
