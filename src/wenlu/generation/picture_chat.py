"""Messages with pictures, for models whose chat template has a place for them, as SmolVLM's has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from wenlu.bundle import Bundle, model_path
from wenlu.corpus.pictures.processing import holds_processing, read_processing
from wenlu.corpus.pictures.sight import Shown, Sight
from wenlu.errors import DataError
from wenlu.models.adapters import base_named, is_adapter
from wenlu.models.layers.seeing import SeeingDecoder
from wenlu.tasks import CausalLM, Dialogue, Preference
from wenlu.tasks.pictured.placeholders import PLACEHOLDER, placeholders
from wenlu.tokenizers import Tokenizer
from wenlu.tokenizers.chat_template import Message

IMAGE = {"type": "image"}


@dataclass(frozen=True)
class PictureChat:
    """How a model is shown pictures in a conversation.

    Attributes:
        each: tokens that stand for a picture, or for a tile of one.
    """

    tokenizer: Tokenizer
    sight: Sight
    each: int

    @classmethod
    def of(cls, bundle: Bundle) -> Self | None:
        """None where the model sees nothing, nothing beside it says how it wants its pictures, or its chat template has
        no place for one; raises WeightsError for settings of pictures that cannot be read."""
        model, tokenizer = bundle.model, bundle.tokenizer
        converses = isinstance(bundle.task, CausalLM | Dialogue | Preference) and tokenizer.chat_template is not None
        if not (converses and isinstance(model, SeeingDecoder)):
            return None
        folder = bundle.path
        if is_adapter(folder) and not holds_processing(folder):
            folder = model_path(base_named(folder))
        if not holds_processing(folder):
            return None
        place = tokenizer.special_tokens.get(PLACEHOLDER)
        if place is None or place != model.image_token_id:
            return None
        try:
            written = tokenizer.apply_chat_template([{"role": "user", "content": [IMAGE, _text("?")]}])
        except DataError:
            return None
        if written.count(place) != 1:
            return None
        return cls(tokenizer, Sight(read_processing(folder), None), model.tokens_per_image)

    def prompt(
        self,
        messages: Sequence[Message],
        pictures: Sequence[Shown],
        *,
        tools: Sequence[Message] | None = None,
        variables: Mapping[str, Any] | None = None,
    ) -> tuple[list[int], Tensor | None]:
        """The ids of a conversation, and `pixel_values` (M, C, H, W) of what it shows; None where it shows nothing.

        Args:
            messages: their contents are text, or what `content_of` makes of text and pictures.
            pictures: in the order in which they stand in the messages.

        Raises:
            BadPicture: one of them cannot be used.
            DataError: the chat template refuses the messages, or has not one place for each picture.
            ConfigError: a picture has more tiles than the tokenizer has names for.
        """
        ids = self.tokenizer.apply_chat_template(messages, tools=tools, variables=variables)
        place = self.tokenizer.special_tokens[PLACEHOLDER]
        if ids.count(place) != len(pictures):
            raise DataError(
                f"the chat template makes {ids.count(place)} places for {len(pictures)} pictures; show them in "
                "messages of the user"
            )
        if not pictures:
            return ids, None
        gallery = self.sight.gallery(pictures)
        seen = [gallery.tiles(number) for number in gallery.numbers.tolist()]
        following = iter(seen)
        whole: list[int] = []
        for id in ids:
            if id == place:
                tiles = next(following)
                whole += placeholders(self.tokenizer, self.each, tiles.rows, tiles.columns)
            else:
                whole.append(id)
        return whole, torch.from_numpy(np.concatenate([tiles.pixel_values for tiles in seen]))


def content_of(text: str, pictures: int) -> str | list[dict[str, str]]:
    """What a message holds that shows some pictures and then says something."""
    return [IMAGE] * pictures + ([_text(text)] if text else []) if pictures else text


def _text(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}
