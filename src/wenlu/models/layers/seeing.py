"""Decoders in whose text pictures stand: placeholders make room for what an encoder saw."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

from torch import Tensor

from wenlu.models.family import DecodeState
from wenlu.models.layers.decoder import Decoder
from wenlu.models.layers.kv_cache import AttentionState


class SeeingDecoder(Decoder):
    """A causal decoder that also takes pictures; without one it is the decoder below it.

    `pixel_values` (M, C, H, W) are the pictures of a whole batch, or their tiles, one after the other in the order in
    which their placeholders stand in `input_ids`, row by row.
    """

    picture_parts: ClassVar[tuple[str, ...]] = ("vision", "connector")
    """Modules that a text without pictures does not pass."""

    @property
    @abstractmethod
    def image_token_id(self) -> int:
        """The token that makes room for one vector of a picture; it may be none of the vocabulary."""

    @property
    @abstractmethod
    def tokens_per_image(self) -> int:
        """How many placeholders a picture, or a tile of one, takes."""

    @abstractmethod
    def embed_image(self, pixel_values: Tensor) -> Tensor:
        """(M, `tokens_per_image`, D): what stands in the text for each picture."""

    def hidden(
        self,
        input_ids: Tensor | None,
        *,
        decoder_input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        positions: Tensor | None = None,
        segments: Tensor | None = None,
        token_types: Tensor | None = None,
        state: DecodeState | None = None,
        pixel_values: Tensor | None = None,
    ) -> Tensor:
        """As in every decoder, with the pictures in place of their placeholders.

        A single new token after a `state`, without a picture, is one that the model wrote, whichever it is.

        Raises:
            ValueError: there are more placeholders than the pictures fill, or fewer.
        """
        assert input_ids is not None, "only an encoder–decoder is called without input_ids"
        places = self._places(input_ids, attention_mask)
        is_written = pixel_values is None and state is not None and input_ids.size(1) == 1
        if not is_written:
            self._check_count(int(places.sum()), 0 if pixel_values is None else len(pixel_values))
        if pixel_values is None or len(pixel_values) == 0:
            return super().hidden(
                input_ids,
                decoder_input_ids=decoder_input_ids,
                attention_mask=attention_mask,
                positions=positions,
                segments=segments,
                token_types=token_types,
                state=state,
            )
        name = type(self).__name__
        assert decoder_input_ids is None, f"{name} has no encoder of texts"
        assert token_types is None, f"{name} has no token types"
        assert state is None or isinstance(state, AttentionState), f"{name} needs an AttentionState, not {state!r}"
        return self.read(
            input_ids,
            attention_mask=attention_mask,
            positions=positions,
            segments=segments,
            state=state,
            embedded=self.among_words(input_ids, places, self.embed_image(pixel_values).flatten(0, 1)),
        )

    def among_words(self, input_ids: Tensor, places: Tensor, seen: Tensor) -> Tensor:
        """(B, T, D), where the residual stream begins: words, and at the `places` (B, T) what was seen (K, D), in
        order."""
        words = self.embed_tokens(input_ids.masked_fill(places, 0))  # a placeholder may be none of the vocabulary
        out: Tensor = words.masked_scatter(places[..., None], seen.to(words.dtype))
        return out

    def forward(
        self,
        input_ids: Tensor | None,
        *,
        decoder_input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        positions: Tensor | None = None,
        segments: Tensor | None = None,
        token_types: Tensor | None = None,
        state: DecodeState | None = None,
        pixel_values: Tensor | None = None,
    ) -> Tensor:
        """Logits (B, T, V); arguments as in `hidden`."""
        hidden = self.hidden(
            input_ids,
            decoder_input_ids=decoder_input_ids,
            attention_mask=attention_mask,
            positions=positions,
            segments=segments,
            token_types=token_types,
            state=state,
            pixel_values=pixel_values,
        )
        logits: Tensor = self.lm_head(hidden)
        return logits

    def _places(self, input_ids: Tensor, attention_mask: Tensor | None) -> Tensor:
        """(B, T) bool: where placeholders stand; what is padded is none, whatever its token."""
        places = input_ids == self.image_token_id
        if attention_mask is not None and attention_mask.ndim == 2:
            places = places & attention_mask.bool()
        return places

    def _check_count(self, placeholders: int, pictures: int) -> None:
        needed = pictures * self.tokens_per_image
        if placeholders != needed:
            raise ValueError(
                f"input_ids hold {placeholders} placeholders (token {self.image_token_id}), but {pictures} pictures of "
                f"{self.tokens_per_image} each fill {needed}; write {self.tokens_per_image} for every picture or tile, "
                f"none where a text has no picture, and cut no text in the middle of them"
            )
