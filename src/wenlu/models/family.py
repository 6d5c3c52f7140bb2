"""What the toolkit knows of an architecture, and the call that every model answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Annotated, Any, Generic, Self, TypeVar

import torch
from pydantic import ConfigDict, Field
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from wenlu.config import Config
from wenlu.models.weights.rules import Rule

Size = Annotated[int, Field(ge=1, le=2**24)]
"""A length of some tensor, bounded so that a hostile config cannot ask for absurd ones."""


class ModelConfig(Config):
    """What every family's settings share, named as in Hugging Face's `LlamaConfig`.

    Where a family's `config.json` names a setting otherwise, that name is the field's alias: both are read, and the
    alias is written.
    """

    model_config = ConfigDict(populate_by_name=True)

    vocab_size: Size
    hidden_size: Size
    initializer_range: float = Field(default=0.02, ge=0, le=1)
    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = None
    pad_token_id: int | None = None

    @property
    def context(self) -> int | None:
        """How many tokens are read at once; None: without end, as of recurrent families and relative positions."""
        most: int | None = getattr(self, "max_position_embeddings", None)
        return most

    def grouped(self, settings: dict[str, Any]) -> dict[str, Any]:
        """`settings`, these as plain values, as a `config.json` holds them: flat, unless the model is of parts."""
        return settings

    def at_width(self, step: int) -> Self:
        """The same architecture at the `step`-th of its widths, counted from 1; other widths follow in proportion."""
        raise NotImplementedError(f"{type(self).__name__} has no widths")


class Ability(Enum):
    """What a family can be asked to do; contract tests run once per ability."""

    CAUSAL = "causal"
    """Each position sees those before it; the logits at a position are of the next token."""
    RECURRENT = "recurrent"
    MASKED = "masked"
    """Each position sees both sides; the logits at a position are of the token that stands there."""
    ENCODER_DECODER = "encoder-decoder"
    """A source is read both ways, then a target written; the logits are of the token after each target position."""
    SEES = "sees"
    """Pictures stand in its text: `hidden` and the call take `pixel_values` too (`layers.seeing`)."""
    MATCHES = "matches"
    """Texts and pictures become vectors of one space, near each other where they fit (`layers.dual_encoder`)."""
    PICTURES = "pictures"
    """It reads pictures and no text (`layers.image_encoder`)."""


class DecodeState(ABC):
    """What a model remembers between tokens, for B rows: KV cache, recurrent state, encoder output.

    The model makes it (`init_state`) and moves it forward in place on each call. Attention reaches memory
    only through it, so contiguous, paged, int8 and sliding caches are substitutes for each other.
    """

    @property
    @abstractmethod
    def lengths(self) -> Tensor:
        """(B,) int64: how many tokens each row has seen."""

    @abstractmethod
    def select(self, rows: Tensor) -> Self:
        """A new state of the given rows, in that order; a row may repeat (beam search) or be missing (finished)."""

    @classmethod
    @abstractmethod
    def join(cls, states: list[Self]) -> Self:
        """One state with the rows of all `states`, whose lengths may differ."""


class LanguageModel(nn.Module, ABC):
    """A model over token ids; `hidden` stops before the head, the call itself goes through it.

    The head of a bare encoder is the identity.
    """

    config: ModelConfig
    lm_head: nn.Module

    @abstractmethod
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
    ) -> Tensor:
        """Hidden states before the head, (B, T, D); of an encoder–decoder those of the decoder, (B, T', D).

        Args:
            input_ids: (B, T) token ids; with a `state`, only the tokens that it has not seen. None for an
                encoder–decoder whose `state` holds the encoder's output already.
            decoder_input_ids: (B, T') target tokens; encoder–decoders only.
            attention_mask: (B, T), 1 at real tokens, 0 at padding, which may stand on either side;
                on the right only when a decoder has a `state`. Or (B, T, T), 1 where the query of the row may look
                at the key of the column, in place of the family's order (a prefix that sees both sides); families
                with attention only, without a `state`. Of an encoder–decoder it is the source's, and with
                `input_ids` None that of the new target tokens.
            positions: (B, T) positions; by default they count real tokens of the row (of the segment).
            segments: (B, T) document numbers of packed rows: no position sees another document.
            token_types: (B, T) 0 for the first and 1 for the second text of a pair, both of which every position
                sees; families with an embedding for it only.
            state: memory of earlier tokens, moved forward in place.
        """

    def init_state(self, batch_size: int = 1) -> DecodeState:
        """An empty memory for `batch_size` rows, on the model's device and in its dtype."""
        raise NotImplementedError(f"{type(self).__name__} reads both ways and remembers nothing between calls")

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
    ) -> Tensor:
        """Logits (B, T, V); arguments as in `hidden`. A causal model's are of the token after each position."""
        hidden = self.hidden(
            input_ids,
            decoder_input_ids=decoder_input_ids,
            attention_mask=attention_mask,
            positions=positions,
            segments=segments,
            token_types=token_types,
            state=state,
        )
        logits: Tensor = self.lm_head(hidden)
        return logits


Settings = TypeVar("Settings", bound=Config)
Model = TypeVar("Model", bound=nn.Module)


@dataclass(frozen=True)
class Architecture(Generic[Settings, Model]):
    """What is known of an architecture, of language models (`Family`) or of image encoders (`ImageFamily`).

    Attributes:
        hf_types: `model_type` values of Hugging Face configs that this family reads and writes;
            empty: saved for Wenlu only.
        heads: what the model may end in, and the class of transformers that ends so; the first is the default. A
            family with several has the field `head` in its config.
        reference: what the parity tests compare with: a Hugging Face type, a `torch.nn` module, or "hand".
        rules: from checkpoint names to ours, in order; every key on both sides must be accounted for.
        ignored: patterns of checkpoint keys that carry no weights of ours.
        harmless: Hugging Face config keys that we know and do not need.
        proportions: settings of a balanced model; given a number of parameters, its width is scaled.
    """

    name: str
    hf_types: tuple[str, ...]
    reference: str
    abilities: frozenset[Ability]
    config: type[Settings]
    model: type[Model]
    rules: tuple[Rule, ...] = ()
    ignored: tuple[str, ...] = ()
    harmless: frozenset[str] = frozenset()
    heads: Mapping[str, str] = field(default_factory=dict)
    proportions: Mapping[str, int] = field(default_factory=dict)

    def build(self, config: Settings, *, dtype: torch.dtype = torch.float32, zero_outputs: bool = False) -> Model:
        """A model with fresh random weights, drawn from torch's default generator.

        With `zero_outputs` each half of a layer begins as the identity and the head as a uniform guess: the
        projections that write to the residual stream, and an untied head, start at zero.
        """
        model = self.model(config)
        if zero_outputs:
            zero_output_projections(model)
        return model.to(dtype)

    def outline(self, config: Settings) -> Model:
        """The model's names and shapes without values, on the meta device; takes no memory."""
        with torch.device("meta"), _WithoutDrawing():
            return self.model(config)


class Family(Architecture[ModelConfig, LanguageModel]):
    """To add one, write `models/<name>.py` ending in `FAMILY = Family(...)` and add its row."""


class _WithoutDrawing(TorchFunctionMode):
    """Skips `nn.init.normal_`: on the meta device it changes nothing, yet its first call takes a second of imports."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        return kwargs["tensor"] if func is nn.init.normal_ else func(*args, **kwargs)


def zero_output_projections(model: nn.Module) -> None:
    """Set `o_proj` and `down_proj` of layers and, unless tied to the embedding, `lm_head` (its `decoder`) to zero, in
    place."""
    inputs = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    for name, module in model.named_modules():
        last = name.rpartition(".")[2]
        is_output = last in ("lm_head", "decoder") or (last in ("o_proj", "down_proj") and ".layers." in f".{name}")
        if is_output and isinstance(module, nn.Linear) and id(module.weight) not in inputs:
            for parameter in module.parameters(recurse=False):
                nn.init.zeros_(parameter)
