"""A plan of a tiny recipe, the run that follows it, and what it said beside what happened."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from wenlu.lifecycle import verbs
from wenlu.lifecycle.planning.changes import Limits, changes, exceeded
from wenlu.lifecycle.planning.forecast import Probed, forecast
from wenlu.lifecycle.planning.plan import Plan, plan
from wenlu.rundir import Run

RECIPE = """
name = "tiny-plan"
[data]
train = "FILE"
by = "line"
[tokenizer]
kind = "char"
vocab_size = "auto"
[model]
family = "llama"
hidden_size = 32
intermediate_size = 64
num_hidden_layers = 2
num_attention_heads = 2
[train]
duration = "40 steps"
context = 64
global_batch_tokens = 512
validations = 2
validation_tokens = 1024
checkpoints = 2
allocator = "as-is"
dtype = "float32"
threads = 1
[plan]
probe_seconds = 2
"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plan")
    lines = [f"line {n} tells of {n * n} things and of {n % 7} more" for n in range(400)]
    (folder / "text.txt").write_text("\n".join(lines))
    path = folder / "recipe.toml"
    content = RECIPE.replace('train = "FILE"\nby = "line"', f'train = {{path = "{folder}/text.txt", by = "line"}}')
    path.write_text(content)
    return path


@pytest.fixture(scope="module")
def planned(recipe: Path) -> Plan:
    return plan(recipe, out=recipe.parent / "run")


@pytest.fixture(scope="module")
def probed(recipe: Path, planned: Plan) -> Probed:
    """The same life again, for what is changed about it."""
    with verbs._begin(recipe, recipe.parent / "again", (), verbs.QUIET) as life:
        return forecast(verbs.read_stages(life), 0.5)


def test_a_plan_tells_steps_and_what_each_resource_is_taken_of(planned: Plan) -> None:
    told = planned.forecast
    assert told.steps == 40
    assert told.seconds > 40 * told.step_seconds + 2 * told.look_seconds
    assert told.disk < told.disk_peak
    assert planned.fits
    assert planned.path is not None
    assert json.loads(planned.path.read_text())["forecast"] == told.to_json()


def test_a_run_keeps_by_how_much_its_plan_was_off(recipe: Path, planned: Plan) -> None:
    out = recipe.parent / "run"
    verbs.pretrain(recipe, out)
    content = json.loads((out / "plan.json").read_text())
    happened, error = content["happened"], content["error"]
    assert happened["steps"] == planned.forecast.steps
    assert error["steps"] == 0
    assert error["seconds"] == pytest.approx(planned.forecast.seconds / happened["seconds"] - 1, abs=1e-4)
    assert abs(error["disk"]) < 0.3  # of a run this small the events, which no plan counts, are a sixth
    logged = {event.name: event.value for event in Run(out).events() if event.name.startswith("plan_error.")}
    assert logged["plan_error.seconds"] == error["seconds"]


def test_a_plan_for_other_settings_is_not_compared(recipe: Path, planned: Plan, tmp_path: Path) -> None:
    out = tmp_path / "other"
    plan(recipe, ["plan.probe_seconds=0.1"], out=out)
    verbs.pretrain(recipe, out, ["train.duration=2 steps"])
    assert "error" not in json.loads((out / "plan.json").read_text())


def test_what_exceeds_a_limit_is_told_by_how_much(probed: Probed) -> None:
    assert exceeded(probed, Limits(None, None, None)) == {}
    assert exceeded(probed, Limits(None, None, probed.forecast.seconds / 2)) == {"seconds": pytest.approx(1.0)}


def test_smaller_forward_passes_are_the_cheapest_way_to_less_memory(probed: Probed) -> None:
    memory = probed.forecast.memory
    assert memory is not None
    limit = memory - probed.need.total(8) + probed.need.total(4)
    (change,) = changes(probed, Limits(limit, None, None))
    assert change.setting == f"train.micro_batch_tokens={4 * 64}"


def test_where_one_row_is_too_much_the_optimizer_or_the_activations_give_way(probed: Probed) -> None:
    memory = probed.forecast.memory
    assert memory is not None
    limit = memory - probed.need.total(8) + probed.need.total(1) - 1
    (change,) = changes(probed, Limits(limit, None, None))
    assert change.setting.startswith(("optimizer.name=adafactor", "train.activation_checkpointing=true"))


def test_a_shorter_course_fits_into_a_time_and_fewer_checkpoints_are_tried_first(probed: Probed) -> None:
    slow = replace(probed, pace=replace(probed.pace, step=1.0, look=0.5, checkpoint=30.0))
    slow = replace(slow, forecast=replace(probed.forecast, steps=40, seconds=40 + 1 + 60, begin_seconds=0.0))
    (change,) = changes(slow, Limits(None, None, 80.0))
    assert change.setting == "train.checkpoints=1"
    (change,) = changes(slow, Limits(None, None, 70.0 + slow.pace.spent))
    assert change.setting == 'train.duration="5 steps"'  # 0.95 × 70 - 60 - 1


def test_less_disk_is_taken_by_keeping_fewer_checkpoints(probed: Probed) -> None:
    limit = probed.forecast.disk_peak - 1
    (change,) = changes(probed, Limits(None, limit, None))
    assert change.setting == "train.keep_checkpoints=1"


def test_a_budget_is_part_of_the_plan(recipe: Path, probed: Probed) -> None:
    from wenlu.config import Duration
    from wenlu.lifecycle.planning.forecast import planned_steps

    torch.manual_seed(0)
    short = probed.config.model_copy(update={"budget": Duration(10, "seconds")})
    pace = replace(probed.pace, step=1.0, look=1.0, checkpoint=1.0, spent=0.0)
    assert planned_steps(probed.begun, short, pace) == 6  # 10 - 2 looks - 2 checkpoints
    assert planned_steps(probed.begun, probed.config, pace) == 40
