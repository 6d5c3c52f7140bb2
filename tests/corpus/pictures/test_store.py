"""Pictures of records are stored once, at their working size, and read back as they were."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wenlu.corpus.pictures.store import DamagedPicture, PictureData
from wenlu.corpus.pictures.store_writer import Working, write_pictures
from wenlu.corpus.record import Record
from wenlu.corpus.sources import SourceSpec, open_source
from wenlu.errors import DataError, ResourceError

COUNT = 70
"""More than two chunks of work."""


def picture(number: int) -> np.ndarray:
    generator = np.random.default_rng(number)
    return generator.integers(0, 256, (int(generator.integers(1, 30)), int(generator.integers(1, 30)), 3), np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(COUNT):
        Image.fromarray(picture(number)).save(folder / f"{number:02}.png")
    return folder


def records_of(folder: Path) -> list[Record]:
    items = open_source(SourceSpec(path=str(folder), kind="pictures"))
    return [item for item in items if isinstance(item, Record)]


@pytest.fixture(scope="module")
def stored(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> PictureData:
    out = tmp_path_factory.mktemp("stored") / "data"
    return write_pictures(records_of(folder), out, Working(64), shard_bytes=20_000)


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_every_picture_is_there_as_it_was(stored: PictureData, folder: Path) -> None:
    assert (len(stored), stored.dropped) == (COUNT, 0)
    for number, record in enumerate(records_of(folder)):
        assert stored.row_of(record.meta) == number
        np.testing.assert_array_equal(stored.pixels(number), picture(number))
    stored.verify()


def test_no_shard_is_larger_than_asked(stored: PictureData) -> None:
    shards = [data for name, data in files_of(stored.folder).items() if name.startswith("pixels-")]
    assert len(shards) == 3
    assert max(map(len, shards)) <= 20_000
    assert sum(map(len, shards)) == sum(picture(number).size for number in range(COUNT))


def test_two_workers_write_the_bytes_of_one(stored: PictureData, folder: Path, tmp_path: Path) -> None:
    many = [r for copy in range(5) for r in records_of(copied(folder, tmp_path / f"copy-{copy}", copy))]
    one = write_pictures(many, tmp_path / "one", Working(16), shard_bytes=20_000)
    two = write_pictures(many, tmp_path / "two", Working(16), shard_bytes=20_000, workers=2)
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")
    assert one.fingerprint == two.fingerprint != stored.fingerprint


def copied(folder: Path, out: Path, number: int) -> Path:
    """The pictures with a mark in their corner, so that each is a new one."""
    out.mkdir()
    for path in sorted(folder.iterdir()):
        pixels = np.array(Image.open(path))
        pixels[0, 0] = number
        Image.fromarray(pixels).save(out / path.name)
    return out


def test_a_picture_that_two_records_show_is_stored_once(folder: Path, tmp_path: Path) -> None:
    records = records_of(folder)[:3]
    again = [Record("ein Bild", f"{record.id}:de", record.meta) for record in records]
    data = write_pictures([*records, *again], tmp_path / "out", Working(64))
    assert len(data) == 3
    assert [data.row_of(record.meta) for record in again] == [0, 1, 2]


def test_square_pictures_lie_in_the_middle_of_the_background(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    Image.new("RGB", (8, 4), "red").save(tmp_path / "in" / "wide.png")
    Image.new("RGB", (32, 16), "red").save(tmp_path / "in" / "large.png")
    data = write_pictures(records_of(tmp_path / "in"), tmp_path / "out", Working(16, square=True, background="black"))
    batch = data.batch([0, 1])
    red = (batch == [255, 0, 0]).all(axis=-1)
    assert batch.shape == (2, 16, 16, 3)
    assert red[1, 6:10, 4:12].all()
    assert red[1].sum() == 32
    assert red[0, 4:12].all()
    assert red[0].sum() == 128
    assert (batch[~red] == 0).all()


def test_what_cannot_be_used_is_told_and_nothing_is_lost(folder: Path, tmp_path: Path) -> None:
    records = records_of(folder)
    cut = tmp_path / "in"
    cut.mkdir()
    for path in sorted(folder.iterdir())[:10]:
        (cut / path.name).write_bytes(path.read_bytes())
    (cut / "broken.png").write_bytes((folder / "00.png").read_bytes()[:60])
    read = records_of(cut)
    data = write_pictures(read, tmp_path / "out", Working(64), max_bad_fraction=0.1)
    assert (len(data), data.dropped) == (10, 1)
    assert set(data.reasons().values()) == {"damaged picture"}
    rows = [data.row_of(record.meta) for record in read]
    assert sorted(row for row in rows if row is not None) == list(range(10))
    with pytest.raises(
        DataError, match=r"in/broken\.png: damaged picture: .* 1 of 11 pictures cannot be used, more than"
    ):
        write_pictures(read, tmp_path / "other", Working(64))
    assert not (tmp_path / "other").exists()
    assert len(records) == COUNT


@pytest.mark.parametrize("workers", [1, 2])
def test_a_picture_that_kills_the_decoder_takes_no_other_with_it(folder: Path, workers: int, tmp_path: Path) -> None:
    marked = [r for copy in range(4) for r in records_of(copied(folder, tmp_path / f"copy-{copy}", copy))]
    deadly = tmp_path / "deadly"
    deadly.mkdir()
    for number in range(3):
        depth = 200_000 + number
        (deadly / f"{number}.svg").write_text(
            '<svg xmlns="http://www.w3.org/2000/svg">' + "<g>" * depth + "</g>" * depth + "</svg>"
        )
    bad = records_of(deadly)
    mixed = [*marked[:100], bad[0], *marked[100:270], bad[1], bad[2], *marked[270:]]
    data = write_pictures(mixed, tmp_path / "out", Working(64), workers=workers, max_bad_fraction=0.02)
    assert (len(data), data.dropped) == (len(marked), 3)
    assert set(data.reasons().values()) == {"breaks the decoder"}
    assert [data.row_of(record.meta) for record in marked] == list(range(len(marked)))


def test_a_picture_that_changed_since_it_was_listed_is_not_stored(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "in" / "a.png"
    path.parent.mkdir()
    path.write_bytes((folder / "01.png").read_bytes())
    records = records_of(path.parent)
    path.write_bytes((folder / "02.png").read_bytes())
    with pytest.raises(DataError, match=r"picture has changed: the sha256 of .*a\.png is not what it was"):
        write_pictures(records, tmp_path / "out", Working(64))
    path.unlink()
    with pytest.raises(DataError, match=r"picture cannot be read: .*a\.png: No such file"):
        write_pictures(records, tmp_path / "out", Working(64))


def test_a_changed_byte_is_met_where_it_is_read(folder: Path, tmp_path: Path) -> None:
    data = write_pictures(records_of(folder)[:5], tmp_path / "out", Working(64))
    path = tmp_path / "out" / "pixels-00000.bin"
    content = bytearray(path.read_bytes())
    content[picture(0).size + 1] ^= 1
    path.write_bytes(content)
    damaged = PictureData.open(tmp_path / "out")
    np.testing.assert_array_equal(damaged.pixels(0), picture(0))
    with pytest.raises(DamagedPicture, match=r"pixels-00000\.bin: picture 1 of all is not what was written"):
        damaged.pixels(1)
    with pytest.raises(DataError, match="is not what was written"):
        damaged.verify()
    assert len(data) == 5


def test_a_damaged_folder_is_refused_by_name(folder: Path, tmp_path: Path) -> None:
    write_pictures(records_of(folder)[:5], tmp_path / "out", Working(64))
    for name in ("index.bin", "digests.bin", "manifest.json", "pixels-00000.bin"):
        whole = (tmp_path / "out" / name).read_bytes()
        (tmp_path / "out" / name).write_bytes(whole[:-1])
        with pytest.raises(DataError, match=name):
            PictureData.open(tmp_path / "out")
        (tmp_path / "out" / name).write_bytes(whole)
    with pytest.raises(DataError, match="is not a folder of stored pictures"):
        PictureData.open(tmp_path)


def test_a_folder_of_something_else_is_left_alone(folder: Path) -> None:
    with pytest.raises(ResourceError, match="holds other files, so pictures are not stored there"):
        write_pictures(records_of(folder), folder, Working(64))


def test_a_record_without_a_picture_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match='a:1: has no picture; name the column of pictures: image = "…" in its source'):
        write_pictures([Record("text", "a:1")], tmp_path / "out", Working(64))


def test_a_drawing_is_stored_at_the_working_size(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" width="4" height="2"><rect width="4" height="2" fill="blue"/></svg>'
    )
    data = write_pictures(records_of(tmp_path / "in"), tmp_path / "out", Working(32))
    assert data.pixels(0).shape == (16, 32, 3)
    assert Image.open(io.BytesIO(png_of(data))).getpixel((16, 8)) == (0, 0, 255)


def png_of(data: PictureData) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(data.pixels(0)).save(stream, "PNG")
    return stream.getvalue()
