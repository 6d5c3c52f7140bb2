"""The stages of a recipe of several tasks: each member's own, and those that they share."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from wenlu.bundle import load
from wenlu.config import Duration
from wenlu.corpus.prepare import read_split
from wenlu.evaluation.transfer import Transfer, transfer
from wenlu.lifecycle.cache import stage_key
from wenlu.lifecycle.labelled_evaluation import evaluate_members, held_out_split, judged_of
from wenlu.lifecycle.life import Life, member_root
from wenlu.lifecycle.stages import (
    EVALUATION_CODE,
    data_stage,
    examples_stage,
    tokenizer_stage,
    train_stage,
)
from wenlu.progress import Named
from wenlu.rundir import atomic
from wenlu.tasks import LabelledTask, MultiTaskConfig
from wenlu.tokenizers import Tokenizer

ALONE = "alone"
"""The run, beside a member's data, of the model that is trained for it alone."""
TRANSFER = "transfer.json"


def read_stages(life: Life) -> Life:
    """The data of each member, a tokenizer for all, and each one's examples, in `members/NAME`."""
    for name in life.recipe.members:
        with life.of_member(name) as one:
            life = life.with_key(_of(name, "data"), data_stage(one).key("data"))
    life = tokenizer_stage(_together(life, "data"))
    for name in life.recipe.members:
        with life.of_member(name) as one:
            own = one.with_key("data", life.key(_of(name, "data")))
            life = life.with_key(_of(name, "examples"), examples_stage(own).key("examples"))
    return _together(life, "examples")


def scored_stages(life: Life) -> Life:
    """`model/` and each held-out part → `evaluation.json`; with `task.singles` single models and `transfer.json`."""
    recipe, inputs = life.recipe, [life.key("train"), life.key("data")]
    key = stage_key([recipe.task_evaluate], code=EVALUATION_CODE, inputs=inputs)
    if not life.cache.is_done("evaluate", key):
        with life.working("evaluate", key):
            evaluate_members(life.out / "model", life.out, recipe.task_evaluate, life.progress).save(life.out)
    life = life.with_key("evaluate", key)
    assert isinstance(recipe.task, MultiTaskConfig), "only recipes of several tasks come here"
    if not recipe.task.singles:
        (life.out / TRANSFER).unlink(missing_ok=True)
        return life
    key = stage_key([], code=("evaluation", "lifecycle/members"), inputs=[key])
    if not ((life.out / TRANSFER).exists() and life.cache.is_done("transfer", key)):
        with life.working("transfer", key):
            found = [_transfer(life, name).to_json() for name in recipe.members]
            atomic.write_text(life.out / TRANSFER, json.dumps(found, ensure_ascii=False, indent=2) + "\n")
    return life.with_key("evaluate", key)


def _transfer(life: Life, name: str) -> Transfer:
    """Train the member alone for the steps that it had among the others, and compare on its held-out part."""
    root, steps = member_root(life.out, name), max(1, life.cache.facts("train")["shares"][name])
    recipe = life.recipe.of_member(name)
    train = recipe.train.model_copy(update={"duration": Duration(steps, "steps"), "budget": None})
    recipe = recipe.model_copy(update={"train": train})
    progress = Named(f"{name} {ALONE}", life.progress)
    with atomic.atomic_folder(root / "tokenizer") as folder:
        Tokenizer.load(life.out / "tokenizer").save(folder)
    with Life.begin(recipe, root / ALONE, life.origin, progress) as one:
        keys = tuple((stage, life.key(_of(name, stage))) for stage in ("data", "examples"))
        train_stage(replace(one, root=root, keys=keys))
    together, alone = load(life.out / "model", task=name), load(root / ALONE)
    assert isinstance(together.task, LabelledTask), "a member has labelled examples"
    config = recipe.task_evaluate
    records = list(read_split(root / "data", held_out_split(root, config)))
    judged = judged_of(together.task, records)
    return transfer(name, together, alone, judged, config, steps=steps, progress=progress)


def _of(name: str, stage: str) -> str:
    return str(Path(name) / stage)


def _together(life: Life, stage: str) -> Life:
    keys = [life.key(_of(name, stage)) for name in life.recipe.members]
    return life.with_key(stage, stage_key([], code=(), inputs=[*life.recipe.members, *keys]))
