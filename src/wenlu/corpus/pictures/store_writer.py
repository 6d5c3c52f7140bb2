"""Decodes the pictures of records and writes them in the format that `store.py` reads."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from wenlu.corpus.parallel import Patience, map_ordered
from wenlu.corpus.pictures.decoding import BACKGROUNDS, LIMITS, decoded
from wenlu.corpus.pictures.picture import BadPicture, PictureLimits, Pixels
from wenlu.corpus.pictures.reference import DIGEST, PictureBytes
from wenlu.corpus.pictures.store import FORMAT, INDEX, MANIFEST, PictureData, fingerprint_of, hash_of
from wenlu.corpus.record import Record
from wenlu.errors import DataError, ResourceError
from wenlu.progress import QUIET, Progress
from wenlu.rundir.atomic import atomic_folder

_CHUNK = 8


@dataclass(frozen=True)
class Working:
    """The size at which pictures are kept.

    Attributes:
        longest: pixels of the longer side; larger pictures are made smaller, and no picture larger, but drawings (SVG)
            are drawn so.
        square: lay each in the middle of `longest` × `longest` pixels of the background, so that batches are quick.
    """

    longest: int
    square: bool = False
    background: str = "white"


def write_pictures(
    records: Iterable[Record],
    out: Path,
    working: Working,
    *,
    limits: PictureLimits = LIMITS,
    workers: int = 1,
    shard_bytes: int = 1 << 28,
    max_bad_fraction: float = 0.001,
    progress: Progress = QUIET,
) -> PictureData:
    """Store the pictures of records in the folder `out`, which appears complete or not at all, and replaces another.

    What is written depends neither on `workers` nor on the machine. A picture that cannot be used is left out and
    told with its reason. Memory does not grow with the pictures but for 100 bytes a picture.

    Raises:
        DataError: more than `max_bad_fraction` of the pictures cannot be used; the first is named.
        ResourceError: the disk is full or refuses; `out` is a folder of something else.
    """
    if out.is_dir() and any(out.iterdir()) and not (out / "digests.bin").exists():
        raise ResourceError(f"{out}: holds other files, so pictures are not stored there; choose another folder")
    progress.start("store pictures", unit="pictures")
    first: tuple[Record, _Failed] | None = None
    with atomic_folder(out) as folder:
        with PictureBytes(limits.max_bytes) as files, _Writer(folder, shard_bytes) as writer:
            decode = partial(_decoded, files=files, working=working, limits=limits)
            chunks = _chunks(_distinct(records))
            patience = Patience(seconds=_CHUNK * (limits.max_seconds * 6 + 60))
            for chunk, results in map_ordered(decode, chunks, workers=workers, patience=patience, name=_range):
                for record, result in zip(chunk, results, strict=True):
                    writer.add(record, result)
                    if first is None and isinstance(result, _Failed):
                        first = record, result
                progress.update(writer.stored)
        if first is not None and writer.dropped > max_bad_fraction * (writer.stored + writer.dropped):
            record, failed = first
            raise DataError(
                f"{record.id}: {failed.reason}: {failed.detail}. {writer.dropped:,} of "
                f"{writer.stored + writer.dropped:,} pictures cannot be used, more than max_bad_fraction = "
                f"{max_bad_fraction:g}; drop them with the step pictures, or raise it to leave them out"
            )
        manifest: dict[str, Any] = {
            "format": FORMAT,
            "longest": working.longest,
            "square": working.square,
            "background": working.background,
            "pictures": writer.stored,
            "dropped": writer.dropped,
            "files": {
                path.name: {"bytes": path.stat().st_size, "blake2b": hash_of(path)} for path in sorted(folder.iterdir())
            },
        }
        manifest["fingerprint"] = fingerprint_of(manifest)
        (folder / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
    progress.finish(f"{writer.stored:,} pictures stored, {writer.dropped:,} left out")
    return PictureData.open(out)


@dataclass(frozen=True)
class _Failed:
    reason: str
    detail: str


_Result = Pixels | _Failed


class _Writer:
    def __init__(self, folder: Path, shard_bytes: int) -> None:
        self.stored = self.dropped = 0
        self._folder, self._shard_bytes = folder, shard_bytes
        self._shard, self._at = -1, shard_bytes
        self._pixels: Any = None

    def __enter__(self) -> Self:
        self._index = (self._folder / "index.bin").open("xb")
        self._digests = (self._folder / "digests.bin").open("xb")
        self._dropped = (self._folder / "dropped.jsonl").open("xb")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in (self._index, self._digests, self._dropped, self._pixels):
            if file is not None:
                file.close()

    def add(self, record: Record, result: _Result) -> None:
        sha256 = record.meta[DIGEST]
        if isinstance(result, _Failed):
            row = {"sha256": sha256, "id": record.id, "reason": result.reason, "detail": result.detail}
            self._dropped.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
            self.dropped += 1
            return
        data = result.tobytes()
        if self._at and self._at + len(data) > self._shard_bytes:
            self._next_shard()
        self._pixels.write(data)
        height, width, _ = result.shape
        self._index.write(np.array([self._shard, self._at, height, width, zlib.crc32(data)], INDEX).tobytes())
        self._digests.write(bytes.fromhex(sha256))
        self._at += len(data)
        self.stored += 1

    def _next_shard(self) -> None:
        if self._pixels is not None:
            self._pixels.close()
        self._shard, self._at = self._shard + 1, 0
        self._pixels = (self._folder / f"pixels-{self._shard:05}.bin").open("xb")


def _distinct(records: Iterable[Record]) -> Iterator[Record]:
    """The first record of each picture."""
    seen: set[bytes] = set()
    for record in records:
        if DIGEST not in record.meta:
            raise DataError(f'{record.id}: has no picture; name the column of pictures: image = "…" in its source')
        digest = bytes.fromhex(record.meta[DIGEST])
        if digest not in seen:
            seen.add(digest)
            yield record


def _chunks(records: Iterator[Record]) -> Iterator[list[Record]]:
    while chunk := list(islice(records, _CHUNK)):
        yield chunk


def _range(chunk: Sequence[Record]) -> str:
    return f"the {len(chunk)} pictures from {chunk[0].id} to {chunk[-1].id}"


def _decoded(
    chunk: list[Record], files: PictureBytes, working: Working, limits: PictureLimits
) -> tuple[list[Record], list[_Result]]:
    return chunk, [_one(record, files, working, limits) for record in chunk]


def _one(record: Record, files: PictureBytes, working: Working, limits: PictureLimits) -> _Result:
    try:
        picture = decoded(files.of(record.meta), limits, background=working.background, longest=working.longest)
    except BadPicture as bad:
        return _Failed(bad.reason, bad.detail)
    return _squared(picture.pixels, working) if working.square else picture.pixels


def _squared(pixels: Pixels, working: Working) -> Pixels:
    height, width, _ = pixels.shape
    top, left = (working.longest - height) // 2, (working.longest - width) // 2
    canvas = np.empty((working.longest, working.longest, 3), np.uint8)
    canvas[:] = BACKGROUNDS[working.background]
    canvas[top : top + height, left : left + width] = pixels
    return canvas
