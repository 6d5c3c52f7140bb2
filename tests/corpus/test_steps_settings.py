"""Steps as users write them, and what they read when they write them wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from wenlu.config import Config, check, json_schema, load, to_toml
from wenlu.corpus.steps import StepList, read_step
from wenlu.corpus.steps.language import LanguageConfig
from wenlu.corpus.steps.repair import RepairConfig
from wenlu.errors import ConfigError


class Settings(Config):
    steps: StepList = ()


def test_a_step_is_a_name_or_a_table() -> None:
    settings = check(Settings, {"steps": ["repair", {"step": "language", "keep": ["zh"]}]}, where="test")
    assert settings.steps == (RepairConfig(), LanguageConfig(keep=("zh",)))


def test_one_step_needs_no_list() -> None:
    assert check(Settings, {"steps": "repair"}, where="test").steps == (RepairConfig(),)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("repiar", "steps.0: no step 'repiar'; did you mean repair?"),
        ({"step": "language", "kep": ["zh"]}, "steps.0: language.kep: unknown key; did you mean keep?"),
        ({"step": "near-dedup", "threshold": 2}, "steps.0: near-dedup.threshold: input should be less than 1, not 2"),
        (
            {"step": "length", "min_characters": 9, "max_characters": 2},
            "max_characters 2 is less than min_characters 9",
        ),
        ({"step": "stem", "language": "zh"}, "stem.language: no stemmer for 'zh'; known: ar, ca,"),
        (
            {"step": "stop-words", "language": "chinese"},
            "'chinese' is not a language code; write 'auto', or two letters",
        ),
        ({"language": "en"}, 'write a step as "repair" or as {step = "repair", form = "NFKC"}'),
        (7, "not 7"),
    ],
)
def test_a_wrong_step_is_named_with_what_to_write(value: object, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check(Settings, {"steps": [value]}, where="recipe.toml")
    assert message in str(caught.value)
    assert str(caught.value).startswith("recipe.toml:\n  steps.0: ")


def test_settings_of_steps_survive_being_written_and_read(tmp_path: Path) -> None:
    settings = Settings(
        steps=("repair", {"step": "near-dedup", "threshold": 0.7}, {"step": "length", "max_characters": 9})
    )
    path = tmp_path / "config.toml"
    path.write_text(to_toml(settings))
    assert load(Settings, path) == settings


def test_the_schema_describes_each_step() -> None:
    schema = json_schema(Settings)["properties"]["steps"]["items"]
    described = {choice["properties"]["step"]["const"] for choice in schema["anyOf"][1:]}
    assert described == set(schema["anyOf"][0]["enum"])
    assert "near-dedup" in described


def test_reading_a_step_twice_changes_nothing() -> None:
    step = read_step({"step": "repair", "form": "NFKC"})
    assert read_step(step) is step
