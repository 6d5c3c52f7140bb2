"""Several families at equal size and equal time: which learns most on this data, on this machine?"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from typing import Any

from wenlu.lifecycle.life import Life
from wenlu.lifecycle.model_settings import ModelSettings
from wenlu.lifecycle.stages import evaluate_stage, train_stage
from wenlu.models.weights import load_model
from wenlu.rundir import atomic

FAMILIES_FOLDER = "families"


def architectures_stage(life: Life) -> Life:
    """Train and evaluate each family in `families/NAME`; the best becomes `model/`, `architectures.json` has all."""
    assert life.recipe.architectures is not None, "the stage runs only for recipes that ask for it"
    rows = []
    lives = {}
    for name in life.recipe.architectures.families:
        model = ModelSettings(family=name, parameters=life.recipe.model.parameters)
        recipe = life.recipe.model_copy(update={"model": model, "architectures": None})
        with Life.begin(recipe, life.out / FAMILIES_FOLDER / name, life.origin, life.progress) as one:
            lives[name] = evaluate_stage(train_stage(replace(one, root=life.root, keys=life.keys)))
            rows.append(_row(name, lives[name]))
    rows.sort(key=lambda row: row["bits_per_byte"])
    best = lives[rows[0]["family"]]
    for name in ("evaluation.json", "evaluation.jsonl"):
        atomic.write_bytes(life.out / name, (best.out / name).read_bytes())
    with atomic.atomic_folder(life.out / "model") as folder:
        shutil.copytree(best.out / "model", folder, dirs_exist_ok=True)
    atomic.write_text(life.out / "architectures.json", json.dumps(rows, indent=2) + "\n")
    return replace(life, keys=best.keys)


def _row(name: str, life: Life) -> dict[str, Any]:
    evaluation = json.loads((life.out / "evaluation.json").read_text(encoding="utf-8"))
    bits = next(metric for metric in evaluation["metrics"] if metric["name"] == "bits_per_byte")
    last = list(life.run.events())[-1]
    _, model = load_model(life.out / "model")
    return {
        "family": name,
        "parameters": sum(weight.numel() for weight in model.parameters()),
        "steps": last.step,
        "tokens": last.tokens,
        "seconds": round(last.seconds, 1),
        "tokens_per_second": round(last.tokens / last.seconds),
        "bits_per_byte": bits["value"],
        "low": bits["low"],
        "high": bits["high"],
    }
