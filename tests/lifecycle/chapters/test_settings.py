"""Files of chapters: what is refused before anything begins."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from wenlu.config import check, load
from wenlu.errors import ConfigError
from wenlu.lifecycle.chapters.settings import ChaptersConfig, references, resolved

TEXTS = {"verb": "data", "data": {"train": "a.txt"}, "task": {"name": "text-classification"}}


def of(**chapters: dict[str, Any]) -> ChaptersConfig:
    return check(ChaptersConfig, {"name": "life", "chapters": chapters}, where="life.toml")


def test_the_recipe_of_a_whole_life_goes_through_all_of_it() -> None:
    config = load(ChaptersConfig, Path("recipes/life-zh.toml"))
    verbs = [chapter.verb for chapter in config.chapters.values()]
    assert verbs == ["data", "pretrain", "finetune", "tune", "compare", "finetune", "compare", "compress", "serve"]


def test_an_override_reaches_into_a_chapter() -> None:
    config = load(ChaptersConfig, Path("recipes/life-zh.toml"), ['chapters.labels.train.budget="9 minutes"'])
    assert config.settings("labels")["train"]["budget"] == "9 minutes"
    assert config.settings("search")["train"]["budget"] == "1 minutes"


def test_an_override_of_no_chapter_names_those_that_there_are() -> None:
    with pytest.raises(ConfigError, match=r"no chapters\.label; did you mean labels"):
        load(ChaptersConfig, Path("recipes/life-zh.toml"), ["chapters.label.train.lr=1"])


def test_what_one_is_like_is_taken_over_section_by_section() -> None:
    config = of(texts=TEXTS, labels={"verb": "finetune", "like": "texts", "data": {"test": 0.2}, "seed": 3})
    assert config.settings("labels")["data"] == {"train": "a.txt", "test": 0.2}
    assert config.settings("labels")["task"] == TEXTS["task"]
    assert config.settings("labels")["name"] == "life-labels"
    assert config.settings("labels")["seed"] == 3


@pytest.mark.parametrize(
    ("chapters", "message"),
    [
        ({"a": {"verb": "finetune", "model": {"base": "{b}"}}}, "'b' is no chapter before it"),
        ({"a": {"verb": "finetune", "like": "b"}, "b": TEXTS}, "it comes later; move it"),
        ({"a": {"verb": "bake"}}, "chapters.a.verb"),
        ({"A b": TEXTS}, "is no name of a chapter"),
        ({"a": TEXTS, "b": {"verb": "finetune", "like": "a", "recipe": "c.toml"}}, "keep one of them"),
        ({"a": {"verb": "serve"}}, r'serve: models=\["\{NAME\}"\] says which'),
        ({"a": {"verb": "evaluate"}}, "evaluate: runs="),
        ({"a": TEXTS, "b": {"verb": "compare", "runs": ["{a}"]}}, "two runs at least"),
        ({"a": TEXTS, "b": {"verb": "tune", "runs": ["{a}"]}}, "this chapter is to tune"),
        ({}, "chapters"),
    ],
)
def test_what_does_not_fit_is_named(chapters: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        of(**chapters)


def test_a_wrong_setting_of_a_late_chapter_is_found_before_the_first() -> None:
    config = of(texts=TEXTS, labels={"verb": "finetune", "like": "texts", "optimizer": {"weight_deacy": 0.1}})
    with pytest.raises(ConfigError, match=r"life.toml: chapters.labels:\n.*did you mean weight_decay"):
        config.check(Path("life.toml"))
    served = of(texts=TEXTS, served={"verb": "serve", "models": ["{texts}"], "port": 80})
    with pytest.raises(ConfigError, match=r"chapters\.served\.port: serve reads no such key"):
        served.check(Path("life.toml"))


def test_references_are_folders_wherever_they_stand() -> None:
    value = {"model": {"base": "{a}"}, "train": ["{b}/x.jsonl", 3], "text": "no braces"}
    assert sorted(references(value)) == ["a", "b"]
    found = resolved(value, {"a": Path("out/a"), "b": Path("out/b")})
    assert found == {"model": {"base": "out/a"}, "train": ["out/b/x.jsonl", 3], "text": "no braces"}
