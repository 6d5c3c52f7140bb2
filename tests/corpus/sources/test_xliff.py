from __future__ import annotations

from pathlib import Path

import pytest

from wenlu.corpus.record import Drop, Item, Record
from wenlu.corpus.sources import SourceSpec, open_source
from wenlu.errors import DataError

COLUMNS = ("target", "source_language", "target_language")
UNIT = '<trans-unit id="1"><source>One</source><target>一</target></trans-unit>'
SEGMENT = '<unit id="1"><segment><source>One</source><target>一</target></segment></unit>'


def first_version(*units: str, target: str = ' target-language="zh-CN"') -> str:
    return (
        '<?xml version="1.0"?>\n<xliff version="1.2" xmlns="urn:oasis:names:tc:xliff:document:1.2">'
        f'<file original="a.txt" source-language="en-US"{target} datatype="plaintext">'
        "<header><note>n</note></header><body><group>\n" + "\n".join(units) + "\n</group></body></file></xliff>"
    )


def second_version(*units: str) -> str:
    return (
        '<xliff version="2.1" xmlns="urn:oasis:names:tc:xliff:document:2.0" srcLang="en" trgLang="zh"><file id="f">'
        "<group>\n" + "\n</group><group>".join(units) + "\n</group></file></xliff>"
    )


def read(tmp_path: Path, content: str, name: str = "rows.xlf", **settings: object) -> list[Item]:
    path = tmp_path / name
    path.write_text(content)
    return list(open_source(SourceSpec.model_validate({"path": str(path), "meta": COLUMNS, **settings})))


def pairs(items: list[Item]) -> list[tuple[str, ...]]:
    return [(item.text, *(item.meta.get(name, "") for name in COLUMNS)) for item in items if isinstance(item, Record)]


def reasons(items: list[Item]) -> list[str]:
    return [item.reason for item in items if isinstance(item, Drop)]


def test_a_unit_of_version_1_is_a_pair(tmp_path: Path) -> None:
    alternative = (
        '<trans-unit id="2"><source>Two <g id="1">bold</g><x id="2"/><bpt id="3">&lt;i&gt;</bpt> words</source>'
        "<seg-source>no</seg-source><alt-trans><source>Zwei</source><target>不</target></alt-trans>"
        '<target state="translated"><mrk mtype="seg">两个</mrk>词</target></trans-unit>'
    )
    for name in ("rows.xlf", "rows.xliff"):
        assert pairs(read(tmp_path, first_version(UNIT, alternative), name)) == [
            ("One", "一", "en-US", "zh-CN"),
            ("Two bold words", "两个词", "en-US", "zh-CN"),
        ]


def test_a_segment_of_version_2_is_a_pair(tmp_path: Path) -> None:
    unit = (
        '<unit id="2"><notes><note>n</note></notes><segment state="final"><source>Two<ph id="1"/> <pc id="2">bold</pc>'
        "</source><target>二</target></segment><ignorable><source> </source></ignorable>"
        "<segment><source>Three</source><target>三</target></segment></unit>"
    )
    items = read(tmp_path, second_version(SEGMENT, unit))
    assert pairs(items) == [("One", "一", "en", "zh"), ("Two bold", "二", "en", "zh"), ("Three", "三", "en", "zh")]
    assert [item.id for item in items if isinstance(item, Record)] == ["rows.xlf:1", "rows.xlf:2", "rows.xlf:3"]


def test_what_is_not_translated_is_dropped_with_the_reason(tmp_path: Path) -> None:
    items = read(
        tmp_path,
        first_version(
            UNIT,
            '<trans-unit id="2"><source>Two</source></trans-unit>',
            '<trans-unit id="3"><source>Three</source><target/></trans-unit>',
            '<trans-unit id="4"><source>Four</source><target state="needs-translation">Four</target></trans-unit>',
            '<trans-unit id="5" translate="no"><source>Five</source><target>Five</target></trans-unit>',
        ),
    )
    assert reasons(items) == ["untranslated"] * 3 + ["not to be translated"]
    initial = SEGMENT.replace("<segment>", '<segment state="initial">')
    assert reasons(read(tmp_path, second_version(SEGMENT, initial))) == ["untranslated"]


def test_languages_may_turn_the_pair_round(tmp_path: Path) -> None:
    content = first_version(UNIT)
    assert pairs(read(tmp_path, content, languages=["en", "zh"])) == [("One", "一", "en-US", "zh-CN")]
    assert pairs(read(tmp_path, content, languages=["zh", "en"])) == [("一", "One", "zh-CN", "en-US")]
    with pytest.raises(DataError, match=r"holds no text; what was read was dropped: not in both languages \(1\)"):
        read(tmp_path, content, languages=["en", "de"])


def test_a_target_language_need_not_be_named(tmp_path: Path) -> None:
    assert pairs(read(tmp_path, first_version(UNIT, target=""))) == [("One", "一", "en-US", "")]


def test_a_unit_without_source_is_bad(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"rows\.xlf:2: malformed unit: the <trans-unit> of line 4 has no <source>\. "):
        read(tmp_path, first_version(UNIT, '<trans-unit id="2"/>'))


def test_entities_are_refused(tmp_path: Path) -> None:
    content = first_version(UNIT).replace("<xliff", '<!DOCTYPE xliff [<!ENTITY e "x">]><xliff')
    with pytest.raises(DataError, match="declares the entity 'e', and files with entities are refused"):
        read(tmp_path, content)


def test_groups_are_let_go_of(tmp_path: Path) -> None:
    path = tmp_path / "rows.xlf"
    path.write_text(second_version(*[SEGMENT.replace("One", "word " * 100)] * 30_000))
    items = open_source(SourceSpec(path=str(path)))
    for _ in range(3000):
        next(items)
    before = resident()
    assert sum(1 for _ in items) == 27_000
    assert resident() - before < 4 << 20  # of 18 MB


def resident() -> int:
    """Bytes of memory that the process holds; libxml2's are not seen by tracemalloc."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
