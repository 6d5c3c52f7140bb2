from __future__ import annotations

from pathlib import Path

import pytest

from wenlu.errors import ConfigError
from wenlu.lifecycle.search.settings import TuneConfig
from wenlu.lifecycle.search.space import read_settings, told, values_of, with_values

RECIPE = """
name = "space"
[data]
train = "folder"
[tune.space]
"""


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ('"optimizer.lrr" = {low = 1e-5, high = 1e-3}', "tune.space: optimizer.lrr = 1e-05:.*did you mean lr"),
        ('"train.batch_size" = [16, "many"]', 'tune.space: train.batch_size = "many":.*valid integer'),
        (
            '"optimizer.weight_decay" = {low = -1.0, high = 0.1}',
            "optimizer.weight_decay = -1.0:.*greater than or equal",
        ),
        ('"train.ema" = {low = 0.9, high = 1.5}', "tune.space: train.ema = 1.5:.*less than 1"),
        ('"tune.trials" = [2, 3]', "tune.trials = 2: is of the search itself"),
        ('"optimizer.lr" = {low = 1e-3, high = 1e-5}', "low = 0.001 is not less than high = 1e-05"),
        ('"optimizer.lr" = {low = 0.0, high = 1e-5, log = true}', "log = true needs low > 0"),
        ('"optimizer.lr" = {low = 1e-5, hihg = 1e-3}', "hihg: unknown key"),
        ('"optimizer.lr" = [1e-3]', "at least 2 items"),
        ("", "nothing to search; say what in .tune.space."),
    ],
)
def test_each_end_of_each_range_is_checked_before_any_work(tmp_path: Path, space: str, message: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE + space)
    with pytest.raises(ConfigError, match=f"(?s){message}"):
        read_settings(path, [])


def test_a_space_can_be_given_on_the_command_line(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(RECIPE)
    settings, config = read_settings(path, ['tune.space={"optimizer.lr" = [1e-3, 1e-2]}', "tune.trials=3"])
    assert config.trials == 3
    assert config.space == {"optimizer.lr": (1e-3, 1e-2)}
    assert "tune" not in settings


def test_cma_es_wants_two_ranges_and_no_choices() -> None:
    with pytest.raises(ValueError, match="two or more ranges and no choices"):
        TuneConfig(sampler="cma-es", space={"seed": [1, 2], "optimizer.lr": {"low": 0.1, "high": 0.2}})
    with pytest.raises(ValueError, match="two or more ranges"):
        TuneConfig(sampler="cma-es", space={"optimizer.lr": {"low": 0.1, "high": 0.2}})


@pytest.mark.parametrize("value", [1, 1e-5, True, "auto", 'a = "b"\n', [1, 2], {"name": "linear"}])
def test_values_survive_as_overrides(value: object) -> None:
    assert with_values({"train": {"x": 0, "y": 2}}, {"train.x": value}) == {"train": {"x": value, "y": 2}}
    assert "\n" not in told(value)


def test_choices_keep_their_types() -> None:
    config = TuneConfig(space={"a.b": [1, 1.0, True, "1"], "c": {"low": 1, "high": 3}})
    assert [values_of({"a.b": text}, config.space)["a.b"] for text in ("1", "1.0", "true", '"1"')] == [
        1,
        1.0,
        True,
        "1",
    ]
    assert config.space["c"].is_whole  # type: ignore[union-attr]
