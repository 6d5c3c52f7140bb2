"""The rungs of neural models: runs of their own below the ladder's folder, that share its data and tokenizer."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path

from wenlu.bundle import load
from wenlu.config import Duration
from wenlu.evaluation.answered import evaluation_of
from wenlu.evaluation.labelled import context_of
from wenlu.evaluation.reading import as_it_answers, dtype_of
from wenlu.generation.answering import answers_to
from wenlu.lifecycle.base import with_base
from wenlu.lifecycle.ladder.outcome import Outcome, bytes_below
from wenlu.lifecycle.ladder.parts import Parts
from wenlu.lifecycle.life import Life
from wenlu.lifecycle.model_settings import ModelSettings
from wenlu.lifecycle.recipe import Recipe
from wenlu.lifecycle.stages import examples_stage, tokenizer_stage, train_stage
from wenlu.models.adapters import AdapterConfig
from wenlu.progress import Named
from wenlu.tasks import GenerativeTask, LabelledTask
from wenlu.tasks.labelled.reading import ReadingConfig
from wenlu.training import AdamWConfig

SHARED = ("data", "tokenizer")
ADAPTER = "adapter"
LEAST_SECONDS = 10.0
"""A training that may take less is left out."""
WIDTH = 128


def climb_neural(name: str, recipe: Recipe, life: Life, parts: Parts, folder: Path, seconds: float) -> Outcome:
    """Train a recipe's model for at most so many seconds, and score it.

    Raises UsageError where they do not suffice for a step.
    """
    own = {"gru": small_gru, ADAPTER: with_adapter}.get(name)
    recipe = within(recipe if own is None else own(recipe), seconds)
    alike = SHARED if name != ADAPTER else ("data",)  # whose base has a tokenizer of its own
    with Life.begin(recipe, folder, life.origin, Named(name, life.progress)) as one:
        for shared in alike:
            _share(life.out / shared, folder / shared)
        one = replace(one, keys=tuple((stage, life.key(stage)) for stage in alike))
        one = tokenizer_stage(one) if name == ADAPTER else one
        begin = time.perf_counter()
        trained = train_stage(examples_stage(one))
        took = trained.cache.seconds().get("train", time.perf_counter() - begin)
        answering = _score(trained, parts)
        steps = trained.cache.facts("train").get("steps")
    bundle = load(folder / "model")
    size = sum(weight.numel() for weight in bundle.model.parameters())
    return Outcome(
        name=name,
        what=_what(name, recipe, size),
        seconds=took,
        milliseconds_per_text=1000 * answering / max(1, len(parts.test)),
        bytes=bytes_below(folder / "model"),
        chosen={"steps": steps, "parameters": size, "budget_seconds": round(seconds, 1)},
    )


def within(recipe: Recipe, seconds: float) -> Recipe:
    """The recipe whose training takes at most so many seconds."""
    train, limit = recipe.train, Duration(round(seconds, 1), "seconds")
    if train.duration.unit == "seconds":
        least = min(train.duration, limit, key=lambda each: each.amount)
        return recipe.model_copy(update={"train": train.model_copy(update={"duration": least})})
    least = limit if train.budget is None else min(train.budget, limit, key=lambda each: each.amount)
    return recipe.model_copy(update={"train": train.model_copy(update={"budget": least})})


def small_gru(recipe: Recipe) -> Recipe:
    """One layer of gated recurrent units, whose mean state is read, from random weights."""
    task = recipe.task
    if isinstance(task, ReadingConfig) and not task.is_of_tokens:
        task = task.model_copy(update={"pooling": "mean"})
    elif isinstance(task, ReadingConfig):
        task = task.model_copy(update={"pooling": "auto"})
    train = recipe.train.model_copy(update={"frozen": (), "start": "random", "vectors": None, "zero_outputs": False})
    model = ModelSettings(family="gru", hidden_size=WIDTH, embedding_size=WIDTH, num_hidden_layers=1)  # type: ignore[call-arg]
    optimizer = AdamWConfig(lr=2e-3, weight_decay=0.01)
    own = {"task": task, "model": model, "train": train, "optimizer": optimizer, "adapter": None}
    return recipe.model_copy(update=own)


def with_adapter(recipe: Recipe) -> Recipe:
    """An adapter beside the language model that is also prompted, at the rate and rank of `recipes/adapt.toml`.

    Raises the errors of `with_base`.
    """
    task = recipe.task
    if isinstance(task, ReadingConfig):
        task = task.model_copy(update={"pooling": "auto"})
    own = {"frozen": (), "start": "random", "vectors": None, "zero_outputs": False}
    return with_base(
        recipe.model_copy(
            update={
                "task": task,
                "model": ModelSettings(base=recipe.compare.decoder),
                "train": recipe.train.model_copy(update=own),
                "optimizer": AdamWConfig(lr=2e-4, weight_decay=0.0),
                "adapter": AdapterConfig(),
            }
        )
    )


def _score(life: Life, parts: Parts) -> float:
    """Write the evaluation of `model/`; returns how many seconds answering took."""
    config = life.recipe.task_evaluate.model_copy(update={"baseline": False})
    bundle = load(life.out / "model")
    task = bundle.task
    assert isinstance(task, LabelledTask), "only recipes with labelled examples come here"
    sampling = life.recipe.generate if isinstance(task, GenerativeTask) else None
    model, context = as_it_answers(bundle.model, config), context_of(bundle, config)
    config = config.model_copy(update={"dtype": dtype_of(model), "context": context})
    begin = time.perf_counter()
    answers = answers_to(replace(bundle, model=model), parts.test.examples, context, sampling, progress=life.progress)
    answering = time.perf_counter() - begin
    told = {"task": task.name, "ctx": str(context), "dtype": config.dtype, "tok": bundle.tokenizer.fingerprint[:8]}
    evaluation_of(task, parts.test.judged, answers, config, told).save(life.out)
    return answering


def _what(name: str, recipe: Recipe, size: int) -> str:
    millions = f"{size / 1e6:.1f} million weights"
    if name == "gru":
        return f"a small recurrent network, {millions}"
    if recipe.adapter is not None:
        return f"{recipe.model.base} with an adapter, {millions}"
    if recipe.model.base is not None:
        return f"{recipe.model.base} fine-tuned, {millions}"
    return f"{recipe.model.family} from random weights, {millions}"


def _share(source: Path, place: Path) -> None:
    if place.exists():
        return
    try:
        place.symlink_to(Path("..") / ".." / source.name, target_is_directory=True)
    except OSError:  # where links are not allowed
        shutil.copytree(source, place)
