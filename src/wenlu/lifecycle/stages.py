"""The stages of a run, each from files to files; what was done for the same settings is not done again."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace

from wenlu.bundle import load
from wenlu.corpus.pictures.store_writer import Working, write_pictures
from wenlu.corpus.prepare import prepare, read_split, splits
from wenlu.corpus.repeats import training_records
from wenlu.corpus.shard_writer import write_tokens
from wenlu.corpus.sources import fetched_by
from wenlu.evaluation import evaluate_run
from wenlu.evaluation.verse import evaluate_verse
from wenlu.generation import complete
from wenlu.lifecycle.base import base_fingerprint, teacher_fingerprint, tokenizer_source
from wenlu.lifecycle.cache import stage_key
from wenlu.lifecycle.examples import survey
from wenlu.lifecycle.extension import extended_for
from wenlu.lifecycle.inputs import inputs_fingerprint
from wenlu.lifecycle.labelled_evaluation import evaluate_labelled_run
from wenlu.lifecycle.life import Life, member_root
from wenlu.lifecycle.model_card import CARD, model_card
from wenlu.lifecycle.model_folder import subject_of
from wenlu.lifecycle.pictures import PICTURES, new_sight
from wenlu.lifecycle.planning.outcome import compare_with_plan
from wenlu.lifecycle.readings import log_reading
from wenlu.lifecycle.report import write_report
from wenlu.lifecycle.training import openings, train_life
from wenlu.lifecycle.vectors_start import vectors_fingerprint
from wenlu.rundir import atomic, trackers
from wenlu.tasks import CausalLM, LabelledConfig, LabelledTask, PicturedConfig
from wenlu.tasks.labelled import GenerativeConfig
from wenlu.tokenizers import Tokenizer, train_tokenizer

TRAINING_CODE = (
    "training",
    "models",
    "kernels",
    "tasks",
    "corpus",
    "distributed",
    "compression/distill",
    "lifecycle/training",
    "lifecycle/adapter",
    "lifecycle/auto_size",
    "lifecycle/base",
    "lifecycle/calibration",
    "lifecycle/distillation",
    "lifecycle/examples",
    "lifecycle/mixed_training",
    "lifecycle/pictures",
)
EVALUATION_CODE = ("evaluation", "generation", "metrics", "tasks", "models", "kernels", "corpus")


def data_stage(life: Life) -> Life:
    """Sources → `data/`: cleaned records in leakage-safe splits, statistics, what was dropped."""
    data = life.recipe.task_data
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
    """`data/` → `tokenizer/`, trained on the training part alone; or the tokenizer of the base, with what the task adds
    to it."""
    settings = life.recipe.task_tokenizer
    source = tokenizer_source(life.recipe)
    base = base_fingerprint(life.recipe) or teacher_fingerprint(life.recipe)
    key = stage_key([settings], code=("tokenizers",), inputs=[life.key("data"), *base])
    if base and not life.cache.is_done("tokenizer", key):
        with life.working("tokenizer", key), atomic.atomic_folder(life.out / "tokenizer") as folder:
            tokenizer = load(str(source)).tokenizer
            tokenizer = tokenizer.with_special(life.recipe.task.tokens_to_add(tokenizer.special_tokens))
            if settings.extend_by is not None:
                tokenizer = extended_for(life, tokenizer, _texts(life), settings.extend_by)
            tokenizer.save(folder)
    elif not life.cache.is_done("tokenizer", key):
        with life.working("tokenizer", key):
            tokenizer = train_tokenizer(settings, _texts(life), progress=life.progress)
            with atomic.atomic_folder(life.out / "tokenizer") as folder:
                tokenizer.save(folder)
    return life.with_key("tokenizer", key)


def _texts(life: Life) -> Iterator[str]:
    """Of the training part; of several tasks those of each."""
    recipes = {member_root(life.out, name): life.recipe.of_member(name) for name in life.recipe.members}
    for root, recipe in (recipes or {life.out: life.recipe}).items():
        for record in read_split(root / "data", "train"):
            if isinstance(recipe.task, LabelledConfig):
                yield from recipe.task.texts_of(record)
            else:
                yield record.text


def tokens_stage(life: Life) -> Life:
    """`data/` and `tokenizer/` → `tokens/`: memory-mapped shards of each split."""
    key = stage_key([], code=("tokenizers", "corpus"), inputs=[life.key("data"), life.key("tokenizer")])
    there = all((life.out / "tokens" / split).exists() for split in splits(life.out / "data"))
    if not (there and life.cache.is_done("tokens", key)):  # who finds damaged text is told to remove its folder
        with life.working("tokens", key):
            tokenizer = Tokenizer.load(life.out / "tokenizer")
            for split in splits(life.out / "data"):
                folder = life.out / "data"
                records = training_records(folder) if split == "train" else read_split(folder, split)
                write_tokens(records, tokenizer, life.out / "tokens" / split, progress=life.progress)
    return life.with_key("tokens", key)


def examples_stage(life: Life) -> Life:
    """`data/` → `examples.json`: every record read as an example, and the labels of the training part."""
    task = life.recipe.task
    assert isinstance(task, LabelledConfig), "only labelled tasks have examples"
    task = task.made_for(life.recipe.model.chosen(), life.recipe.train.context)
    data = life.recipe.own_data
    key = stage_key([task, data], code=("tasks",), inputs=[life.key("data"), life.key("tokenizer")])
    if not life.cache.is_done("examples", key):
        with life.working("examples", key):
            survey(life.out, task, data.max_bad_fraction, life.progress)
    return life.with_key("examples", key)


def pictures_stage(life: Life) -> Life:
    """`data/` → `pictures/`: each picture decoded once, at the size from which a model is shown it."""
    longest = new_sight(life.recipe, Tokenizer.load(life.out / "tokenizer")).longest
    assert longest is not None, "a task's own, or what its model sees"
    key = stage_key([], code=("corpus/pictures",), inputs=[life.key("data"), str(longest)])
    folder = life.out / PICTURES
    if not (folder.exists() and life.cache.is_done("pictures", key)):
        with life.working("pictures", key):
            records = (record for split in splits(life.out / "data") for record in read_split(life.out / "data", split))
            write_pictures(records, folder, Working(longest), max_bad_fraction=0.0, progress=life.progress)
    return life.with_key("pictures", key)


def train_key(life: Life) -> str:
    """Of the training stage, from what all that it reads says of itself."""
    recipe = life.recipe
    settings = [recipe.trained_task, recipe.model, recipe.train, recipe.optimizer, recipe.schedule]
    before = life.key("examples" if recipe.has_examples else "tokens")
    inputs = [before, str(recipe.seed), *vectors_fingerprint(recipe.train), *base_fingerprint(recipe)]
    if isinstance(recipe.task, PicturedConfig):
        inputs.append(life.key("pictures"))
    if recipe.adapter is not None:
        settings.append(recipe.adapter)
    if recipe.distill is not None:
        settings.append(recipe.distill)
        inputs += teacher_fingerprint(recipe)
    if recipe.rollouts is not None:
        settings.append(recipe.rollouts)
    if recipe.forgetting is not None:
        settings.append(recipe.forgetting)
        inputs.append(inputs_fingerprint(recipe.forgetting.probes))
    return stage_key(settings, code=TRAINING_CODE, inputs=inputs)


def train_stage(life: Life) -> Life:
    """`tokens/` or `data/` → `checkpoints/` and `model/`; goes on from the newest checkpoint."""
    key = train_key(life)
    life.release()
    if not life.cache.is_done("train", key):
        begin, is_new = time.perf_counter(), not life.cache.is_started("train", key)
        if life.world.is_first and is_new:
            for old in (life.run.checkpoints, life.out / trackers.FOLDER):
                shutil.rmtree(old, ignore_errors=True)
            life.run.forget_after(-1)
        with life.working("train", key):
            state = train_life(life.with_key("train", key))
            if life.world.is_first:
                seconds = time.perf_counter() - begin if is_new else None
                compare_with_plan(
                    life.run, key, seconds=seconds, step=state.step, tokens=state.tokens, trained=state.seconds
                )
            life.run.finish(step=state.step, tokens=state.tokens, seconds=state.seconds)
    return life.with_key("train", key)


def evaluate_stage(life: Life) -> Life:
    """`model/` and the held-out part → `evaluation.json`, beside the n-gram baseline."""
    recipe = life.recipe
    writes = recipe.verse is not None or isinstance(recipe.task, GenerativeConfig)
    settings = [recipe.task_evaluate, *([recipe.verse] if recipe.verse else []), *([recipe.generate] if writes else [])]
    key = stage_key(settings, code=EVALUATION_CODE, inputs=[life.key("train"), life.key("data")])
    if not life.cache.is_done("evaluate", key):
        with life.working("evaluate", key):
            bundle = load(life.out / "model")
            if isinstance(bundle.task, LabelledTask):
                evaluation = evaluate_labelled_run(
                    bundle, life.root, recipe.task_evaluate, sampling=recipe.generate, progress=life.progress
                )
            else:
                evaluation = evaluate_run(bundle, life.root, recipe.task_evaluate, progress=life.progress)
            if recipe.verse is not None:
                poems = list(read_split(life.root / "data", evaluation.settings["split"]))
                scores = evaluate_verse(
                    bundle, poems, recipe.verse, recipe.generate, recipe.evaluate, progress=life.progress
                )
                evaluation = replace(evaluation, scores=(*evaluation.scores, *scores))
            evaluation.save(life.out)
            log_reading(life.root, life.out, evaluation, life.progress)
    return life.with_key("evaluate", key)


def samples_stage(life: Life) -> Life:
    """`model/` → `samples.json`: how it continues the recipe's prompts, or the openings of held-out documents;
    none of a model that continues no text."""
    key = stage_key([life.recipe.generate], code=("generation", "models"), inputs=[life.key("train")])
    if not life.cache.is_done("samples", key):
        with life.working("samples", key):
            bundle = load(life.out / "model")
            continues = isinstance(bundle.task, CausalLM)
            prompts = (life.recipe.generate.prompts or openings(life.root)) if continues else ()
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
    subject = subject_of(bundle, life.recipe.name)
    atomic.write_text(life.out / "model" / CARD, model_card(subject, life.out, life.recipe.language))
