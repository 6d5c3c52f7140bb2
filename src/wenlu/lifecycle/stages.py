"""The stages of a run, each from files to files; what was done for the same settings is not done again."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from wenlu.bundle import load
from wenlu.corpus.damage import Damage
from wenlu.corpus.packing import Rows
from wenlu.corpus.prepare import prepare, read_split
from wenlu.corpus.shards import TokenData, write_tokens
from wenlu.corpus.sources import fetched_by
from wenlu.errors import UsageError
from wenlu.evaluation import evaluate_run
from wenlu.evaluation.verse import evaluate_verse
from wenlu.generation import complete
from wenlu.kernels.native import use_pool
from wenlu.lifecycle.auto_size import Start, choose_size
from wenlu.lifecycle.cache import stage_key
from wenlu.lifecycle.inputs import inputs_fingerprint
from wenlu.lifecycle.life import Life
from wenlu.lifecycle.model_card import CARD, Subject, model_card
from wenlu.lifecycle.model_folder import generation_of, tokenizer_kept, write_model_folder
from wenlu.lifecycle.model_settings import ModelSettings
from wenlu.lifecycle.report import write_report
from wenlu.lifecycle.vectors_start import begin_with_vectors, vectors_fingerprint
from wenlu.models import ModelConfig, family_of
from wenlu.rundir import atomic, trackers
from wenlu.rundir.trackers.process import tracked
from wenlu.tasks import CausalLM, Task, new_task
from wenlu.tokenizers import Tokenizer, train_tokenizer
from wenlu.training import (
    TrainData,
    TrainState,
    check_bigram_start,
    choose_device,
    choose_dtype,
    choose_threads,
    fitted,
    gathered,
    placed,
    resolve_duration,
    start_from_bigrams,
    train,
)

TRAINING_CODE = ("training", "models", "kernels", "tasks", "corpus")
EVALUATION_CODE = ("evaluation", "metrics", "tasks", "models", "kernels", "corpus")


def data_stage(life: Life) -> Life:
    """Sources → `data/`: cleaned records in leakage-safe splits, statistics, what was dropped."""
    data = life.recipe.data
    inputs = [inputs_fingerprint(data.all_sources()), str(life.recipe.seed)]
    key = stage_key([data], code=("corpus", "hub"), inputs=inputs)
    if not life.cache.is_done("data", key):
        with life.working("data", key):
            language = life.recipe.language
            prepare(data, life.out / "data", seed=life.recipe.seed, progress=life.progress, language=language)
            fetched = {item.source: f"sha256:{item.sha256}" for item in fetched_by(data.all_sources())}
            life.cache.choose("data", {"fetched": fetched})
    return life.with_key("data", key)


def tokenizer_stage(life: Life) -> Life:
    """`data/` → `tokenizer/`, trained on the training part alone."""
    settings = life.recipe.task_tokenizer
    key = stage_key([settings], code=("tokenizers",), inputs=[life.key("data")])
    if not life.cache.is_done("tokenizer", key):
        with life.working("tokenizer", key):
            texts = (record.text for record in read_split(life.out / "data", "train"))
            tokenizer = train_tokenizer(settings, texts, progress=life.progress)
            with atomic.atomic_folder(life.out / "tokenizer") as folder:
                tokenizer.save(folder)
    return life.with_key("tokenizer", key)


def tokens_stage(life: Life) -> Life:
    """`data/` and `tokenizer/` → `tokens/`: memory-mapped shards of each split."""
    key = stage_key([], code=("tokenizers", "corpus"), inputs=[life.key("data"), life.key("tokenizer")])
    there = all((life.out / "tokens" / split).exists() for split in splits(life.out / "data"))
    if not (there and life.cache.is_done("tokens", key)):  # who finds damaged text is told to remove its folder
        with life.working("tokens", key):
            tokenizer = Tokenizer.load(life.out / "tokenizer")
            for split in splits(life.out / "data"):
                records = read_split(life.out / "data", split)
                write_tokens(records, tokenizer, life.out / "tokens" / split, progress=life.progress)
    return life.with_key("tokens", key)


def train_stage(life: Life) -> Life:
    """`tokens/` → `checkpoints/` and `model/`; goes on from the newest checkpoint."""
    recipe = life.recipe
    settings = [recipe.task, recipe.model, recipe.train, recipe.optimizer, recipe.schedule]
    inputs = [life.key("tokens"), str(recipe.seed), *vectors_fingerprint(recipe.train)]
    key = stage_key(settings, code=TRAINING_CODE, inputs=inputs)
    life.release()
    if not life.cache.is_done("train", key):
        if life.world.is_first and not life.cache.is_started("train", key):
            for old in (life.run.checkpoints, life.out / trackers.FOLDER):
                shutil.rmtree(old, ignore_errors=True)
            life.run.forget_after(-1)
        with life.working("train", key):
            state = _train(life.with_key("train", key))
            life.run.finish(step=state.step, tokens=state.tokens, seconds=state.seconds)
    return life.with_key("train", key)


def evaluate_stage(life: Life) -> Life:
    """`model/` and the held-out part → `evaluation.json`, beside the n-gram baseline."""
    recipe = life.recipe
    settings = [recipe.task_evaluate, *([] if recipe.verse is None else [recipe.verse, recipe.generate])]
    key = stage_key(settings, code=EVALUATION_CODE, inputs=[life.key("train"), life.key("data")])
    if not life.cache.is_done("evaluate", key):
        with life.working("evaluate", key):
            bundle = load(life.out / "model")
            evaluation = evaluate_run(bundle, life.root, recipe.task_evaluate, progress=life.progress)
            if recipe.verse is not None:
                poems = list(read_split(life.root / "data", evaluation.settings["split"]))
                scores = evaluate_verse(
                    bundle, poems, recipe.verse, recipe.generate, recipe.evaluate, progress=life.progress
                )
                evaluation = replace(evaluation, scores=(*evaluation.scores, *scores))
            evaluation.save(life.out)
    return life.with_key("evaluate", key)


def samples_stage(life: Life) -> Life:
    """`model/` → `samples.json`: how it continues the recipe's prompts, or the openings of held-out documents;
    none of a model that continues no text."""
    key = stage_key([life.recipe.generate], code=("generation", "models"), inputs=[life.key("train")])
    if not life.cache.is_done("samples", key):
        with life.working("samples", key):
            bundle = load(life.out / "model")
            continues = isinstance(bundle.task, CausalLM)
            prompts = (life.recipe.generate.prompts or _openings(life)) if continues else ()
            settings = life.recipe.generate.model_dump(mode="json", exclude={"prompts"})
            samples = [
                {"prompt": completion.prompt, "text": choice.text, "settings": settings}
                for completion in (
                    complete(bundle, prompts, life.recipe.generate, progress=life.progress) if continues else ()
                )
                for choice in completion.choices
            ]
            atomic.write_text(life.out / "samples.json", json.dumps(samples, ensure_ascii=False, indent=2) + "\n")
    return life.with_key("samples", key)


def report_stage(life: Life) -> Life:
    """Everything → `report.html`."""
    code = ("lifecycle",)
    inputs = [life.key("evaluate"), life.key("samples"), life.recipe.language]
    key = stage_key([life.recipe], code=code, inputs=inputs)
    if not life.cache.is_done("report", key):
        with life.working("report", key):
            write_report(life.out, life.recipe.language)
            if life.recipe.vectors is None:
                _renew_card(life)
    return life.with_key("report", key)


def _renew_card(life: Life) -> None:
    """The model card with the scores that are known by now."""
    bundle = load(life.out / "model")
    subject = Subject(life.recipe.name, bundle.model, family_of(bundle.model), bundle.tokenizer)
    atomic.write_text(life.out / "model" / CARD, model_card(subject, life.out, life.recipe.language))


def splits(data: Path) -> list[str]:
    return [name for name in ("train", "validation", "test") if (data / f"{name}.jsonl").exists()]


def _train(life: Life) -> TrainState:
    recipe, run = life.recipe, life.run
    if recipe.train.allocator == "auto":
        use_pool()
    tokenizer = Tokenizer.load(life.root / "tokenizer")
    task = new_task(recipe.task, tokenizer)
    train_rows = _rows(life, task, "train")
    assert train_rows is not None, "every data stage writes a training part"
    train_rows.damage = Damage(life.root / "tokens", recipe.train.max_damaged_fraction)
    says = isinstance(task, CausalLM) and life.world.is_first and not recipe.distributed.cuts(life.world.size)
    prompt = next(iter(recipe.generate.prompts or _openings(life)), None) if says else None
    data = TrainData(train_rows, _rows(life, task, "validation"), prompt=prompt, tokenizer=tokenizer)
    before, device = life.cache.facts("train"), choose_device(recipe.train)
    facts = _chosen(life, device)
    torch.set_num_threads(facts["threads"])
    family = recipe.model.chosen()

    def fill(settings: ModelSettings) -> ModelConfig:
        return settings.resolve(
            vocab_size=tokenizer.vocab_size,
            context=2 * recipe.train.context,
            end_id=tokenizer.eos_id,
            needed=recipe.task.model_settings,
        )

    sized: dict[str, Any] = {}
    if recipe.model.size is not None and "steps" in facts:
        recipe = life.resolved()
    elif recipe.model.size is not None:
        if life.world.size > 1:
            raise UsageError('model.size="auto" measures a single process: begin the run in one, or name the sizes')
        start = Start(fill, getattr(torch, facts["dtype"]), device)
        recipe = choose_size(recipe, start, task, data, life.progress).recipe
        sized = {"global_batch_tokens": recipe.train.global_batch_tokens, "lr": recipe.optimizer.lr}
    config = fill(recipe.model)
    build = partial(family.build, config, dtype=getattr(torch, facts["dtype"]), zero_outputs=recipe.train.zero_outputs)
    torch.manual_seed(recipe.seed)
    model = build()
    if recipe.train.start == "bigrams":
        check_bigram_start(family, model)
        start_from_bigrams(model, data.train.data)
    elif recipe.train.start == "vectors":
        begin_with_vectors(life, model, tokenizer)
    model = task.trained(model).to(device)
    if "steps" not in facts:
        here, processes = life.world.local_size, life.world.size
        resolved = fitted(recipe.train, recipe.optimizer, model, task, data.train, life.progress, processes=here)
        resolved = resolve_duration(resolved, recipe.optimizer, model, task, data, recipe.seed, processes=processes)
        facts |= {"steps": int(resolved.duration.amount), "device": device.type, **sized}
        facts |= {"micro_batch_tokens": resolved.micro_batch_tokens, "model": config.model_dump(mode="json")}
        facts = life.world.gather(facts)[0]
    if facts != before:
        life.cache.choose("train", facts)
        life.record()
    placement = placed(model, recipe.distributed, recipe.optimizer, life.world, seed=recipe.seed)
    chosen = life.resolved()
    with tracked(run, recipe.tracking.to if life.world.is_first else (), life.progress):
        state = train(
            chosen.train,
            chosen.optimizer,
            recipe.schedule,
            model=model,
            task=task,
            data=data,
            run=run,
            seed=recipe.seed,
            placement=placement,
            progress=life.progress,
        )
    if not life.world.is_first:
        return state
    if placement.is_cut:
        model = gathered(state, task.trained(build()), run)
    with atomic.atomic_folder(life.out / "model") as folder:
        kept = task.kept(model)
        card = model_card(Subject(recipe.name, kept, family, tokenizer), run.path, recipe.language)
        generation = generation_of(kept, tokenizer, recipe.generate)
        saved = tokenizer_kept(tokenizer, task)
        write_model_folder(folder, kept, family, saved, generation=generation, card=card)
        task.save(folder, model, family)
    return state


def _chosen(life: Life, device: torch.device) -> dict[str, Any]:
    """What training chose when it began; threads are chosen again where the number of processes has changed."""
    facts, settings, world = life.cache.facts("train"), life.recipe.train, life.world
    if "dtype" not in facts:
        facts = {**facts, "dtype": str(choose_dtype(settings, device)).removeprefix("torch.")}
    if "threads" not in facts or facts["processes"] != world.size:
        facts = {**facts, "threads": choose_threads(settings, world.local_size), "processes": world.size}
    chosen: dict[str, Any] = world.gather(facts)[0]
    return chosen


def _rows(life: Life, task: Task, split: str) -> Rows | None:
    folder = life.root / "tokens" / split
    return task.rows(TokenData.open(folder), life.recipe.train.context) if folder.exists() else None


def _openings(life: Life, count: int = 3, characters: int = 80) -> tuple[str, ...]:
    """The first lines of the first held-out documents."""
    held_out = splits(life.root / "data")[-1]
    records = read_split(life.root / "data", held_out)
    return tuple(record.text[:characters] for record, _ in zip(records, range(count), strict=False))
