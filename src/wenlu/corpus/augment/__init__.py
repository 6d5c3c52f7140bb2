"""Augmentation: changed copies of training texts, made by one way or several."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from wenlu.config import Config
from wenlu.corpus.augment.way import Change, Synonyms, Tables, WayConfig, WayKind
from wenlu.corpus.augment.ways import WAYS, WayList, read_way, way_kind

__all__ = [
    "WAYS",
    "AugmentConfig",
    "Change",
    "Synonyms",
    "Tables",
    "WayConfig",
    "WayKind",
    "read_way",
    "way_kind",
]


class AugmentConfig(Config):
    """The section `[augment]`: what to make of the training part, once it is split from the others.

    Attributes:
        ways: each makes its own changed copies of every training text.
        judged: of each way so many changed texts are labelled by a linear model that learnt from the originals, to see
            whether the label still fits; 0 asks it nothing.
        warn_below: a way that keeps fewer labels than this is warned of.
    """

    ways: Annotated[WayList, Field(min_length=1)]
    judged: Annotated[int, Field(ge=0)] = 500
    warn_below: Annotated[float, Field(ge=0, le=1)] = 0.9
