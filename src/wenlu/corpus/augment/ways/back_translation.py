"""Into another language and back (Sennrich et al. 2016, arXiv:1511.06709; Xie et al. 2020, arXiv:1904.12848)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, PositiveFloat, PositiveInt

from wenlu.corpus.augment.way import WayConfig, WayKind


class BackTranslationConfig(WayConfig):
    """Two models of the task translation, which the user trained: a run, or a model folder.

    Attributes:
        there, back: from the language of the texts into another, and from that back.
        temperature, top_k: of the way there, which is drawn, so that copies differ; the way back is searched as the
            model's folder says.
        most_tokens: of a text; a longer one is left as it is, since a model that was trained on sentences drops most of
            it.
    """

    way: Literal["back-translation"] = "back-translation"
    there: str = Field(min_length=1)
    back: str = Field(min_length=1)
    temperature: PositiveFloat = 0.8
    top_k: PositiveInt = 10
    most_tokens: PositiveInt = 128


WAY = WayKind("back-translation", BackTranslationConfig, None, models=("there", "back"))
