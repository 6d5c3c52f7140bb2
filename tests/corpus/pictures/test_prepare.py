"""Pictures through the whole preparation: steps, splits, quarantine, and what is written."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
from collections import Counter
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wenlu.config import check
from wenlu.corpus.pictures.store_writer import Working, write_pictures
from wenlu.corpus.prepare import DataConfig, prepare, read_split
from wenlu.corpus.record import Drop, Record
from wenlu.corpus.source import SourceSpec
from wenlu.corpus.step import Workroom, run_steps
from wenlu.corpus.steps import read_step, step_kind
from wenlu.errors import DataError

GOOD = 300
"""More than a chunk of records, so that two workers have work."""
BAD = {
    "text.png": b"a text\n",
    "cut.jpg": None,
    "bomb.png": None,
    "linked.svg": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="x.png"/></svg>',
}


def encoded(pixels: np.ndarray, form: str) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, form)
    return stream.getvalue()


def pixels(number: int) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (6, 8, 3), np.uint8)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three pictures of each of a hundred captions, and four bad ones."""
    folder = tmp_path_factory.mktemp("pictures")
    rows = []
    for number in range(GOOD):
        (folder / f"{number}.png").write_bytes(encoded(pixels(number), "PNG"))
        rows.append({"file": f"{number}.png", "text": f"caption of its own {number // 3}", "style": str(number % 3)})
    large = encoded(np.zeros((100, 100, 3), np.uint8), "PNG")
    for name, data in BAD.items():
        if name == "cut.jpg":
            data = encoded(pixels(0).repeat(20, 0), "JPEG")[:500]
        elif name == "bomb.png":
            data = large
        assert data is not None
        (folder / name).write_bytes(data)
        rows.append({"file": name, "text": f"bad {name}", "style": "9"})
    (folder / "captions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / "captions.jsonl"


def config(table: Path, **settings: object) -> DataConfig:
    train = {"path": str(table), "image": "file", "meta": ["style"]}
    steps = ["repair", "exact-dedup", {"step": "pictures", "max_pixels": 5000}]
    values = {"train": train, "steps": steps, "validation": 0.1, "test": 0.2, "keep_dropped": True, **settings}
    return check(DataConfig, values, where="test")


def test_nothing_is_lost_and_what_is_dropped_has_its_reason(table: Path, tmp_path: Path) -> None:
    summary = prepare(config(table, workers=1), tmp_path / "data", seed=0)
    assert summary.read == GOOD + len(BAD)
    assert summary.kept == GOOD
    with gzip.open(tmp_path / "data" / "dropped.jsonl.gz") as lines:
        dropped = [json.loads(line) for line in lines]
    assert {row["text"].removeprefix("bad "): row["reason"] for row in dropped} == {
        "text.png": "not a picture that is read",
        "cut.jpg": "damaged picture",
        "bomb.png": "too many pixels",
        "linked.svg": "SVG reaches outside",
    }
    assert all(row["picture_error"] for row in dropped)


def test_captions_that_are_alike_lie_on_one_side(table: Path, tmp_path: Path) -> None:
    prepare(config(table, workers=1), tmp_path / "data", seed=0)
    sides: dict[str, set[str]] = {}
    counts: Counter[str] = Counter()
    for split in ("train", "validation", "test"):
        for record in read_split(tmp_path / "data", split):
            sides.setdefault(record.text, set()).add(split)
            counts[split] += 1
    assert all(len(where) == 1 for where in sides.values())
    assert sum(counts.values()) == GOOD
    assert len(counts) == 3


def test_captions_of_one_picture_lie_on_one_side(table: Path, tmp_path: Path) -> None:
    words = ["alpha", "bravo", "gamma", "delta", "omega", "kappa", "sigma", "theta"]
    captions = [f"{a} {b} {c} number {i}" for i, (a, b, c) in enumerate(permutations(words, 3)) if i < 300]
    rows = [{"file": f"{i // 5}.png", "text": caption} for i, caption in enumerate(captions)]
    several = table.parent / "several.jsonl"
    several.write_text("".join(json.dumps(row) + "\n" for row in rows))
    summary = prepare(
        config(table, train={"path": str(several), "image": "file"}, workers=1, near_duplicate_threshold=0.95),
        tmp_path / "data",
        seed=0,
    )
    sides: dict[str, set[str]] = {}
    for split in summary.splits:
        for record in read_split(tmp_path / "data", split):
            sides.setdefault(record.meta["picture_sha256"], set()).add(split)
    assert len(sides) == 60
    assert all(len(where) == 1 for where in sides.values())
    assert list(summary.splits) == ["train", "validation", "test"]


def test_two_workers_write_the_files_of_one_and_all_of_it_can_be_stored(table: Path, tmp_path: Path) -> None:
    one = prepare(config(table, workers=1), tmp_path / "one", seed=0)
    two = prepare(config(table, workers=2), tmp_path / "two", seed=0)
    assert one.files == two.files
    stored = [
        write_pictures(read_split(tmp_path / "one", split), tmp_path / f"store-{split}", Working(4))
        for split in ("train", "validation", "test")
    ]
    assert sum(map(len, stored)) == GOOD
    assert sum(data.dropped for data in stored) == 0


def test_a_split_by_pictures_lets_labels_be_shared(table: Path, tmp_path: Path) -> None:
    rows = [{"file": f"{number // 2}.png", "text": ("cat", "dog")[number % 2]} for number in range(300)]
    labelled = table.parent / "labelled.jsonl"
    labelled.write_text("".join(json.dumps(row) + "\n" for row in rows))
    spec = SourceSpec(path=str(labelled), image="file")
    config = DataConfig(train=(spec,), split_by="picture", steps=(), test=0.2, validation=0.0)
    prepare(config, tmp_path / "data", seed=0)
    sides: dict[str, set[str]] = {}
    texts: dict[str, set[str]] = {}
    for split in ("train", "test"):
        for record in read_split(tmp_path / "data", split):
            sides.setdefault(record.meta["picture_sha256"], set()).add(split)
            texts.setdefault(split, set()).add(record.text)
    assert all(len(side) == 1 for side in sides.values())
    assert texts == {"train": {"cat", "dog"}, "test": {"cat", "dog"}}
    bare = DataConfig(train=(SourceSpec(path=str(labelled)),), split_by="picture", steps=())
    with pytest.raises(DataError, match=r"has no picture, by which data\.split_by wants to split"):
        prepare(bare, tmp_path / "bare", seed=0)


def test_pictures_with_one_caption_are_no_duplicates_but_one_picture_twice_is(table: Path) -> None:
    step = step_kind("exact-dedup").build(read_step("exact-dedup"), Workroom())
    records = [
        Record("a dog", str(number), {"picture": f"{name}.png", "picture_sha256": name * 64})
        for number, name in enumerate("aba")
    ]
    items = list(run_steps([step], records))
    assert [isinstance(item, Drop) for item in items] == [False, False, True]


def test_the_step_says_what_was_done_and_drops_what_is_small(tmp_path: Path) -> None:
    grey = np.zeros((3, 9), np.uint16)
    path = tmp_path / "a.png"
    path.write_bytes(encoded(grey, "PNG"))
    meta = {"picture": str(path), "picture_sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    for side, expected in ((3, "16 bits made 8"), (4, "picture too small")):
        step = step_kind("pictures").build(read_step({"step": "pictures", "min_side": side}), Workroom())
        (item,) = run_steps([step], [Record("grey", "a", meta)])
        assert (item.reason if isinstance(item, Drop) else item.meta["picture_done"]) == expected
