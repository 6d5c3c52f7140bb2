"""What a model sees of pictures, in training and later alike: decoded, made small, prepared as its processor says."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from wenlu.corpus.packing import Ids
from wenlu.corpus.pictures.decoding import LIMITS, decoded
from wenlu.corpus.pictures.picture import BadPicture, PictureLimits, Pixels
from wenlu.corpus.pictures.preprocessing import PixelValues, Tiles, preprocess
from wenlu.corpus.pictures.processing import ImageProcessing
from wenlu.corpus.pictures.reference import DIGEST, PICTURE, PictureBytes, read_bytes
from wenlu.corpus.pictures.store import PictureData

_SHORT = 200
_SPARE = 2
"""So many times what a model sees of a side is kept of a picture, unless the settings say otherwise."""


@dataclass(frozen=True)
class Shown:
    """Which picture an example shows: where it is, and the digest of its bytes."""

    reference: str
    sha256: str

    @classmethod
    def of(cls, meta: Mapping[str, str]) -> Self | None:
        """What a record's meta names; None where it names none."""
        return cls(meta[PICTURE], meta[DIGEST]) if PICTURE in meta and DIGEST in meta else None

    @classmethod
    def at(cls, reference: str, limits: PictureLimits = LIMITS) -> Self:
        """A picture that nobody has listed yet: a path, a file of a package, or a data URL; raises BadPicture."""
        return cls(reference, hashlib.sha256(read_bytes(reference, limits.max_bytes)).hexdigest())

    @property
    def short(self) -> str:
        """The reference, to be read by people."""
        return self.reference if len(self.reference) <= _SHORT else f"{self.reference[:_SHORT]}…"

    @property
    def meta(self) -> dict[str, str]:
        return {PICTURE: self.reference, DIGEST: self.sha256}


@dataclass(frozen=True)
class Sight:
    """How pictures become what a model sees.

    Attributes:
        processing: of the model.
        longest: pixels of the longer side; a larger picture is made smaller before all else, as stored ones are. None:
            the processing has the whole picture, as that of Hugging Face has.
        store: pictures at that size, to read in place of their files.
        is_blind: every picture is zeros, to see what a score owes to pictures at all.
    """

    processing: ImageProcessing
    longest: int | None
    store: PictureData | None = None
    is_blind: bool = False
    limits: PictureLimits = LIMITS

    def gallery(self, pictures: Sequence[Shown]) -> Gallery:
        """The distinct ones of them, ready to be seen; raises BadPicture that names the first that cannot be."""
        distinct = {picture.sha256: picture for picture in pictures}
        numbers = {sha256: number for number, sha256 in enumerate(distinct)}
        with PictureBytes(self.limits.max_bytes) as files:
            found = [self._found(picture, files) for picture in distinct.values()]
        return Gallery(self, found, np.array([numbers[picture.sha256] for picture in pictures], np.int64))

    def pixels(self, found: Pixels | int) -> Pixels:
        """(H, W, 3) of a picture, or of the row of the store where it is."""
        if isinstance(found, int):
            assert self.store is not None, "only rows of a store are numbers"
            return self.store.pixels(found)
        return found

    def tiles(self, pixels: Pixels) -> Tiles:
        seen = preprocess(pixels, self.processing)
        return Tiles(np.zeros_like(seen.pixel_values), seen.rows, seen.columns) if self.is_blind else seen

    def _found(self, picture: Shown, files: PictureBytes) -> Pixels | int:
        row = None if self.store is None else self.store.row_of(picture.meta)
        if row is not None:
            return row
        try:
            return decoded(files.of(picture.meta), self.limits, longest=self.longest).pixels
        except BadPicture as bad:
            raise BadPicture(bad.reason, f"{picture.short}: {bad.detail}") from bad


@dataclass(frozen=True, eq=False)
class Gallery:
    """Distinct pictures.

    Attributes:
        numbers: of each picture that was asked for, which of the distinct ones it is.
    """

    sight: Sight
    found: Sequence[Pixels | int]
    numbers: Ids

    def __len__(self) -> int:
        return len(self.found)

    def tiles(self, number: int) -> Tiles:
        """What a model sees of a distinct picture."""
        return self.sight.tiles(self.sight.pixels(self.found[number]))

    def grid(self, number: int) -> tuple[int, int]:
        """In how many rows and columns of tiles a distinct picture is cut; 0 of one that is not."""
        if not self.sight.processing.cuts:
            return 0, 0
        tiles = self.tiles(number)
        return tiles.rows, tiles.columns

    def values(self, numbers: Sequence[int]) -> PixelValues:
        """(M, 3, H, W): the tiles of distinct pictures, one after the other."""
        return np.concatenate([self.tiles(number).pixel_values for number in numbers])


def longest_for(processing: ImageProcessing) -> int:
    """The working size that leaves a model as sharp a picture as it can see, whatever it crops."""
    if processing.cuts:
        return processing.size["longest_edge"]
    sizes = [processing.tile_size] if processing.tiles else [*processing.size.values()]
    return _SPARE * max(sizes)
