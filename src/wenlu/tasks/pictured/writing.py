"""Tasks that a model answers by writing about a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import torch
from pydantic import PositiveInt
from torch import Tensor

from wenlu.corpus.pictures.sight import Gallery, Shown
from wenlu.errors import ConfigError
from wenlu.models import Ability, Family, LanguageModel
from wenlu.models.layers.seeing import SeeingDecoder
from wenlu.tasks.labelled.generative import WrittenRows
from wenlu.tasks.labelled.layout import parts
from wenlu.tasks.labelled.writing import SOURCE, TextPair, WritingConfig, WritingTask
from wenlu.tasks.pictured.placeholders import PLACEHOLDER, placeholders
from wenlu.tasks.pictured.task import PicturedConfig, PicturedTask
from wenlu.tasks.task import Batch, Draw
from wenlu.tokenizers import Tokenizer


@dataclass(frozen=True)
class PicturedPair(TextPair):
    """A picture, what is asked of it, and what is to be written; None: unknown."""

    picture: Shown = field(kw_only=True)


class PicturedWritingConfig(PicturedConfig, WritingConfig):
    """How a picture is asked about: it stands before the source in the template, and the target behind.

    Attributes:
        picture_tokens: so many tokens of a row stand for a picture, or for each tile of one; the model's, and settled
            when it is made.
    """

    suits: ClassVar[str] = "families that read pictures among words"
    template: str = f"{SOURCE}\n"
    picture_tokens: PositiveInt | None = None

    @property
    def special_tokens(self) -> tuple[str, ...]:
        return (PLACEHOLDER,)

    def accepts(self, family: Family) -> bool:
        return Ability.SEES in family.abilities

    def new_model_settings(self, tokenizer: Tokenizer) -> Mapping[str, Any]:
        return {**self.model_settings, "image_token_id": tokenizer.special_tokens[PLACEHOLDER]}


class PicturedRows(WrittenRows):
    """Rows whose inputs hold the placeholders of a picture each."""

    def __init__(self, *, gallery: Gallery, **facts: Any) -> None:
        super().__init__(**facts)
        self.gallery = gallery


class PicturedWritingTask(PicturedTask, WritingTask):
    """Write a target to a picture and a source."""

    example = PicturedPair
    condition = "picture"
    config: PicturedWritingConfig

    def __init__(self, config: PicturedWritingConfig, tokenizer: Tokenizer) -> None:
        if PLACEHOLDER not in tokenizer.special_tokens:
            raise ConfigError(
                f"{config.name}: the tokenizer has no special token {PLACEHOLDER}, which stands for pictures; take a "
                "base that sees, or train a tokenizer with the model"
            )
        super().__init__(config, tokenizer)

    def settled(self, trained: Any) -> PicturedWritingTask:
        """With what the settings of its model say of pictures."""
        return self.with_settings(picture_tokens=trained.tokens_per_image)

    def rows(self, examples: Sequence[Any], context: int) -> PicturedRows:
        """As `WritingTask.rows`; raises BadPicture for one that cannot be used."""
        plain = super().rows(examples, context)
        return PicturedRows(
            inputs=plain.inputs,
            length=context,
            pad_id=plain.pad_id,
            targets=plain.targets,
            sizes=plain.sizes,
            notes=plain.notes,
            gallery=self.gallery(examples),
        )

    def pictures(self, examples: Sequence[Any]) -> list[Tensor]:
        gallery = self.gallery(examples)
        return [torch.from_numpy(gallery.values([number])) for number in gallery.numbers.tolist()]

    def batch(self, draw: Draw) -> Batch:
        """As `WritingTask.batch`, with the pictures of the rows in their order."""
        source = draw.source
        assert isinstance(source, PicturedRows), f"{self.name} draws from texts with pictures"
        values = source.gallery.values(source.gallery.numbers[draw.places].tolist())
        return replace(super().batch(draw), pixel_values=torch.from_numpy(values))

    def states(self, model: LanguageModel, batch: Batch) -> Tensor:
        assert isinstance(model, SeeingDecoder), f"{self.name} is for models that see"
        return model.hidden(batch.input_ids, pixel_values=self.shown(model, batch))

    def _prompts(self, examples: Sequence[Any], context: int) -> tuple[list[list[int]], int]:
        before, behind = self._around
        most, _ = self.config.limits(context)
        gallery, each = self.gallery(examples), self.config.picture_tokens
        assert each is not None, "settled when the model was made"
        sources = self.tokenizer.encode_batch([example.source for example in examples])
        asked, cut = [], 0
        for number, source in zip(gallery.numbers.tolist(), sources, strict=True):
            picture = placeholders(self.tokenizer, each, *gallery.grid(number))
            room = most - len(before) - len(behind) - len(picture)
            if room < (1 if source else 0):
                raise ConfigError(
                    f"{self.name}: a picture takes {len(picture)} tokens, and {len(before) + len(behind)} stand around "
                    f"the source, of {most} that may be read; set a larger train.context, or a smaller "
                    "task.max_target_tokens"
                )
            asked.append([*before, *picture, *parts(source, room, self.config.long)[0], *behind])
            cut += len(source) > room
        return asked, cut
