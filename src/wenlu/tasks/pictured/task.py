"""A task whose examples show pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from pydantic import Field, PositiveInt
from torch import Tensor

from wenlu.corpus.pictures.processing import (
    FILE,
    ImageProcessing,
    default_processing,
    holds_processing,
    read_processing,
    write_processing,
)
from wenlu.corpus.pictures.sight import Gallery, Shown, Sight, longest_for
from wenlu.corpus.record import Record
from wenlu.corpus.source import SourceSpec
from wenlu.corpus.sources import shows_pictures
from wenlu.errors import ConfigError, DataError
from wenlu.models import Family, LanguageModel, ModelConfig
from wenlu.tasks.labelled.task import LabelledConfig, LabelledTask, Role
from wenlu.tasks.pictured.varying import varied
from wenlu.tasks.task import Batch
from wenlu.tokenizers import Tokenizer

IMAGE = Role("image", "image", "the picture: its path from the file's own folder, or its bytes", is_picture=True)


@dataclass(frozen=True)
class Pictured:
    """A picture and what is said of it; None: unknown."""

    picture: Shown
    text: str | None = None
    id: str = ""


class PicturedConfig(LabelledConfig):
    """Settings of a task with pictures.

    Attributes:
        picture_size: pixels of the longer side; a larger picture is made smaller before all else, in training and later
            alike, and is stored so. None is twice the side that the model sees.
        vary: in training, how much each picture is moved, scaled and coloured otherwise each time it is shown, as a
            share: 0.1 is gentle.
    """

    picture_size: PositiveInt | None = None
    vary: float = Field(default=0.0, ge=0, lt=1)

    def source_of(self, spec: SourceSpec) -> SourceSpec:
        """The source, whose column of pictures is the one that the settings name, unless its kind shows them itself."""
        if spec.image or shows_pictures(spec):
            return spec
        return spec.model_copy(update={"image": self.column(IMAGE.name)})


class PicturedTask(LabelledTask):
    """A labelled task of a model that sees.

    `sight` is how it does; it is the model's, kept beside it in `preprocessor_config.json`.
    """

    config: PicturedConfig

    def __init__(self, config: PicturedConfig, tokenizer: Tokenizer) -> None:
        super().__init__(config, tokenizer)
        self.sight: Sight | None = None
        self._last: tuple[tuple[str, ...], Gallery] | None = None

    @property
    def seeing(self) -> Sight:
        assert self.sight is not None, f"a model for {self.name} is loaded with its sight"
        return self.sight

    def with_sight(self, sight: Sight | None) -> Self:
        """The same task that sees so; raises ConfigError where it cannot."""
        if sight is not None and sight.processing.cuts and self.config.vary:
            raise ConfigError(
                f"task.vary={self.config.vary}: this model sees a picture in tiles, which cannot move each by itself; "
                "set it to 0"
            )
        other = copy(self)
        other.sight = sight
        return other

    def shown(self, model: LanguageModel, batch: Batch) -> Tensor:
        """The pictures of a batch in the model's type of numbers; varied where it learns."""
        assert batch.pixel_values is not None, "a batch has pictures"
        values = batch.pixel_values.to(next(model.parameters()))
        return varied(values, self.config.vary) if model.training and self.config.vary else values

    def gallery(self, examples: Sequence[Any]) -> Gallery:
        """The pictures of examples; the last ones are kept, as they are asked for several times in turn.

        Raises BadPicture that names the first that cannot be used.
        """
        key = tuple(example.picture.sha256 for example in examples)
        if self._last is None or self._last[0] != key or self._last[1].sight is not self.seeing:
            self._last = key, self.seeing.gallery([example.picture for example in examples])
        return self._last[1]

    def asked(self, settings: Mapping[str, Any]) -> Self:
        return super().asked(settings).with_sight(self.sight)

    def sight_of(self, processing: ImageProcessing) -> Sight:
        """How it sees with a model's processing."""
        return Sight(processing, self.config.picture_size or longest_for(processing))

    def save(self, folder: Path, trained: LanguageModel, family: Family) -> None:
        """Besides task.json how the model wants its pictures."""
        super().save(folder, trained, family)
        write_processing(folder, self.seeing.processing)

    def restored(self, folder: Path) -> Self:
        return self.with_sight(self.sight_of(read_processing(folder)))


_KINDS = {"clip": "CLIP", "siglip": "Siglip", "smolvlm": "SmolVLM"}


def new_processing(family: Family, config: ModelConfig) -> ImageProcessing:
    """How a model from random weights is to get its pictures: whole, as large as its tower takes them."""
    side = config.vision_config.image_size  # type: ignore[attr-defined]  # of families that see
    kind = _KINDS[family.name]
    if kind == "CLIP":
        square = {"height": side, "width": side}
        return default_processing("CLIP", size={"shortest_edge": side}, crop_size=square)
    if kind == "Siglip":
        return default_processing("Siglip", size={"height": side, "width": side})
    longest = {"longest_edge": side}
    return default_processing("SmolVLM", size=longest, max_image_size=longest, do_image_splitting=False)


def base_processing(folder: Path) -> ImageProcessing:
    """How a model that is there already wants its pictures; raises ConfigError where its folder does not say."""
    if not holds_processing(folder):
        raise ConfigError(f"model.base={str(folder)!r}: has no {FILE}, which says how it wants its pictures")
    return read_processing(folder)


def picture_of(record: Record) -> Shown:
    """Raises DataError for a record without a picture."""
    found = Shown.of(record.meta)
    if found is None:
        raise DataError(f'{record.id}: has no picture; name the column of pictures: data.image="COLUMN"')
    return found


def asked_picture(record: Record, config: PicturedConfig) -> Shown:
    """As `picture_of`, also where a path is all that there is: in its column, or, where nothing else is asked, as the
    text; raises BadPicture."""
    path = record.meta.get(config.column(IMAGE.name))
    if path is None and config.roles[0].is_answer:
        path = record.text
    found = Shown.of(record.meta)
    return picture_of(record) if found is not None or not path else Shown.at(path.strip())


def shuffled(examples: Sequence[Any], seed: int) -> list[Any]:
    """The examples, each with the picture of another one."""
    order = np.random.default_rng(seed).permutation(len(examples))
    places = np.empty_like(order)
    places[order] = np.roll(order, 1)  # a cycle, so that none keeps its own place
    return [
        replace(example, picture=examples[place].picture)
        for example, place in zip(examples, places.tolist(), strict=True)
    ]
