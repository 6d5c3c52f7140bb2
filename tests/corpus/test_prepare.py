"""From files to splits: what is written, what is refused, and that nothing is harmed."""

from __future__ import annotations

import errno
import gzip
import json
import os
import random
from pathlib import Path
from typing import Any

import pytest

from wenlu.config import check, load, to_toml
from wenlu.corpus import writer
from wenlu.corpus.prepare import DataConfig, DataSummary, prepare, read_split
from wenlu.corpus.record import Record
from wenlu.errors import ConfigError, DataError, ResourceError, UsageError

WORDS = [f"{a}{b}{c}" for a in "bdfgklmnprst" for b in "aeiou" for c in ("n", "r", "st", "l")]
SPLITS = ("train", "validation", "test")


def document(number: int, words: int = 60) -> str:
    return " ".join(random.Random(number).choices(WORDS, k=words))


def nearly(text: str, number: int) -> str:
    """The text with one word in thirty changed."""
    words = text.split()
    for place in range(number % 30, len(words), 30):
        words[place] = "changed"
    return " ".join(words)


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """100 documents, each fifth followed by a near-duplicate; groups of 4; a day each."""
    rows = []
    for i in range(100):
        text = nearly(document(i - 1), i) if i % 5 == 1 else document(i)
        rows.append({"text": text, "author": f"a{i // 4}", "day": f"2024-{1 + i // 28:02d}-{1 + i % 28:02d}"})
    return write_jsonl(tmp_path / "corpus.jsonl", rows)


def config(train: object, **settings: object) -> DataConfig:
    values = {"train": train, "steps": [], "validation": 0.1, "test": 0.2, "workers": 1, **settings}
    return check(DataConfig, values, where="test")


def records(out: Path) -> dict[str, list[Record]]:
    return {split: list(read_split(out, split)) for split in SPLITS if (out / f"{split}.jsonl").exists()}


def test_every_record_is_in_exactly_one_split_and_clusters_do_not_straddle(corpus: Path, tmp_path: Path) -> None:
    summary = prepare(config(str(corpus)), tmp_path / "out", seed=1)
    found = records(tmp_path / "out")
    assert {split: len(found[split]) for split in SPLITS} == {"train": 70, "validation": 10, "test": 20}
    assert len({record.id for part in found.values() for record in part}) == 100
    assert {record.text for part in found.values() for record in part} == {
        json.loads(line)["text"] for line in corpus.read_text().splitlines()
    }
    clusters = [{record.meta["cluster"] for record in found[split]} for split in SPLITS]
    assert sum(map(len, clusters)) == len(set.union(*clusters)) == 80
    assert (summary.duplicates.clusters, summary.duplicates.records, summary.duplicates.largest) == (20, 40, 2)
    assert [(o.exact, o.near_duplicates) for o in summary.overlap] == [(0, 0)] * 3


def test_the_overlap_table_shows_what_a_random_split_leaks(corpus: Path, tmp_path: Path) -> None:
    summary = prepare(config(str(corpus), split_by="random"), tmp_path / "out", seed=1)
    leaked = {(o.held_out, o.other): o for o in summary.overlap}["test", "train"]
    found = records(tmp_path / "out")
    in_training = {record.meta["cluster"] for record in found["train"]}
    assert leaked.near_duplicates == sum(record.meta["cluster"] in in_training for record in found["test"]) > 0
    assert leaked.ngrams > 0
    assert "near-duplicates may lie on both sides" in summary.notes[0]


def test_shared_ngrams_and_exact_texts_are_counted(tmp_path: Path) -> None:
    one, other = document(1, 30), document(2, 30)
    test = write_jsonl(tmp_path / "test.jsonl", [{"text": f"{one} {other}"}, {"text": document(3)}])
    train = write_jsonl(tmp_path / "train.jsonl", [{"text": one}, {"text": document(4, 500)}, {"text": document(3)}])
    settings = config(str(train), test=str(test), validation=0.0, decontaminate=False)
    (overlap,) = prepare(settings, tmp_path / "out", seed=0).overlap
    shared, distinct = (30 - 12) + (60 - 12), (60 - 12) + (60 - 12)
    assert overlap.ngrams == pytest.approx(shared / distinct)
    assert (overlap.records, overlap.exact, overlap.sampled) == (2, 1, 1.0)


def test_chinese_overlap_is_of_fifty_characters(tmp_path: Path) -> None:
    chance = random.Random(0)
    text = "".join(chr(chance.randrange(0x4E00, 0x9000)) for _ in range(100))
    test = write_jsonl(tmp_path / "test.jsonl", [{"text": text}])
    train = write_jsonl(tmp_path / "train.jsonl", [{"text": text[:60] + "其他文字" * 30}, {"text": text[60:]}])
    settings = config(str(train), test=str(test), validation=0.0, decontaminate=False)
    (overlap,) = prepare(settings, tmp_path / "out", seed=0).overlap
    assert overlap.ngrams == pytest.approx((60 - 49) / (100 - 49))


def test_groups_do_not_straddle(corpus: Path, tmp_path: Path) -> None:
    train = {"path": str(corpus), "meta": ["author"]}
    prepare(config(train, split_by="group", group="author", test=0.3), tmp_path / "out", seed=2)
    found = records(tmp_path / "out")
    for column in ("author", "cluster"):
        sides = [{record.meta[column] for record in found[split]} for split in SPLITS]
        assert sum(map(len, sides)) == len(set.union(*sides))


def test_the_latest_records_are_held_out(corpus: Path, tmp_path: Path) -> None:
    train = {"path": str(corpus), "meta": ["day"]}
    prepare(config(train, split_by="time", time="day"), tmp_path / "out", seed=2)
    found = records(tmp_path / "out")
    days = [[record.meta["day"] for record in found[split]] for split in SPLITS]
    assert max(days[0]) < min(days[1]) <= max(days[1]) < min(days[2])


def test_given_test_files_are_kept_apart_and_training_is_cleared_of_them(corpus: Path, tmp_path: Path) -> None:
    test = write_jsonl(tmp_path / "held.jsonl", [{"text": nearly(document(7), 3)}, {"text": document(1000)}])
    summary = prepare(config(str(corpus), test=str(test), keep_dropped=True), tmp_path / "out", seed=1)
    found = records(tmp_path / "out")
    assert [record.text for record in found["test"]] == [nearly(document(7), 3), document(1000)]
    assert document(7) not in {record.text for record in found["train"] + found["validation"]}
    assert [(d.step, d.reason, d.records) for d in summary.dropped] == [("split", "near-duplicate of test", 1)]
    assert (summary.read, summary.kept) == (102, 101)
    with gzip.open(tmp_path / "out" / "dropped.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    assert [(row["text"], row["step"], row["reason"]) for row in rows] == [
        (document(7), "split", "near-duplicate of test")
    ]


@pytest.mark.parametrize(
    "steps", [["repair", "exact-dedup", "near-dedup"], [{"step": "length", "min_characters": 254}]]
)
def test_results_depend_neither_on_workers_nor_on_the_run(corpus: Path, tmp_path: Path, steps: list[Any]) -> None:
    for name, workers in (("one", 1), ("two", 2), ("again", 1)):
        prepare(config(str(corpus), steps=steps, workers=workers, keep_dropped=True), tmp_path / name, seed=5)
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files == [
        "data.html",
        "dropped.jsonl.gz",
        "statistics.json",
        "test.jsonl",
        "train.jsonl",
        "validation.jsonl",
    ]
    for name in files:
        if name != "statistics.json":  # it names the number of workers
            assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_the_order_of_the_input_does_not_move_a_record(corpus: Path, tmp_path: Path) -> None:
    lines = corpus.read_text().splitlines(keepends=True)
    shuffled = tmp_path / "shuffled.jsonl"
    shuffled.write_text("".join(random.Random(3).sample(lines, len(lines))))
    prepare(config(str(corpus)), tmp_path / "a", seed=1)
    prepare(config(str(shuffled)), tmp_path / "b", seed=1)
    for split in SPLITS:
        one, other = ({(r.text, r.meta["cluster"]) for r in read_split(tmp_path / name, split)} for name in ("a", "b"))
        assert one == other


def test_dropped_records_are_counted_by_reason_with_examples(tmp_path: Path) -> None:
    rows = [{"text": document(i)} for i in range(30)] + [{"text": document(0).upper()}] * 5 + [{"text": "x"}] * 2
    path = write_jsonl(tmp_path / "c.jsonl", rows)
    steps = ["exact-dedup", {"step": "length", "min_characters": 5}]
    summary = prepare(config(str(path), steps=steps), tmp_path / "out", seed=0)
    assert [(d.step, d.reason, d.records) for d in summary.dropped] == [
        ("exact-dedup", "duplicate", 6),
        ("length", "too short", 1),
    ]
    assert [e.text for e in summary.examples if e.step == "exact-dedup"] == [document(0).upper()[:300]] * 3
    assert summary.read == summary.kept + 7 == 37


def test_statistics_are_those_of_the_texts(tmp_path: Path) -> None:
    texts = ["ab", "天地", "abcd" * 10, "😀" * 3, *[f"text number {i}" for i in range(16)]]
    path = write_jsonl(tmp_path / "c.jsonl", [{"text": text} for text in texts])
    steps = [{"step": "language", "min_letters": 6}]
    summary = prepare(config(str(path), steps=steps, validation=0.0, test=0.0), tmp_path / "out", seed=0)
    (split,) = summary.splits.values()
    assert (split.records, split.characters, split.bytes) == (
        20,
        sum(map(len, texts)),
        sum(len(t.encode()) for t in texts),
    )
    assert (split.length_quantiles["min"], split.length_quantiles["median"], split.length_quantiles["max"]) == (
        2,
        13,
        40,
    )
    assert split.languages["zh"] == 1
    assert split.sources == {"c.jsonl": 20}
    assert sum(n for _, n in split.length_histogram) == 20
    assert dict(split.length_histogram)[2] == 2  # 2 characters
    assert dict(split.length_histogram)[64] == 1  # 33 to 64
    assert DataSummary.open(tmp_path / "out") == summary
    assert json.loads((tmp_path / "out" / "statistics.json").read_text()) == summary.to_json()


def test_text_with_odd_characters_comes_back_as_it_was(tmp_path: Path) -> None:
    texts = [
        "tab\tand bell\x07 " + document(1),
        "line\u2028separator\nand newline " + document(2),
        '"quotes" \\ ' + document(3),
    ]
    path = write_jsonl(tmp_path / "c.jsonl", [{"text": text} for text in texts])
    prepare(config(str(path), validation=0.0, test=0.0), tmp_path / "out", seed=0)
    assert [record.text for record in read_split(tmp_path / "out", "train")] == texts


def test_nothing_left_is_an_error_with_reasons_and_advice(corpus: Path, tmp_path: Path) -> None:
    steps = [{"step": "length", "min_characters": 10_000}]
    message = r"data.train: nothing is left of 100 records: 100 by length \(too short\); loosen the step 'length'"
    with pytest.raises(DataError, match=message):
        prepare(config(str(corpus), steps=steps), tmp_path / "out", seed=0)
    assert not (tmp_path / "out").exists()


def test_training_that_is_all_in_the_test_file_is_an_error(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "c.jsonl", [{"text": document(1)}])
    same = write_jsonl(tmp_path / "t.jsonl", [{"text": document(1)}])
    with pytest.raises(DataError, match=r"all of its 1 records are near-duplicates of held-out records"):
        prepare(config(str(path), test=str(same), validation=0.0), tmp_path / "out", seed=0)


def test_a_column_that_is_missing_is_named(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"corpus.jsonl:1: has no 'author', by which data.split_by wants to split"):
        prepare(config(str(corpus), split_by="group", group="author"), tmp_path / "out", seed=0)


def snapshot(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_preparing_again_replaces_all_files_at_once(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare(config(str(corpus), keep_dropped=True), out, seed=0)
    prepare(config(str(corpus), validation=0.0), out, seed=0)
    assert sorted(snapshot(out)) == ["data.html", "statistics.json", "test.jsonl", "train.jsonl"]


def test_a_failure_leaves_earlier_data_as_they_were(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    prepare(config(str(corpus)), out, seed=0)
    before = snapshot(out)
    with pytest.raises(DataError):
        prepare(config(str(corpus), steps=[{"step": "length", "min_characters": 10_000}]), out, seed=1)

    def full(*_: object) -> str:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(writer, "page", full)
    with pytest.raises(ResourceError, match=r"out: could not be written: No space left on device"):
        prepare(config(str(corpus)), out, seed=2)
    assert snapshot(out) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus.jsonl", "out"]


def test_a_folder_with_other_files_is_not_touched(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "mine"
    out.mkdir()
    (out / "thesis.txt").write_text("important")
    with pytest.raises(
        UsageError, match=r"mine: holds other files, such as 'thesis.txt'; choose a new or empty folder"
    ):
        prepare(config(str(corpus)), out, seed=0)
    assert (out / "thesis.txt").read_text() == "important"
    with pytest.raises(UsageError, match=r"thesis.txt: is a file; choose another --out"):
        prepare(config(str(corpus)), out / "thesis.txt", seed=0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"train": []}, "train: an empty list; name at least one file"),
        (
            {"validation": 0.6, "test": 0.5},
            "validation and test together take 1.1 of the records; leave some for training",
        ),
        ({"validation": 1.5}, "validation.fraction: input should be less than 1, not 1.5"),
        ({"split_by": "group"}, 'split_by = "group" needs group = "…", the name of a column'),
        ({"time": "day"}, "time = 'day' is set but not used; set split_by = \"time\" too"),
        (
            {"train": {"path": "a", "meta": ["cluster"]}},
            "meta column 'cluster' of a is a name of Wenlu's own; rename it",
        ),
        ({"train": {"path": "a", "meta": ["id"]}}, "meta column 'id' of a is a name of Wenlu's own; records take it"),
        ({"trian": "x"}, "trian: unknown key; did you mean train?"),
        ({"train": {"path": "a", "txet": "b"}}, "txet: unknown key; did you mean text?"),
        ({"test": {"path": "a", "txet": "b"}}, "txet: unknown key; did you mean text?"),
        ({"steps": ["repair", "dedup"]}, "steps.1: no step 'dedup'"),
        ({"workers": 0}, "workers"),
        ({"split_by": "author"}, "split_by"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check(DataConfig, {"train": "a.txt", **settings}, where="recipe.toml")
    assert message in str(caught.value)


def test_settings_survive_being_written_and_read(tmp_path: Path) -> None:
    settings = config(
        ["a.txt", {"path": "b.jsonl", "weight": 2.0}],
        test="t.txt",
        steps=["repair", {"step": "language", "keep": ["zh"]}],
    )
    path = tmp_path / "config.toml"
    path.write_text(to_toml(settings), encoding="utf-8")
    assert load(DataConfig, path) == settings
    assert [spec.path for spec in settings.all_sources()] == ["a.txt", "b.jsonl", "t.txt"]


def test_reading_what_is_not_there_says_what_is(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(
        DataError, match=r"out: no prepared data here \(statistics.json is missing\); run wenlu data first"
    ):
        read_split(out, "train")
    prepare(config(str(corpus), validation=0.0), out, seed=0)
    with pytest.raises(DataError, match=r"no split 'validation'; there are train, test"):
        read_split(out, "validation")
    with (out / "train.jsonl").open("a") as file:
        file.write("x")
    with pytest.raises(DataError, match=r"train.jsonl: has \d+ bytes, but \d+ were written; prepare it again"):
        read_split(out, "train")
    (out / "statistics.json").write_text("{}")
    with pytest.raises(DataError, match=r"statistics.json: not written by this version of Wenlu, or damaged"):
        read_split(out, "test")


def test_a_source_may_be_for_training_alone(corpus: Path, tmp_path: Path) -> None:
    made = write_jsonl(tmp_path / "made.jsonl", [{"text": document(1000 + i)} for i in range(100)])
    sources = [str(corpus), {"path": str(made), "is_held_out": False}]
    prepare(config(sources), tmp_path / "out", seed=0)
    by_source = {split: {it.meta["source"] for it in found} for split, found in records(tmp_path / "out").items()}
    assert by_source["train"] == {"corpus.jsonl", "made.jsonl"}
    assert by_source["test"] == by_source["validation"] == {"corpus.jsonl"}
