"""Decoded pictures on disk at their working size, read through the page cache.

A folder has `manifest.json` (settings, counts, sizes and hashes of files), `pixels-NNNNN.bin` (8-bit RGB, a picture
after the other), `index.bin` (shard, first byte, height, width and CRC-32 of each picture, 64 bits each),
`digests.bin` (the sha256 of the bytes that each was decoded from), and `dropped.jsonl` (pictures that could not be
used, with their reasons). A picture that several records show is there once; records find it by `picture_sha256`.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any, Self

import numpy as np

from wenlu.corpus.damage import DamagedTokens
from wenlu.corpus.pictures.picture import Pixels
from wenlu.corpus.pictures.reference import DIGEST
from wenlu.errors import DataError

MANIFEST = "manifest.json"
FORMAT = 1
INDEX = np.dtype("<i8")
DIGEST_BYTES = 32


class DamagedPicture(DamagedTokens):
    """A picture whose checksum differs from what was written."""


@dataclass(frozen=True)
class PictureData:
    """Pictures of a folder, mapped into memory.

    Attributes:
        longest: pixels of the longer side at most.
        square: whether each is `longest` × `longest`.
        dropped: how many of those asked for could not be used.
        fingerprint: 32 hexadecimal digits that change with any pixel, digest or setting.
    """

    folder: Path
    longest: int
    square: bool
    background: str
    dropped: int
    fingerprint: str
    _index: np.ndarray[Any, np.dtype[np.int64]] = field(repr=False)
    _shards: tuple[Pixels, ...] = field(repr=False)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Map the files; raises DataError where one is missing, has not its size, or beside the pixels not its hash."""
        manifest = _manifest(folder)
        for name, fact in manifest["files"].items():
            path = folder / name
            size = path.stat().st_size if path.exists() else 0
            if size != fact["bytes"]:
                raise DataError(f"{path}: {size} bytes instead of {fact['bytes']}; store the pictures again")
            if not name.startswith("pixels-") and hash_of(path) != fact["blake2b"]:
                raise DataError(f"{path}: its content is not what was written; store the pictures again")
        shards = [folder / name for name in manifest["files"] if name.startswith("pixels-")]
        return cls(
            folder=folder,
            longest=manifest["longest"],
            square=manifest["square"],
            background=manifest["background"],
            dropped=manifest["dropped"],
            fingerprint=manifest["fingerprint"],
            _index=np.fromfile(folder / "index.bin", INDEX).reshape(-1, 5),
            _shards=tuple(np.memmap(path, np.uint8, mode="r") for path in shards),
        )

    def __len__(self) -> int:
        return len(self._index)

    def pixels(self, row: int) -> Pixels:
        """(H, W, 3), not copied; raises DamagedPicture where they are not what was written."""
        shard, start, height, width, crc = self._index[row].tolist()
        found: Pixels = self._shards[shard][start : start + height * width * 3]
        if zlib.crc32(found.data) != crc:
            raise DamagedPicture(
                f"{self.folder / f'pixels-{shard:05}.bin'}: picture {row:,} of all is not what was written: its "
                "checksum differs; store the pictures again, and check the disk"
            )
        return found.reshape(height, width, 3)

    def batch(self, rows: Sequence[int]) -> Pixels:
        """(B, H, W, 3) of pictures of one size, as all are that were stored square."""
        pictures = [self.pixels(row) for row in rows]
        assert len({picture.shape for picture in pictures}) <= 1, "pictures of several sizes; store them square"
        return np.stack(pictures)

    def row_of(self, meta: Mapping[str, str]) -> int | None:
        """The row of the picture that a record's meta names; None where it was dropped, or never asked for."""
        return self._rows.get(meta.get(DIGEST, ""))

    def reasons(self) -> dict[str, str]:
        """Why pictures were dropped, by their sha256."""
        with (self.folder / "dropped.jsonl").open(encoding="utf-8") as lines:
            rows = [json.loads(line) for line in lines]
        return {row["sha256"]: row["reason"] for row in rows}

    def verify(self) -> None:
        """Read all files and compare their hashes; raises DataError that names the damaged one."""
        for name, fact in _manifest(self.folder)["files"].items():
            if hash_of(self.folder / name) != fact["blake2b"]:
                raise DataError(f"{self.folder / name}: its content is not what was written; store the pictures again")

    @cached_property
    def _rows(self) -> dict[str, int]:
        data = (self.folder / "digests.bin").read_bytes()
        starts = range(0, len(data), DIGEST_BYTES)
        return {data[start : start + DIGEST_BYTES].hex(): row for row, start in enumerate(starts)}


def fingerprint_of(manifest: Mapping[str, Any]) -> str:
    unsigned = {key: value for key, value in manifest.items() if key != "fingerprint"}
    return blake2b(json.dumps(unsigned, sort_keys=True).encode(), digest_size=16).hexdigest()


def hash_of(path: Path) -> str:
    digest = blake2b(digest_size=32)
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    try:
        manifest: Any = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file; {folder} is not a folder of stored pictures") from error
    except ValueError as error:
        raise DataError(f"{path}: damaged ({error}); store the pictures again") from error
    found = manifest.get("format") if isinstance(manifest, dict) else manifest
    if found != FORMAT or not isinstance(manifest, dict) or "longest" not in manifest:
        raise DataError(f"{path}: format {found!r}, but this version reads pictures of {FORMAT}; store them again")
    if manifest.get("fingerprint") != fingerprint_of(manifest):
        raise DataError(f"{path}: damaged (its fingerprint does not fit its content); store the pictures again")
    return manifest
