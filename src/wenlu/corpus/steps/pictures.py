"""Drop records whose picture cannot be used: it is decoded once, within limits, in a process that may be killed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import PositiveInt

from wenlu.corpus.pictures.decoding import decoded
from wenlu.corpus.pictures.picture import BadPicture, PictureLimits
from wenlu.corpus.pictures.reference import PICTURE, PictureBytes
from wenlu.corpus.record import Drop, Item, Record, Step
from wenlu.corpus.step import RecordStep, StepConfig, StepKind, Workroom

_LOOK = 64
"""Pixels of the longer side: so large an SVG is drawn to see whether it can be."""


class PicturesConfig(StepConfig, PictureLimits):
    """What a picture may cost. Records without one pass; the reason of a drop says what is wrong with it.

    What was done to a picture stands in the meta as `picture_done`, if anything was, and its format as
    `picture_format`.
    """

    step: Literal["pictures"] = "pictures"
    min_side: PositiveInt = 1
    """Pixels of the shorter side at least."""


@dataclass(frozen=True)
class _Look:
    config: PicturesConfig
    files: PictureBytes

    def __call__(self, record: Record) -> Item:
        if PICTURE not in record.meta:
            return record
        try:
            picture = decoded(self.files.of(record.meta), self.config, longest=_LOOK)
        except BadPicture as bad:
            meta = {**record.meta, "picture_error": bad.detail}
            return Drop(Record(record.text, record.id, meta), "pictures", bad.reason)
        if picture.format != "SVG" and min(picture.width, picture.height) < self.config.min_side:
            return Drop(record, "pictures", "picture too small")
        meta = {**record.meta, "picture_format": picture.format}
        if picture.done:
            meta["picture_done"] = "; ".join(picture.done)
        return Record(record.text, record.id, meta)


def build(config: PicturesConfig, room: Workroom) -> Step:  # noqa: ARG001
    return RecordStep("pictures", _Look(config, PictureBytes(config.max_bytes)))


STEP = StepKind("pictures", PicturesConfig, build)
