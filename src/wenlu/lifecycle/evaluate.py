"""The verb `evaluate`: what a model, a run or a recipe means by its held-out texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from wenlu.bundle import Bundle, load, vectors_path
from wenlu.config import Config, check, override
from wenlu.config import load as read_config
from wenlu.corpus.record import Drop, Record
from wenlu.corpus.shards import TokenData
from wenlu.corpus.sources import SourceList, open_sources
from wenlu.errors import UsageError
from wenlu.evaluation import EvaluateConfig, Evaluation, evaluate_run, evaluate_texts
from wenlu.generation.answering import sampling_of
from wenlu.generation.labelled import value_of
from wenlu.lifecycle.examples import read_examples
from wenlu.lifecycle.labelled_evaluation import (
    beside_its_base,
    evaluate_labelled_run,
    evaluate_members,
    evaluate_records,
)
from wenlu.lifecycle.life import member_root
from wenlu.lifecycle.readings import log_reading
from wenlu.lifecycle.recipe import Recipe
from wenlu.lifecycle.word_evaluation import evaluate_word_model
from wenlu.models import family_of
from wenlu.progress import QUIET, Progress
from wenlu.tasks import GenerativeTask, LabelledTask, MultiTask, new_task


class HeldOutConfig(Config):
    """Texts to score a model on, in place of those that its run held out."""

    test: SourceList = ()


class EvaluateSettings(Config):
    """What `wenlu evaluate` takes besides a recipe's own settings."""

    data: HeldOutConfig = HeldOutConfig()
    evaluate: EvaluateConfig = EvaluateConfig()


def evaluate(
    target: str, overrides: Sequence[str] = (), *, out: Path | None = None, progress: Progress = QUIET
) -> Evaluation:
    """Score a model on held-out texts, beside an n-gram where there are training texts to fit it to.

    Args:
        target: a run directory: its held-out split, with an n-gram of its training split. Another model that `load`
            takes: the texts of `data.test=FILE`, without an n-gram. Word vectors: the sets of `[word_tests]`. A recipe
            (.toml): the life up to the model in `out`, then as a run; with `[folds]` its cross-validation.
        overrides: of `[evaluate]`, and `data.test`; of a labelled task also of `[generate]`, and what of `[task]` is
            about answering; of the whole recipe where the target is one. Of a model of several tasks `task=NAME`
            chooses one; else all are scored on what the run held out. `of=RUN` asks the model what that run was
            trained to write, on what it held out: a base before its tuning, say.
        out: where to write evaluation.json and evaluation.jsonl; nowhere by default.

    Raises:
        UsageError: a recipe without `out`, or a model without texts.
        ConfigError, DataError, WeightsError: what does not fit, and where.
    """
    if target.endswith(".toml"):
        evaluation = _of_recipe(Path(target), overrides, out, progress)
    else:
        evaluation = _of_model(target, overrides, progress)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        evaluation.save(out)
    return evaluation


def _of_recipe(path: Path, overrides: Sequence[str], out: Path | None, progress: Progress) -> Evaluation:
    from wenlu.lifecycle import verbs  # which lists this verb among its own

    if out is None:
        raise UsageError(f"{path}: a recipe is run before its model is scored; say where with --out DIR")
    recipe = read_config(Recipe, path, overrides)
    if recipe.folds is not None:
        return verbs.cross_validated(path, out, overrides, progress=progress)
    verbs.pretrain(path, out, overrides, progress=progress)
    if vectors_path(out) is not None:
        return evaluate_word_model(str(out), progress=progress)
    if recipe.has_examples:
        return _of_model(str(out), (), progress)
    return evaluate_run(load(out / "model"), out, recipe.task_evaluate, progress=progress)


def _of_model(target: str, overrides: Sequence[str], progress: Progress) -> Evaluation:
    if vectors_path(target) is not None:
        return evaluate_word_model(target, overrides, progress=progress)
    run, overrides = value_of("of", overrides)
    if run is not None:
        return _beside_run(target, Path(run), overrides, progress)
    member, overrides = value_of("task", overrides)
    bundle = load(target, task=member)
    path = Path(target)
    if isinstance(bundle.task, MultiTask):
        return _of_several(bundle, path, overrides, progress)
    if member is not None and member_root(path, member).is_dir():
        path = member_root(path, member)
    is_run = (path / "data").is_dir()
    if isinstance(bundle.task, LabelledTask):
        return _of_labelled(bundle, bundle.task, path, overrides, progress)
    given = override(_settings_of(path), overrides)
    _refuse_settled(given, path)
    settings = check(EvaluateSettings, given, where=f"evaluate {path}")
    if not settings.data.test:
        if not is_run:
            raise UsageError(f"{path}: has no held-out texts of its own (no data/); give some with data.test=FILE")
        return _read(path, evaluate_run(bundle, path, settings.evaluate, progress=progress), progress)
    records = read_texts(settings.data.test, progress)
    return evaluate_texts(
        bundle,
        records,
        settings.evaluate.model_copy(update={"split": "test"}),
        training=_training(path, bundle),
        progress=progress,
    )


def _beside_run(target: str, run: Path, overrides: Sequence[str], progress: Progress) -> Evaluation:
    """What a model writes where a run was trained to, on the examples that it held out."""
    bundle, other = load(target), load(run)
    task = other.task
    if not isinstance(task, GenerativeTask):
        name = "text" if task is None else task.name
        raise UsageError(f"of={run}: {target} has no head that was trained for {name}; of= is for tasks that write")
    if not task.config.accepts(family_of(bundle.model)):
        raise UsageError(f"of={run}: {task.name} is for {task.config.suits}, and {target} is none of these")
    given = override(_settings_of(run), overrides)
    sampling = sampling_of(other, given.pop("generate", {}))
    _refuse_settled(given, run)
    settings = check(EvaluateSettings, given, where=f"evaluate {target}")
    asked = replace(bundle, task=new_task(task.config, bundle.tokenizer))
    found = evaluate_labelled_run(asked, run, settings.evaluate, sampling=sampling, progress=progress)
    log_reading(run, bundle.path, found, progress)
    return replace(found, facts={**found.facts, "of": str(run)})


def _of_several(bundle: Bundle, path: Path, overrides: Sequence[str], progress: Progress) -> Evaluation:
    assert isinstance(bundle.task, MultiTask), f"{path} was trained for several tasks"
    given, names = override(_settings_of(path), overrides), ", ".join(bundle.task.members)
    if "data" in given:
        raise UsageError(f"data: {path} does several tasks; say whose examples they are: task=NAME of {names}")
    if not member_root(path, next(iter(bundle.task.members))).is_dir():
        raise UsageError(f"{path}: has no held-out examples; choose a task and give some: task=NAME data.test=FILE")
    settings = check(EvaluateSettings, given, where=f"evaluate {path}")
    return evaluate_members(bundle.path, path, settings.evaluate, progress)


def _of_labelled(
    bundle: Bundle, task: LabelledTask, path: Path, overrides: Sequence[str], progress: Progress
) -> Evaluation:
    """On the examples of `data.test`, columns named as in a recipe, or else on those that the run held out.

    `[generate]` says how a task that writes does so, and `[task]` what of answering is otherwise than in training.
    """
    given = override(_settings_of(path), overrides)
    data = given.get("data", {})
    columns = {role.name: data[role.name] for role in task.config.roles if role.name in data}
    asked, writing = given.pop("task", {}), given.pop("generate", {})
    _refuse_settled(given, path)
    settings = check(
        EvaluateSettings,
        {**given, "data": {key: value for key, value in data.items() if key not in columns}},
        where=f"evaluate {path}",
    )
    if writing and not isinstance(task, GenerativeTask):
        raise UsageError(f"generate.{next(iter(writing))}: {task.name} writes no text, so there is nothing to generate")
    if asked:
        task = task.asked(asked)
        bundle = replace(bundle, task=task)
    sampling = sampling_of(bundle, writing) if writing else None
    is_run = (path / "data").is_dir()
    if not settings.data.test:
        if not is_run:
            raise UsageError(f"{path}: has no held-out examples of its own (no data/); give some with data.test=FILE")
        found = evaluate_labelled_run(bundle, path, settings.evaluate, sampling=sampling, progress=progress)
        return _read(path, found, progress)
    config = task.config.model_copy(update={"columns": {**task.config.columns, **columns}})
    records = read_texts(config.told(settings.data.test), progress)
    training = list(read_examples(path, "train", task.config)) if is_run and settings.evaluate.baseline else []
    evaluate = settings.evaluate.model_copy(update={"split": "test"})
    bundle = beside_its_base(bundle, path) if is_run else bundle
    return evaluate_records(
        bundle, records, evaluate, columns=config, training=training, sampling=sampling, progress=progress
    )


def _read(run: Path, evaluation: Evaluation, progress: Progress) -> Evaluation:
    """What was found on what a run held out, of which the run keeps a log."""
    if (run / "model").is_dir():  # of several tasks the model is the whole run's
        log_reading(run, run, evaluation, progress)
    return evaluation


def _refuse_settled(given: Mapping[str, Any], path: Path) -> None:
    """Refuse settings of a recipe that a trained model cannot have otherwise."""
    for section, value in given.items():
        if section in Recipe.model_fields and section not in EvaluateSettings.model_fields:
            key = f"{section}.{next(iter(value))}" if isinstance(value, dict) and value else section
            raise UsageError(
                f"{key}: was settled when {path} was trained; what can be said here: data.test=FILE and the columns of "
                "it, evaluate.…, of tasks that write generate.…, and settings of answering in task.…"
            )


def _settings_of(path: Path) -> dict[str, Any]:
    """The run's own `[evaluate]`, from which overrides start."""
    file = path / "config.toml"
    return {"evaluate": read_config(Recipe, file).task_evaluate.model_dump(mode="json")} if file.is_file() else {}


def _training(path: Path, bundle: Bundle) -> TokenData | None:
    """The training tokens of a run, as long as the model speaks their language."""
    folder = path / "tokens" / "train"
    if not folder.is_dir():
        return None
    data = TokenData.open(folder)
    return data if data.tokenizer_fingerprint == bundle.tokenizer.fingerprint else None


def read_texts(specs: SourceList, progress: Progress) -> list[Record]:
    """The records of `data.test`; what cannot be read is counted in a warning."""
    records, drops = [], Counter[str]()
    for item in open_sources(specs, seed=0):
        if isinstance(item, Drop):
            drops[item.reason] += 1
        else:
            records.append(item)
    if drops:
        reasons = ", ".join(f"{reason} ({count})" for reason, count in drops.most_common(3))
        progress.warn(f"{drops.total()} records of data.test are left out: {reasons}")
    if len(records) == 1:
        progress.warn("one text shows no spread, so there is no interval; give more files, or records by line")
    return records
