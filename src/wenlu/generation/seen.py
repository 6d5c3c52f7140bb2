"""What a model saw of a prompt's pictures: vectors in the places of its placeholders.

A picture is looked at once, when its request comes. From then on its placeholders are tokens like others, whose vectors
are known already: a prompt is cut into parts where it suits, and pages hold keys and values whatever they are of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Self

import torch
from torch import Tensor

from wenlu.errors import UsageError
from wenlu.models import LanguageModel
from wenlu.models.layers.seeing import SeeingDecoder


@dataclass(frozen=True, eq=False)
class Seen:
    """Vectors (K, D), and the place in the prompt of each, rising.

    Attributes:
        digest: of the pictures.
    """

    places: tuple[int, ...]
    vectors: Tensor
    digest: str

    @classmethod
    def of(cls, model: LanguageModel, prompt: Sequence[int], pixel_values: Tensor | None) -> Self | None:
        """Look at the pictures (M, C, H, W) of a prompt; None where it has none.

        Raises UsageError where the model reads no pictures, or its placeholders are not as many as they need.
        """
        if not isinstance(model, SeeingDecoder):
            if pixel_values is not None and len(pixel_values):
                raise UsageError(
                    f"{type(model).__name__} reads no pictures; give it text alone, or take a model that sees"
                )
            return None
        places = tuple(place for place, token in enumerate(prompt) if token == model.image_token_id)
        count = 0 if pixel_values is None else len(pixel_values)
        needed = count * model.tokens_per_image
        if len(places) != needed:
            raise UsageError(
                f"the prompt holds {len(places)} placeholders (token {model.image_token_id}), but {count} pictures of "
                f"{model.tokens_per_image} each fill {needed}; write {model.tokens_per_image} for every picture or tile"
            )
        if pixel_values is None or not count:
            return None
        content = pixel_values.detach().float().cpu().contiguous()
        digest = blake2b(content.numpy().tobytes(), digest_size=16).hexdigest()
        weight = model.embed_tokens.weight
        vectors = model.embed_image(pixel_values.to(weight.device, weight.dtype)).flatten(0, 1)
        return cls(places, vectors, digest)


@dataclass(frozen=True, eq=False)
class SeenRows:
    """Which rows of a call are of pictures, rising, and their vectors (K, D)."""

    rows: Tensor
    vectors: Tensor

    @classmethod
    def among(cls, places: Sequence[tuple[int, int]], seen: Sequence[Seen | None]) -> Self | None:
        """Of rows that are the tokens at (number of a sequence, place); None where no picture is among them."""
        by_place = [{} if each is None else {place: row for row, place in enumerate(each.places)} for each in seen]
        found = [
            (row, number, by_place[number][place])
            for row, (number, place) in enumerate(places)
            if place in by_place[number]
        ]
        if not found:
            return None
        vectors = []
        for _, number, row in found:
            each = seen[number]
            assert each is not None, "it has places"
            vectors.append(each.vectors[row])
        return cls(torch.tensor([row for row, _, _ in found], device=vectors[0].device), torch.stack(vectors))

    def between(self, first: int, end: int) -> Self | None:
        """Those among the rows from `first` up to but without `end`, numbered from there."""
        inside = (self.rows >= first) & (self.rows < end)
        if not bool(inside.any()):
            return None
        return type(self)(self.rows[inside] - first, self.vectors[inside])
