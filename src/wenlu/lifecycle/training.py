"""What `train_stage` does: data, model and placement for `train`, what is chosen once, and the folder of the model."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from wenlu.bundle import model_path
from wenlu.corpus.damage import Damage
from wenlu.corpus.packing import Rows, TokenRows
from wenlu.corpus.prepare import read_split, splits
from wenlu.corpus.shards import TokenData
from wenlu.errors import ConfigError, UsageError
from wenlu.kernels.native import use_pool
from wenlu.lifecycle.adapter import adapt, check_processes, facts_of_base, trained_whole
from wenlu.lifecycle.augmentation import read_augmented
from wenlu.lifecycle.auto_size import Start, choose_size
from wenlu.lifecycle.base import base_config, begin_head_with_base, begin_with_base
from wenlu.lifecycle.calibration import calibrated
from wenlu.lifecycle.distillation import distilled
from wenlu.lifecycle.examples import read_examples, surveyed, training_examples
from wenlu.lifecycle.forgetting import budget_of
from wenlu.lifecycle.life import Life
from wenlu.lifecycle.mixed_training import each_calibrated, mixed_data, multi_task
from wenlu.lifecycle.model_card import Subject, model_card
from wenlu.lifecycle.model_folder import generation_of, keep_sight, tokenizer_kept, write_model_folder
from wenlu.lifecycle.model_settings import ModelSettings
from wenlu.lifecycle.pictures import new_config, new_sight, settled, with_pictures
from wenlu.lifecycle.recipe import Recipe
from wenlu.lifecycle.vectors_start import begin_with_vectors
from wenlu.models import LanguageModel, ModelConfig
from wenlu.rundir import atomic
from wenlu.rundir.trackers.process import tracked
from wenlu.tasks import (
    CausalLM,
    GenerativeTask,
    LabelledConfig,
    LabelledTask,
    MultiTask,
    MultiTaskConfig,
    PicturedTask,
    Task,
    TextTask,
    new_task,
)
from wenlu.tokenizers import Tokenizer
from wenlu.training import (
    TrainData,
    TrainState,
    check_bigram_start,
    choose_device,
    choose_dtype,
    choose_threads,
    fitted,
    freeze,
    gathered,
    placed,
    resolve_duration,
    start_from_bigrams,
    train,
)
from wenlu.training.rollouts import Rollouts
from wenlu.training.validation import device_of


@dataclass(frozen=True)
class Beginning:
    """All that training begins with.

    Attributes:
        recipe: with the size that "auto" stands for. build: makes the model anew, without a task's head.
        facts: what was chosen. sized: what is to be remembered of the size.
    """

    recipe: Recipe
    tokenizer: Tokenizer
    task: Task
    data: TrainData
    model: LanguageModel
    config: ModelConfig
    build: Callable[[], LanguageModel]
    facts: dict[str, Any]
    sized: dict[str, Any]


def begin_training(life: Life) -> Beginning:
    """Read the data and make the model, on the device and with the threads that training takes."""
    if life.recipe.train.allocator == "auto":
        use_pool()
    tokenizer = Tokenizer.load(life.root / "tokenizer")
    task = task_of(life, tokenizer)
    data = _data(life, task, tokenizer)
    device = choose_device(life.recipe.train)
    facts = _chosen(life, device)
    torch.set_num_threads(facts["threads"])
    recipe, config, sized = _sized(life, task, data, tokenizer, getattr(torch, facts["dtype"]), device)
    build = partial(
        recipe.model.chosen().build,
        config,
        dtype=getattr(torch, facts["dtype"]),
        zero_outputs=recipe.train.zero_outputs,
    )
    torch.manual_seed(recipe.seed)
    check_processes(recipe, life.world.size)
    model = build()
    new = _begun(life, recipe, model, data, tokenizer)
    adapt(recipe, model, new)
    model = task.trained(model)
    begin_head_with_base(recipe, task, model)
    model = model.to(device)
    data = replace(data, budget=budget_of(life, model, tokenizer))
    freeze(model, recipe.train.frozen)
    data = _prepared(life, task, data, model)
    return Beginning(recipe, tokenizer, task, data, model, config, build, facts, sized)


def train_life(life: Life) -> TrainState:
    """Train what the life's recipe says, from `tokens/` to `model/`; goes on from the newest checkpoint."""
    before, begun = life.cache.facts("train"), begin_training(life)
    recipe, task, data, model, facts = begun.recipe, begun.task, begun.data, begun.model, begun.facts
    learning = _learning(life, begun)
    if "steps" not in facts:
        here, processes = life.world.local_size, life.world.size
        resolved = fitted(recipe.train, recipe.optimizer, model, task, data.train, life.progress, processes=here)
        resolved = resolve_duration(
            resolved, recipe.optimizer, model, learning, data, recipe.seed, processes=processes, folder=life.out
        )
        facts |= {"steps": int(resolved.duration.amount), "device": device_of(model).type, **begun.sized}
        facts |= {"micro_batch_tokens": resolved.micro_batch_tokens, "model": begun.config.model_dump(mode="json")}
        facts = life.world.gather(facts)[0]
    if facts != before:
        life.cache.choose("train", facts)
        life.record()
    if recipe.model.base is None:
        learning.set_out(model, max(1, int(facts["micro_batch_tokens"]) // recipe.train.context))
    placement = placed(model, recipe.distributed, recipe.optimizer, life.world, seed=recipe.seed)
    chosen = life.resolved()
    with tracked(life.run, recipe.tracking.to if life.world.is_first else (), life.progress):
        state = train(
            chosen.train,
            chosen.optimizer,
            recipe.schedule,
            model=model,
            task=learning,
            data=data,
            run=life.run,
            seed=recipe.seed,
            placement=placement,
            progress=life.progress,
        )
    if life.world.is_first:
        whole = gathered(state, task.trained(begun.build()), life.run) if placement.is_cut else model
        if isinstance(task, LabelledTask) and "validation" in splits(life.root / "data"):
            held_out = list(read_examples(life.root, "validation", task.config))
            task = calibrated(task, whole, held_out, recipe.train.context, life.progress)
        elif isinstance(task, MultiTask):
            shares = task.shares(data.train, recipe.seed, state.step)
            life.cache.choose("train", {**life.cache.facts("train"), "shares": shares})
            task = each_calibrated(task, task.headed(whole), life.root, recipe.train.context, life.progress)
        _write_model(life, task, whole, begun.tokenizer)
    return state


def _learning(life: Life, begun: Beginning) -> Task:
    """What the steps of training learn: the task, with a teacher beside it, or by rewards."""
    recipe, task = begun.recipe, begun.task
    config = recipe.rollouts
    if config is None:
        writes = recipe.distill is not None and recipe.distill.on_policy and isinstance(task, LabelledTask)
        prompts = (begun.data.train, list(training_examples(life.root, task.config))) if writes else None  # type: ignore[arg-type]
        return distilled(recipe, task, begun.model, begun.tokenizer, prompts)
    if not isinstance(task, GenerativeTask):
        raise ConfigError(f"rollouts: are for tasks that write, but task is {task.name}")
    examples = list(training_examples(life.root, task.config))
    reference = deepcopy(begun.model) if config.beta else None
    return Rollouts(task, begun.data.train, examples, config, reference)


def openings(root: Path, count: int = 3, characters: int = 80) -> tuple[str, ...]:
    """The first lines of the first held-out documents of the data below `root`."""
    held_out = splits(root / "data")[-1]
    records = read_split(root / "data", held_out)
    return tuple(record.text[:characters] for record, _ in zip(records, range(count), strict=False))


def _prepared(life: Life, task: Task, data: TrainData, model: LanguageModel) -> TrainData:
    """The data with what the model says of it before the first step; where a run goes on, its weights come later."""
    validation = None
    if data.validation is not None:
        validation = task.prepared(data.validation, model, progress=life.progress)
    return replace(data, train=task.prepared(data.train, model, progress=life.progress), validation=validation)


def task_of(life: Life, tokenizer: Tokenizer) -> Task:
    """The task of the recipe, as its examples settled it."""
    config = life.recipe.task
    if isinstance(config, MultiTaskConfig):
        return multi_task(config, life.root, life.recipe.members, tokenizer)
    task = new_task(surveyed(life.root) if isinstance(config, LabelledConfig) else config, tokenizer)
    if isinstance(task, PicturedTask):
        seeing = with_pictures(task, life.root, new_sight(life.recipe, tokenizer))
        return settled(seeing, life.recipe, tokenizer)
    return task


def _data(life: Life, task: Task, tokenizer: Tokenizer) -> TrainData:
    if isinstance(task, MultiTask):
        return mixed_data(task, life.root, life.recipe.train.context, life.progress)
    if isinstance(task, LabelledTask):
        held_out = "validation" in splits(life.root / "data")
        return TrainData(_examples(life, task, "train"), _examples(life, task, "validation") if held_out else None)
    assert isinstance(task, TextTask), f"{task.name} learns from text or from examples"
    rows = token_rows(life, task, "train", life.recipe.train.context)
    assert rows is not None, "every data stage writes a training part"
    rows.damage = Damage(life.root / "tokens", life.recipe.train.max_damaged_fraction)
    is_whole = life.world.is_first and not life.recipe.distributed.cuts(life.world.size)
    prompts = (life.recipe.generate.prompts or openings(life.root)) if isinstance(task, CausalLM) and is_whole else ()
    validation = token_rows(life, task, "validation", life.recipe.train.context)
    return TrainData(rows, validation, prompt=next(iter(prompts), None), tokenizer=tokenizer)


def _examples(life: Life, task: LabelledTask, split: str) -> Rows:
    training = split == "train"
    read = training_examples(life.root, task.config) if training else read_examples(life.root, split, task.config)
    examples = list(read)
    if training and life.recipe.augment is not None:
        examples += read_augmented(life.out, task.config)
    rows = task.rows(examples, life.recipe.train.context)
    for note in rows.notes if life.world.is_first else ():
        life.progress.warn(f"{split}: {note}")
    return rows


def token_rows(life: Life, task: TextTask, split: str, context: int) -> TokenRows | None:
    """A part of the encoded text; None where the data has no such part."""
    folder = life.root / "tokens" / split
    return task.rows(TokenData.open(folder), context) if folder.exists() else None


def _chosen(life: Life, device: torch.device) -> dict[str, Any]:
    """What training chose when it began; threads are chosen again where the number of processes has changed."""
    facts, settings, world = life.cache.facts("train"), life.recipe.train, life.world
    if "dtype" not in facts:
        facts = {**facts, "dtype": str(choose_dtype(settings, device)).removeprefix("torch.")}
    if "threads" not in facts or facts["processes"] != world.size:
        facts = {**facts, "threads": choose_threads(settings, world.local_size), "processes": world.size}
    chosen: dict[str, Any] = world.gather(facts)[0]
    return chosen


def _sized(
    life: Life, task: Task, data: TrainData, tokenizer: Tokenizer, dtype: torch.dtype, device: torch.device
) -> tuple[Recipe, ModelConfig, dict[str, Any]]:
    """The recipe with the size that "auto" stands for, its model, and what is to be remembered of the choice."""
    recipe, remembered = life.recipe, {}

    def fill(settings: ModelSettings) -> ModelConfig:
        if settings.base is not None:
            return base_config(recipe, tokenizer.vocab_size)
        return new_config(recipe.model_copy(update={"model": settings}), tokenizer)

    if recipe.model.size is not None and "steps" in life.cache.facts("train"):
        recipe = life.resolved()
    elif recipe.model.size is not None:
        if life.world.size > 1:
            raise UsageError('model.size="auto" measures a single process: begin the run in one, or name the sizes')
        recipe = choose_size(recipe, Start(fill, dtype, device), task, data, life.progress).recipe
        remembered = {"global_batch_tokens": recipe.train.global_batch_tokens, "lr": recipe.optimizer.lr}
    return recipe, fill(recipe.model), remembered


def _begun(life: Life, recipe: Recipe, model: LanguageModel, data: TrainData, tokenizer: Tokenizer) -> tuple[str, ...]:
    """Give the new model the weights that it is to begin with; returns the names of those that a base lacks."""
    if recipe.model.base is not None:
        return begin_with_base(recipe, model, tokenizer)
    if recipe.train.start == "bigrams":
        check_bigram_start(recipe.model.chosen(), model)
        assert isinstance(data.train, TokenRows), "pairs of tokens are counted in running text"
        start_from_bigrams(model, data.train.data)
    elif recipe.train.start == "vectors":
        begin_with_vectors(life, model, tokenizer)
    return ()


def _write_model(life: Life, task: Task, model: LanguageModel, tokenizer: Tokenizer) -> None:
    recipe, family = life.recipe, life.recipe.model.chosen()
    with atomic.atomic_folder(life.out / "model") as folder:
        kept, saved = task.kept(model), tokenizer_kept(tokenizer, task)
        facts = facts_of_base(recipe)
        subject = Subject(recipe.name, kept, family, saved, None if facts is None else facts.base)
        card = model_card(subject, life.run.path, recipe.language)
        generation = generation_of(kept, tokenizer, recipe.generate, task)
        whole = () if facts is None else trained_whole(task, model)
        write_model_folder(folder, kept, family, saved, generation=generation, card=card, base=facts, whole=whole)
        task.save(folder, model, family)
        if recipe.model.base is not None:
            keep_sight(folder, model_path(recipe.model.base), family, task)
