"""Records that show pictures: files with their names or titles as captions, tables of paths, Parquet with bytes."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from wenlu.corpus.pictures.decoding import decoded
from wenlu.corpus.pictures.locating import located
from wenlu.corpus.pictures.picture import BadPicture
from wenlu.corpus.pictures.reference import PictureBytes
from wenlu.corpus.pictures.store_writer import Working, write_pictures
from wenlu.corpus.record import Drop, Item, Record
from wenlu.corpus.source import Bad
from wenlu.corpus.sources import SourceSpec, open_source
from wenlu.errors import DataError

PROOF = os.environ.get("WENLU_PROOF") == "1"
CAPTIONS = [{"en": f"picture {i}", "zh": f"第{i}张图", "de": f"Bild {i}"} for i in range(60)]


def png(number: int) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 256, (4, 5, 3), np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def read(path: Path, **settings: object) -> list[Item]:
    return list(open_source(SourceSpec.model_validate({"path": str(path), **settings})))


def records(items: list[Item]) -> list[Record]:
    return [item for item in items if isinstance(item, Record)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "data" / "files").mkdir(parents=True)
    for number in range(5):
        (tmp_path / "data" / "files" / f"{number}.png").write_bytes(png(number))
    return tmp_path / "data"


def jsonl(path: Path, rows: list[dict[str, object]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def comma_separated(path: Path, rows: list[dict[str, object]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [*rows[0]])
        writer.writeheader()
        writer.writerows(rows)


def parquet(path: Path, rows: list[dict[str, object]]) -> None:
    pq.write_table(pa.Table.from_pylist(rows), path)


@pytest.mark.parametrize(("name", "write"), [("a.jsonl", jsonl), ("a.csv", comma_separated), ("a.parquet", parquet)])
def test_a_table_beside_the_files_gives_captions_in_several_languages(
    name: str, write: Callable[[Path, list[dict[str, object]]], None], folder: Path
) -> None:
    write(folder / name, [{"file": f"files/{i}.png", **CAPTIONS[i]} for i in range(5)])
    found = records(read(folder / name, image="file", text="en", meta=["zh", "de"]))
    assert [record.text for record in found] == [f"picture {i}" for i in range(5)]
    for number, record in enumerate(found):
        assert record.meta == {
            "zh": f"第{number}张图",
            "de": f"Bild {number}",
            "picture": str(folder / "files" / f"{number}.png"),
            "picture_sha256": hashlib.sha256(png(number)).hexdigest(),
            "source": name,
        }


@pytest.mark.parametrize("form", ["bytes", "struct"])
@pytest.mark.parametrize("kind", ["parquet", "arrow stream", "arrow file"])
def test_bytes_in_a_table_are_referred_to_and_found_again(kind: str, form: str, tmp_path: Path) -> None:
    cells = [png(i) if form == "bytes" else {"bytes": png(i), "path": f"{i}.png"} for i in range(60)]
    table = pa.Table.from_pylist([{"image": cell, **CAPTIONS[i]} for i, cell in enumerate(cells)])
    path = tmp_path / ("a.parquet" if kind == "parquet" else "a.arrow")
    if kind == "parquet":
        pq.write_table(table, path, row_group_size=25)
    else:
        with (pa.ipc.new_stream if kind == "arrow stream" else pa.ipc.new_file)(str(path), table.schema) as writer:
            writer.write_table(table, max_chunksize=25)
    found = records(read(path, image="image", text="zh"))
    assert [record.meta["picture"] for record in found] == [f"{path}#image:{i + 1}" for i in range(60)]
    with PictureBytes(10_000) as files:
        for number in [0, 1, 2, 30, 59, 3, 26, 26, 25, 50]:
            assert files.of(found[number].meta) == png(number)
        with pytest.raises(BadPicture, match="has no picture in row 61"):
            files.of({**found[0].meta, "picture": f"{path}#image:61"})
        with pytest.raises(BadPicture, match="picture cannot be read: row 1 of "):
            files.of({**found[0].meta, "picture": f"{path}#other:1"})
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 3])
        with pytest.raises(BadPicture), PictureBytes(10_000) as anew:
            anew.of(found[55].meta)
        path.write_bytes(content)
        with pytest.raises(BadPicture, match="picture has changed"):
            files.of({**found[0].meta, "picture": f"{path}#image:2"})


def test_a_parquet_row_with_only_a_path_shows_that_file(folder: Path) -> None:
    rows = [{"image": {"bytes": None if i else png(7), "path": f"files/{i}.png"}, "text": "t"} for i in range(3)]
    parquet(folder / "a.parquet", rows)
    found = records(read(folder / "a.parquet", image="image"))
    assert found[0].meta["picture"] == f"{folder}/a.parquet#image:1"
    assert found[2].meta["picture"] == f"{folder}/files/2.png"


def test_rows_without_a_picture_are_dropped_and_wrong_ones_are_bad(folder: Path) -> None:
    rows: list[dict[str, object]] = [
        {"file": "files/0.png", "text": "good"},
        {"file": None, "text": "none"},
        {"file": 3, "text": "number"},
        {"file": "files/gone.png", "text": "gone"},
    ]
    jsonl(folder / "a.jsonl", rows)
    items = read(folder / "a.jsonl", image="file", max_bad_fraction=0.5)
    reasons = [item.reason if isinstance(item, Drop) else item.text for item in items]
    assert reasons == ["good", "no picture", "not a picture", "picture cannot be read"]
    with pytest.raises(DataError, match=r"a\.jsonl:3: not a picture: 'file' holds int 3, not the path or the bytes of"):
        read(folder / "a.jsonl", image="file")


def test_a_dataset_that_was_fetched_names_no_files_of_the_machine(folder: Path) -> None:
    (folder.parent / "private.png").write_bytes(png(1))
    named = ["files/0.png", "../private.png", str(folder.parent / "private.png"), "files/../files/1.png"]
    rows = [Record("t", str(i), {"picture": name}) for i, name in enumerate(named)]
    found = list(located(rows, str(folder / "a.jsonl"), within=folder))
    assert [item.reason if isinstance(item, Bad) else "" for item in found] == [
        "",
        *["picture outside its dataset"] * 2,
        "",
    ]
    (outside,) = located([Record("t", "p", {"picture": "../../x.png"})], "package:emojibase-data/en/data.json")
    assert isinstance(outside, Bad)
    assert outside.reason == "picture outside its package"


def test_the_column_of_pictures_must_be_there(folder: Path) -> None:
    jsonl(folder / "a.jsonl", [{"file": "files/0.png", "text": "good"}])
    with pytest.raises(
        DataError, match=r"no column 'image'; its columns are 'file', 'text'\. Name one of them in 'image'"
    ):
        read(folder / "a.jsonl", image="image")
    (folder / "a.txt").write_text("text")
    with pytest.raises(DataError, match="a text file has no columns; leave out image = 'file'"):
        read(folder / "a.txt", image="file")
    assert records(read(folder / "a.jsonl", image="shown", rename={"file": "shown"}))


def test_a_folder_of_pictures_has_their_names_as_captions(folder: Path) -> None:
    (folder / "files" / "two_red-apples.png").write_bytes(png(9))
    (folder / "files" / "README.md").write_text("A text.")
    items = read(folder, kind="pictures", meta=["folder", "format"])
    assert [item.text for item in records(items)] == ["0", "1", "2", "3", "4", "two red apples"]
    assert Counter(item.reason for item in items if isinstance(item, Drop)) == {"not a picture that is read": 1}
    assert records(items)[0].meta["folder"] == "files"
    assert records(items)[0].meta["format"] == "PNG"
    with pytest.raises(DataError, match=r"of a picture, meta can keep name, folder, .*; not 'colour'"):
        read(folder, kind="pictures", meta=["colour"])


def test_what_a_drawing_says_of_itself_is_its_caption(tmp_path: Path) -> None:
    (tmp_path / "a.svg").write_text(
        """<?xml version="1.0"?>
        <svg xmlns="http://www.w3.org/2000/svg" width="4" height="4" xmlns:cc="http://web.resource.org/cc/"
         xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
        <metadata><rdf:RDF><cc:Work><dc:title>A star</dc:title>
        <dc:subject><rdf:Bag><rdf:li>sky</rdf:li><rdf:li>night</rdf:li></rdf:Bag></dc:subject>
        <dc:creator><cc:Agent><dc:title>Someone</dc:title></cc:Agent></dc:creator><dc:language>en</dc:language>
        </cc:Work></rdf:RDF></metadata><rect width="4" height="4"/></svg>"""
    )
    (tmp_path / "b_moon.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"><title>Moon</title></svg>')
    (tmp_path / "the_sun.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"></svg>')
    star, moon, sun = records(read(tmp_path, kind="pictures", meta=["keywords", "artist", "language", "name"]))
    assert (star.text, moon.text, sun.text) == ("A star", "Moon", "the sun")
    assert {key: star.meta[key] for key in ("keywords", "artist", "language", "name")} == {
        "keywords": "sky, night",
        "artist": "Someone",
        "language": "en",
        "name": "a",
    }


@pytest.mark.fetch
def test_emoji_are_listed_with_their_names_in_several_languages(package_file: Callable[[str, str], Path]) -> None:
    package_file("emoji-datasource-google", "emoji.json")
    package_file("emojibase-data", "zh/data.json")
    meta = ["zh", "de", "zh-keywords", "style", "emoji", "base"]
    spec = SourceSpec(path="package:emoji-datasource-google/emoji.json", kind="emoji", meta=tuple(meta))
    found = records(list(open_source(spec)))
    assert len(found) == 3786
    grin = next(record for record in found if record.meta["emoji"] == "😀")
    assert (grin.text, grin.meta["zh"], grin.meta["style"]) == ("grinning face", "嘿嘿", "google")
    wave = next(record for record in found if record.meta["emoji"] == "👋🏿")
    assert (wave.meta["base"], wave.text) == ("1F44B", "waving hand: dark skin tone")
    with PictureBytes(2**20) as files:
        assert decoded(files.of(grin.meta)).pixels.shape == (64, 64, 3)


@pytest.mark.fetch
@pytest.mark.skipif(not PROOF, reason="all of them, in minutes; make proof-corpus")
@pytest.mark.parametrize(
    ("path", "kind", "listed", "refused"),
    [
        ("package:emoji-datasource-google/emoji.json", "emoji", 3786, {}),
        ("package:emoji-datasource-twitter/emoji.json", "emoji", 3786, {}),
        ("package:openclipart-svg/usr/share/openclipart/svg", "pictures", 7458, {"SVG reaches outside": 86}),
    ],
)
def test_all_pictures_of_a_package_are_stored_or_told(
    path: str, kind: str, listed: int, refused: dict[str, int], tmp_path: Path
) -> None:
    found = records(list(open_source(SourceSpec(path=path, kind=kind))))
    assert len(found) == listed
    data = write_pictures(found, tmp_path / "out", Working(64, square=True), workers=2, max_bad_fraction=0.02)
    assert len(data) + data.dropped == len({record.meta["picture_sha256"] for record in found})
    assert Counter(data.reasons().values()) == refused


@pytest.mark.fetch
def test_open_clipart_is_listed_with_titles_and_keywords(package_file: Callable[[str, str], Path]) -> None:
    package_file("openclipart-svg", "usr/share/doc/openclipart-svg/copyright")
    path = "package:openclipart-svg/usr/share/openclipart/svg/animals"
    found = records(list(open_source(SourceSpec(path=path, kind="pictures", meta=("keywords",), limit=20))))
    assert len(found) == 20
    frogs = next(record for record in found if record.text == "2 dead frogs")
    assert "froggies" in frogs.meta["keywords"]
    assert frogs.meta["picture"] == f"{path}/2_dead_frogs_lumen_desig_01.svg"
    with PictureBytes(2**22) as files:
        assert max(decoded(files.of(frogs.meta), longest=64).pixels.shape) == 64
