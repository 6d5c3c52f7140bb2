"""`model.size = "auto"`: the laws against what their papers say, the choice, and a life with it."""

import math
import os
from pathlib import Path
from typing import Any

import pytest

from wenlu.config import check, load
from wenlu.errors import ConfigError
from wenlu.lifecycle import auto_size, verbs
from wenlu.lifecycle.auto_size import (
    TOKENS_A_PARAMETER,
    WIDTHS,
    batch_tokens,
    matrix_parameters,
    peak_rate,
    predicted_loss,
    shape_at,
)
from wenlu.lifecycle.recipe import Recipe
from wenlu.models import FAMILIES, Ability

PROOF = os.environ.get("WENLU_PROOF") == "1"
TINY = {
    "name": "tiny",
    "check": False,
    "data": {"train": {"path": "stdlib", "limit": 12}, "validation": 0.2},
    "tokenizer": {"vocab_size": 300},
    "model": {"size": "auto"},
    "train": {"duration": "3k tokens", "context": 64, "validations": 1, "validation_tokens": 1024, "threads": 1},
}


def test_about_twenty_tokens_a_parameter_are_best_for_equal_compute() -> None:
    sizes = [1e8 * 1.1**step for step in range(-30, 31)]
    compute = 6 * 1e8 * 2e9
    best = min(sizes, key=lambda size: predicted_loss(size, compute / 6 / size, math.inf))
    assert compute / 6 / best / best == pytest.approx(TOKENS_A_PARAMETER, rel=0.2)
    assert 18 < TOKENS_A_PARAMETER < 22


def test_repeated_tokens_are_worth_less_and_in_the_end_nothing() -> None:
    fresh, four, forty, endless = (predicted_loss(1e8, 1e9, 1e9 / epochs) for epochs in (1, 4, 40, 4000))
    assert fresh < four < forty < endless
    assert four - fresh < 0.1 * (endless - fresh)
    assert predicted_loss(1e8, 1e11, 1e8) == pytest.approx(predicted_loss(1e8, 1e10, 1e8), abs=1e-3)


def test_the_step_law_gives_its_papers_values() -> None:
    # 1 B parameters, 100 B tokens: 1.79 * 1e9**-0.713 * 1e11**0.307 and 0.58 * 1e11**0.571
    assert peak_rate(1e9, 1e11) == pytest.approx(1.6e-3, rel=0.05)
    assert batch_tokens(1e11, 2048) == pytest.approx(1.1e6, rel=0.05)
    assert batch_tokens(1e11, 2048) % 2048 == 0
    assert peak_rate(1e4, 1e7) == 1e-2


@pytest.mark.parametrize("row", [row for row in FAMILIES if Ability.CAUSAL in row.abilities], ids=lambda row: row.name)
def test_every_causal_family_has_a_model_at_every_width(row: Any) -> None:
    sizes = [
        matrix_parameters(row, row.config.model_validate({"vocab_size": 300, **shape_at(row, width)}))
        for width in WIDTHS[:6]
    ]
    assert sizes == sorted(set(sizes))


def _recipe(**sections: dict[str, Any]) -> dict[str, Any]:
    return {**TINY, **{name: {**TINY.get(name, {}), **values} for name, values in sections.items()}}  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"model": {"hidden_size": 32}}, "size = 'auto' chooses hidden_size; remove size, or hidden_size"),
        ({"model": {"parameters": 1000}}, "size = 'auto' chooses parameters; remove size, or parameters"),
        ({"model": {"size": "small"}}, "model.size"),
        ({"task": {"name": "masked-lm"}, "model": {"family": "bert"}}, "'auto' is for models that continue text"),
    ],
)
def test_what_does_not_go_together_is_refused(sections: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check(Recipe, _recipe(**sections), where="recipe")


def test_auto_needs_a_budget() -> None:
    recipe = {**TINY, "train": {"context": 64}}
    with pytest.raises(ConfigError, match=r"'auto' fits the model to a budget; set train\.duration"):
        check(Recipe, recipe, where="recipe")


@pytest.mark.parametrize("duration", ["3k tokens", "5 steps", "0.02 epochs", "3 seconds"])
def test_what_was_chosen_stands_in_the_run_and_reproduces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, duration: str
) -> None:
    monkeypatch.setattr(auto_size, "WIDTHS", (64, 128))
    path = tmp_path / "recipe.toml"
    path.write_text(_TOML.replace("DURATION", duration))
    verbs.pretrain(path, tmp_path / "run")
    resolved = load(Recipe, tmp_path / "run" / "config.toml")
    extra = resolved.model.model_extra or {}
    assert resolved.model.size is None
    assert extra["num_hidden_layers"] >= 2
    assert extra["hidden_size"] % 64 == 0
    assert resolved.train.duration.unit == "steps"
    assert resolved.train.global_batch_tokens % 64 == 0
    assert 1e-4 <= resolved.optimizer.lr <= 1e-2
    verbs.pretrain(path, tmp_path / "run")
    assert load(Recipe, tmp_path / "run" / "config.toml") == resolved
    if PROOF or duration in ("3k tokens", "3 seconds"):
        again = verbs.pretrain(tmp_path / "run" / "config.toml", tmp_path / "again")
        weights = [folder / "model" / "model.safetensors" for folder in (tmp_path / "run", again.path)]
        assert weights[0].read_bytes() == weights[1].read_bytes()


def test_a_time_that_is_too_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(_TOML.replace("DURATION", "0.0001 seconds"))
    with pytest.raises(ConfigError, match=r"0\.0001 seconds do not suffice for one step of the narrowest llama"):
        verbs.pretrain(path, tmp_path / "run")


def test_what_the_recipe_sets_stays(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(_TOML.replace("DURATION", "3k tokens"))
    verbs.pretrain(path, tmp_path / "run", ["optimizer.lr=2e-3", "train.global_batch_tokens=256", "train.context=64"])
    resolved = load(Recipe, tmp_path / "run" / "config.toml")
    assert (resolved.optimizer.lr, resolved.train.global_batch_tokens) == (2e-3, 256)
    assert resolved.train.duration.amount == math.ceil(3000 / 256)


_TOML = """
name = "tiny"
[data]
train = {path = "stdlib", limit = 8}
validation = 0.2
test = 0.2
[tokenizer]
vocab_size = 300
[model]
size = "auto"
[train]
duration = "DURATION"
context = 64
validations = 1
validation_tokens = 1024
threads = 1
dtype = "float32"
"""
