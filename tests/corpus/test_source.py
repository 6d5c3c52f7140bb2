"""How a source is written in settings."""

from __future__ import annotations

from typing import Any

import pytest

from wenlu.config import Config, check
from wenlu.corpus.source import SourceList, SourceSpec
from wenlu.errors import ConfigError


class Section(Config):
    train: SourceList


def parse(value: Any) -> tuple[SourceSpec, ...]:
    return check(Section, {"train": value}, where="run.toml").train


def test_a_path_alone_a_table_and_a_list_of_either_are_sources() -> None:
    one = SourceSpec(path="a.txt")
    assert parse("a.txt") == parse({"path": "a.txt"}) == parse(["a.txt"]) == (one,)
    assert parse(["a.txt", {"path": "b.csv", "weight": 2}]) == (one, SourceSpec(path="b.csv", weight=2))


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"path": "a", "weigh": 2}, "train.0.weigh: unknown key; did you mean weight?"),
        ({}, "train.0.path: required, but not set"),
        ({"path": ""}, "train.0.path: string should have at least 1 character, not ''"),
        ({"path": "a", "weight": 0}, "train.0.weight: input should be greater than 0, not 0"),
        ({"path": "a", "max_bad_fraction": 2}, "max_bad_fraction: input should be less than or equal to 1, not 2"),
        (
            {"path": "a", "encoding": "utf-9"},
            "encoding: 'utf-9' is no text encoding that Python knows; try 'utf-8', 'gb1",
        ),
        ({"path": "a", "encoding": "hex"}, "encoding: 'hex' is no text encoding that Python knows"),
        ({"path": "a", "delimiter": "||"}, "delimiter: '||' is not one character; write ',', ';', '\\t', or 'auto'"),
        ({"path": "a", "sha256": "12"}, "sha256: '12' is not a sha256; it has 64 hexadecimal digits"),
        (
            {"path": "a", "meta": ["source"]},
            "meta: 'source' is set by Wenlu to the name of the source; rename that col",
        ),
        (
            {"path": "a", "languages": ["zh"]},
            "languages: ['zh'] is not a source and a target language; write two",
        ),
        ({"path": "a", "languages": ["zh", "ZH"]}, "languages: ['zh', 'ZH'] is not a source and a target language"),
        ({"path": "a", "by": "page"}, "by: input should be 'file', 'line' or 'paragraph', not 'page'"),
    ],
)
def test_a_wrong_setting_is_named_with_its_value(table: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse([table])
    assert message in str(caught.value)
