"""Guesses of a smaller model of the same vocabulary, or of the first layers of the model itself."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from torch import Tensor, nn

from wenlu.errors import UsageError
from wenlu.generation import sampling
from wenlu.generation.caches import Packing
from wenlu.generation.choosing import finish_of, probabilities, ruled
from wenlu.generation.forward import context_of, inference
from wenlu.generation.pages import has_pages, paged_memory
from wenlu.generation.seat import Part, Seat
from wenlu.generation.speculation.drafter import Draft, Draftee, Guess
from wenlu.models import LanguageModel
from wenlu.models.layers.decoder import Decoder
from wenlu.models.native import why_not_native

if TYPE_CHECKING:
    from wenlu.generation.engine import Request

DRAFTING = 2
"""The stream of numbers that guesses are drawn by."""


class DraftModel:
    """Draws guesses by the rules of the request, guidance apart, from a model with pages of its own.

    Args:
        max_batch: answers that it remembers at once; those of others are read again.
        invariant, weights: as those of the engine; what the native call cannot read, torch does.

    Raises:
        UsageError: tokens cannot be taken back from what the model remembers.
    """

    def __init__(
        self, model: LanguageModel, *, max_batch: int = 16, invariant: bool = True, weights: Packing = "auto"
    ) -> None:
        if not has_pages(model):
            raise UsageError(
                f"speculation: {type(model).__name__} keeps more than keys and values, so tokens cannot be taken back "
                "from it; guess by a decoder without"
            )
        self.model = model
        self._memory = paged_memory(
            {None: model},
            max_batch=max_batch,
            invariant=invariant,
            keeps_prefixes=False,
            drops_unseen=False,  # tokens that are taken back move a window back too
            weights=weights if why_not_native(model) is None else "torch",
        )
        self._seats: dict[int, Seat] = {}

    def check(self, request: Request, model: LanguageModel) -> None:
        own, needed = self.model.config.vocab_size, request.vocab_size or model.config.vocab_size
        if own < needed or (request.vocab_size is None and own != needed):
            raise UsageError(
                f"speculation: the draft model has {own} tokens, and the model {needed}; both need the same tokenizer"
            )

    def propose(self, rows: Sequence[Draftee], counts: Sequence[int]) -> list[Draft]:
        rows = [_without_guidance(row) for row in rows]
        guesses: list[list[Guess]] = [[] for _ in rows]
        going = {index: row for index, row in enumerate(rows) if counts[index] and self._goes_on(row)}
        with inference(self.model):
            while going:
                found = self._logits(going)
                for index, logits in found.items():
                    guesses[index].append(_guess(logits, going[index]))
                behind = {index: going[index].behind([guesses[index][-1].token]) for index in found}
                going = {
                    index: row
                    for index, row in behind.items()
                    if len(guesses[index]) < counts[index] and finish_of(row) is None and self._goes_on(row)
                }
        return [tuple(each) for each in guesses]

    def forget(self, id: int) -> None:
        seat = self._seats.pop(id, None)
        if seat is not None:
            self._memory.free(seat)

    def _goes_on(self, row: Draftee) -> bool:
        context = context_of(self.model)
        return context is None or len(row.before) + len(row.answer) < context

    def _logits(self, rows: Mapping[int, Draftee]) -> dict[int, Tensor]:
        """(1, V) logits of the token behind each row for which there is room."""
        current = {row.id for row in rows.values()}
        parts, indices = [], []
        for index, row in rows.items():
            seat = self._seat(row)
            if self._has_room(seat, current):
                parts.append(Part(seat, seat.known))
                indices.append(index)
        if not parts:
            return {}
        (reading,) = self._memory.read(parts)
        return {index: reading.logits[place : place + 1] for place, index in enumerate(indices)}

    def _seat(self, row: Draftee) -> Seat:
        """The row's, of whose answer stays read what is still the same."""
        seat = self._seats.setdefault(row.id, Seat((0, row.id), tuple(row.before)))
        same = 0
        for old, new in zip(seat.answer, row.answer, strict=False):
            if old != new:
                break
            same += 1
        seat.answer = list(row.answer)
        seat.read = min(seat.read, len(seat.prompt) + same, seat.known - 1)
        return seat

    def _has_room(self, seat: Seat, current: set[int]) -> bool:
        """Make room for the seat at the cost of those that nothing is asked of now."""
        while not self._memory.reserve(seat, seat.known):
            idle = next((each for id, each in self._seats.items() if id not in current and each.pages), None)
            if idle is None:
                return False
            self._memory.free(idle)
        return True


def first_layers(model: LanguageModel, count: int) -> LanguageModel:
    """The model without the layers behind its first `count`: it shares their weights, the norm and the head.

    An early exit as of Elhoushi et al. 2024 (LayerSkip, arXiv:2404.16710), in whose training the layers learn to be
    left early; of other models few guesses are kept.

    Raises:
        UsageError: the model is no decoder with so many layers.
    """
    if not isinstance(model, Decoder) or not 0 < count < len(model.layers):
        layers = len(model.layers) if isinstance(model, Decoder) else 0
        raise UsageError(
            f"early exit behind {count} layers: {type(model).__name__} has {layers} that it could leave; "
            f"take fewer, or another way to guess"
        )
    kept = _EARLY.get(model)
    if kept is not None and _shares(kept, model, count):
        return kept
    early = copy.copy(model)
    early._modules = {**model._modules, "layers": nn.ModuleList(model.layers[:count])}
    early.config = model.config.model_copy(update={"num_hidden_layers": count})
    early.views = model.views[:count]
    _EARLY[model] = early
    return early


_EARLY: WeakKeyDictionary[nn.Module, Decoder] = WeakKeyDictionary()
"""So that the native call packs the weights of the same object once, whoever speculates again."""


def _shares(early: Decoder, model: Decoder, count: int) -> bool:
    own, whole = dict(early.named_children()), dict(model.named_children())
    layers = list(own.pop("layers").children())
    return (
        len(layers) == count
        and all(one is other for one, other in zip(layers, whole.pop("layers").children(), strict=False))
        and own == whole
    )


def _without_guidance(row: Draftee) -> Draftee:
    if row.request.rules.guidance == 1:
        return row
    rules = row.request.rules.model_copy(update={"guidance": 1.0})
    return replace(row, request=replace(row.request, rules=rules))


def _guess(logits: Tensor, row: Draftee) -> Guess:
    request = row.request
    if request.rules.temperature == 0:
        return Guess(int(ruled(logits, [row]).argmax()))
    share = probabilities(logits, [row])
    number = sampling.uniform(request.seed, request.choice, row.position, stream=DRAFTING)
    return Guess(int(sampling.draw_from(share, [number])), share[0])
