"""Words that a masked language model puts in the place of hidden ones (Garg & Ramakrishnan 2020, arXiv:2004.01970)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveInt

from wenlu.corpus.augment.way import WayConfig, WayKind


class MaskedLmConfig(WayConfig):
    """A token is hidden, and one of the likeliest others is drawn by its probability; all at once.

    Attributes:
        model: a masked language model: a run, a folder, a package or a hub id.
        alpha: share of the tokens that change, at least one.
        top_k: of so many likeliest tokens one is drawn; the hidden one is not among them.
    """

    way: Literal["masked-lm"] = "masked-lm"
    model: str = Field(min_length=1)
    alpha: float = Field(default=0.1, gt=0, lt=1)
    top_k: PositiveInt = 10


WAY = WayKind("masked-lm", MaskedLmConfig, None, models=("model",))
