from __future__ import annotations

import json
from pathlib import Path

import pytest

from wenlu.corpus.record import Item, Record
from wenlu.corpus.sources import SourceSpec, open_source
from wenlu.errors import DataError

COLUMNS = ["words", "tokens", "tags", "entities", "document"]


def read(tmp_path: Path, content: str, **settings: object) -> list[Item]:
    (tmp_path / "199801.txt").write_text(content, encoding="utf-8")
    spec = {"path": str(tmp_path / "199801.txt"), "kind": "pfr", "meta": COLUMNS, **settings}
    return list(open_source(SourceSpec.model_validate(spec)))


def names(line: str, tmp_path: Path) -> list[tuple[str, str]]:
    """Each entity's own characters and its label."""
    (record,) = read(tmp_path, line)
    assert isinstance(record, Record)
    return [(record.text[it["start"] : it["end"]], it["label"]) for it in json.loads(record.meta["entities"])]


def test_a_line_is_a_text_with_its_words_and_tags(tmp_path: Path) -> None:
    first, second = read(tmp_path, "中国/ns  成立/v  １/m\n\n１９９８年/t  ，/w  好/a  \n")
    assert isinstance(first, Record)
    assert isinstance(second, Record)
    assert (first.id, first.text, first.meta["words"]) == ("199801.txt:1", "中国成立１", "中国 成立 １")
    assert json.loads(first.meta["tags"]) == ["ns", "v", "m"]
    assert (second.id, json.loads(second.meta["tokens"])) == ("199801.txt:3", ["１９９８年", "，", "好"])


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("中共中央/nt 总书记/n 江/nr 泽民/nr", [("中共中央", "organisation"), ("江泽民", "person")]),
        ("欧阳/nr 修/nr 在/p 北京/ns 石景山/ns", [("欧阳修", "person"), ("北京", "place"), ("石景山", "place")]),
        ("克林顿/nr 、/w 叶利钦/nr", [("克林顿", "person"), ("叶利钦", "person")]),
        ("乔/nr 石/nr 李/nr 鹏/nr", [("乔石", "person"), ("李鹏", "person")]),
        ("剑武/nr 安/nr 远远/nr", [("剑武", "person"), ("安远远", "person")]),
        ("在/p [北京/ns 大学/n]nt 学习/v", [("北京大学", "organisation")]),
        ("[中央/n 广播/vn 电台/n]nz 在/p 北京/ns", [("北京", "place")]),
    ],
)
def test_names_are_entities_by_their_characters(line: str, found: list[tuple[str, str]], tmp_path: Path) -> None:
    assert names(line, tmp_path) == found


def test_the_place_in_the_newspaper_is_the_document(tmp_path: Path) -> None:
    (record,) = read(tmp_path, "19980101-01-001-002/m 你/r 好/a")
    assert isinstance(record, Record)
    assert (record.text, record.meta["document"]) == ("你好", "199801.txt:19980101-01-001")


def test_a_line_without_tags_is_told_with_its_number(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"199801.txt:2.*'世界' is not a word, a slash and a tag"):
        read(tmp_path, "你/r 好/a\n世界\n")
