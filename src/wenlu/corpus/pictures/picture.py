"""A picture as numbers, the limits within which one is read, and what is said of one that cannot be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import PositiveFloat, PositiveInt

from wenlu.config import Config
from wenlu.errors import DataError

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


class PictureLimits(Config):
    """What one picture may cost; one that needs more is refused.

    The time is of the processor, so that the same pictures are refused on a busy machine.
    """

    max_bytes: PositiveInt = 32 * 2**20
    """Of the file."""
    max_pixels: PositiveInt = 2**25
    """Width times height as its head says, before anything is decoded: 33 million, those of an 8K screen."""
    max_seconds: PositiveFloat = 10.0
    memory_bytes: PositiveInt = 2**30
    """Of address space for the process that decodes, beyond what it has when it starts."""


@dataclass(frozen=True)
class Picture:
    """A decoded picture.

    Attributes:
        pixels: (H, W, 3) red, green, blue of sRGB, in rows from the top.
        format: by its content: PNG, JPEG, WebP, GIF, BMP, TIFF or SVG.
        done: what was done to it besides, in a few fixed words each: `"turned as EXIF says"`.
        width, height: of the file, before it was turned or made smaller; of an SVG, as it was drawn.
    """

    pixels: Pixels
    format: str
    done: tuple[str, ...]
    width: int
    height: int


class BadPicture(DataError):
    """A picture that cannot be used.

    Attributes:
        reason: a few fixed words, for counting.
        detail: what exactly was found.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason, self.detail = reason, detail

    def __reduce__(self) -> tuple[Any, ...]:  # so that a worker process can hand it over
        return BadPicture, (self.reason, self.detail)
