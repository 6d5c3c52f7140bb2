from __future__ import annotations

import gzip
import tracemalloc
from pathlib import Path

import pytest

from wenlu.corpus.record import Drop, Item, Record
from wenlu.corpus.sources import SourceSpec, open_source
from wenlu.errors import DataError
from wenlu.lifecycle.inputs import inputs_fingerprint


def spec(path: Path | str, **settings: object) -> SourceSpec:
    chosen = {"path": str(path), "kind": "moses", "languages": ["en", "zh"], "meta": ["target"], **settings}
    return SourceSpec.model_validate(chosen)


def write(tmp_path: Path, en: str = "one\r\ntwo\n", zh: str = "一\n 二 \n", stem: str = "corpus") -> Path:
    for language, text in (("en", en), ("zh", zh)):
        (tmp_path / f"{stem}.{language}").write_bytes(text.encode())
    return tmp_path / f"{stem}.en"


def pairs(items: list[Item]) -> list[tuple[str, str]]:
    return [(item.text, item.meta["target"]) for item in items if isinstance(item, Record)]


def test_lines_of_the_same_number_are_a_pair(tmp_path: Path) -> None:
    path = write(tmp_path)
    items = list(open_source(spec(path, meta=["target", "source_language", "target_language"])))
    assert items[1] == Record(
        "two",
        "corpus.en:2",
        {"target": "二", "source_language": "en", "target_language": "zh", "source": "corpus.en"},
    )
    other_way = spec(tmp_path / "corpus.zh", languages=["zh", "en"])
    assert pairs(list(open_source(other_way))) == [("一", "one"), ("二", "two")]


def test_a_glob_names_several_pairs(tmp_path: Path) -> None:
    write(tmp_path)
    write(tmp_path, "three", "三", stem="News.en-zh")
    assert pairs(list(open_source(spec(f"{tmp_path}/*.en")))) == [("three", "三"), ("one", "一"), ("two", "二")]


def test_the_language_may_stand_before_another_suffix(tmp_path: Path) -> None:
    for language, text in (("en", "one\n"), ("zh", "一\n")):
        (tmp_path / f"corpus.{language}.txt.gz").write_bytes(gzip.compress(text.encode()))
    assert pairs(list(open_source(spec(tmp_path / "corpus.en.txt.gz")))) == [("one", "一")]


@pytest.mark.parametrize(("en", "zh", "counts"), [("a\n" * 1200, "一\n", (1200, 1)), ("a", "一\n\n", (1, 2))])
def test_another_number_of_lines_is_an_error_with_both(
    tmp_path: Path, en: str, zh: str, counts: tuple[int, int]
) -> None:
    with pytest.raises(DataError) as caught:
        list(open_source(spec(write(tmp_path, en, zh))))
    assert f"corpus.en has {counts[0]:,} lines and corpus.zh has {counts[1]:,}, so that they are" in str(caught.value)


def test_the_files_must_be_told_apart(tmp_path: Path) -> None:
    path = write(tmp_path)
    with pytest.raises(DataError, match=r'kind "moses" needs its two languages, as the files are named: languages = '):
        list(open_source(spec(path, languages=[])))
    with pytest.raises(
        DataError, match=r"corpus\.zh: not a file of the source language 'en', as its name has no \.en;"
    ):
        list(open_source(spec(tmp_path / "corpus.zh")))
    (tmp_path / "corpus.zh").unlink()
    with pytest.raises(DataError, match=r"corpus\.zh: no longer there"):
        list(open_source(spec(path)))


def test_lines_without_translation_are_dropped_and_long_ones_are_bad(tmp_path: Path) -> None:
    path = write(tmp_path, "a\nb\n\nd\ne\n", f"一\n\n三\n{'四' * 40}\n\0\n")
    items = list(open_source(spec(path, max_record_bytes=100, max_bad_fraction=0.5)))
    assert [item.reason for item in items if isinstance(item, Drop)] == [
        *("untranslated", "empty", "record too large", "NUL byte")
    ]
    with pytest.raises(
        DataError, match=r"corpus\.en:4: record too large: in corpus\.zh longer than max_record_bytes = "
    ):
        list(open_source(spec(path, max_record_bytes=100)))


def test_wrong_bytes_are_located_in_their_file(tmp_path: Path) -> None:
    path = write(tmp_path)
    (tmp_path / "corpus.zh").write_bytes("中文\n".encode("gb18030"))
    with pytest.raises(DataError, match=r"corpus\.zh, line 1, byte 0: 0xD6 is not utf-8"):
        list(open_source(spec(path)))


def test_memory_does_not_grow_with_the_files(tmp_path: Path) -> None:
    path = write(tmp_path, "word\n" * 10_000, "字\n" * 10_000)
    tracemalloc.start()
    count = sum(1 for _ in open_source(spec(path)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 10_000
    assert peak < 1 << 20


def test_a_change_of_either_file_is_a_change_of_the_source(tmp_path: Path) -> None:
    source = spec(write(tmp_path))
    before = inputs_fingerprint([source])
    assert inputs_fingerprint([source]) == before
    (tmp_path / "corpus.zh").write_text("一\n二二\n")
    assert inputs_fingerprint([source]) != before
