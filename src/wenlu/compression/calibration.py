"""What a model's linear maps see when it reads texts: sums of products of their inputs, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from wenlu.bundle import Bundle
from wenlu.errors import DataError, UsageError
from wenlu.generation.forward import before_answer, inference
from wenlu.generation.source import frame_source
from wenlu.models import Ability, LanguageModel, family_of
from wenlu.models.layers.encoder_decoder import EncoderDecoder


@dataclass(frozen=True)
class Calibration:
    """Texts that stand for what the model will read.

    Attributes:
        tokens: of each text, from its beginning, at most.
        whole: all texts that these were drawn from, for what reads no more than their words.
    """

    texts: tuple[str, ...]
    tokens: int = 256
    whole: Sequence[str] = ()

    def rows(self, bundle: Bundle) -> list[Tensor]:
        """(1, T) ids of each text, framed as the model reads it.

        Raises:
            DataError: none has two tokens.
            UsageError: half of the model reads pictures, so texts do not show what it sees.
        """
        if family_of(bundle.model).abilities & {Ability.SEES, Ability.MATCHES}:
            raise UsageError(
                f"{bundle.path}: {type(bundle.model).__name__} reads pictures too, of which texts show nothing; take a "
                "method that reads none, such as rtn-int8"
            )
        longest = min(self.tokens, bundle.model.config.context or self.tokens)
        rows = [framed(bundle, bundle.tokenizer.encode(text))[:longest] for text in self.texts]
        found = [torch.tensor([row]) for row in rows if len(row) > 1]
        if not found:
            raise DataError("no text to calibrate on has two tokens; give some with data.train=FILE")
        return found


@dataclass
class Gram:
    """Sums over the inputs x (K,) of one map.

    Attributes:
        matrix: (K, K) Σ x xᵀ, in float64.
        largest: (K,) of each input, the largest absolute value.
        count: how many inputs.
    """

    matrix: Tensor
    largest: Tensor
    count: int = 0

    @classmethod
    def empty(cls, size: int) -> Gram:
        return cls(torch.zeros(size, size, dtype=torch.float64), torch.zeros(size))

    def add(self, x: Tensor) -> None:
        """Count the rows of (…, K)."""
        rows = x.detach().reshape(-1, x.size(-1)).to("cpu")
        rows = rows if rows.dtype == torch.float64 else rows.float()
        self.matrix += (rows.T @ rows).double()
        self.largest = torch.maximum(self.largest, rows.abs().amax(dim=0).float())
        self.count += len(rows)

    @property
    def norms(self) -> Tensor:
        """(K,) float32 ‖X‖₂ of each input."""
        return self.matrix.diagonal().sqrt().float()

    def energy(self, weight: Tensor) -> float:
        """‖WX‖² of (M, K) weights."""
        wide = weight.detach().double().cpu()
        return float(((wide @ self.matrix) * wide).sum())


def grams(model: LanguageModel, names: Sequence[str], rows: Sequence[Tensor]) -> dict[str, Gram]:
    """What the named maps see while the model reads `rows`; it stops behind the last of them."""
    maps = {name: model.get_submodule(name) for name in names}
    found = {name: Gram.empty(_width(module)) for name, module in maps.items()}
    seen: set[str] = set()

    def see(name: str, _module: nn.Module, inputs: tuple[Any, ...]) -> None:
        found[name].add(inputs[0])

    def leave(name: str, _module: nn.Module, _inputs: Any, _output: Any) -> None:
        seen.add(name)
        if len(seen) == len(maps):
            raise _Enough

    handles = [module.register_forward_pre_hook(partial(see, name)) for name, module in maps.items()]
    handles += [module.register_forward_hook(partial(leave, name)) for name, module in maps.items()]
    try:
        with inference(model):
            for row in rows:
                seen.clear()
                try:
                    read(model, row)
                except _Enough:
                    continue
    finally:
        for handle in handles:
            handle.remove()
    return found


def read(model: LanguageModel, ids: Tensor) -> Tensor:
    """Hidden states of ids (1, T), which are the target of an encoder–decoder too."""
    ids = ids.to(next(model.parameters()).device)
    if isinstance(model, EncoderDecoder):
        start = torch.tensor([before_answer(model, [])], device=ids.device).expand(len(ids), 1)
        return model.hidden(ids, decoder_input_ids=torch.cat([start, ids[:, :-1]], dim=1))
    return model.hidden(ids)


def framed(bundle: Bundle, ids: list[int]) -> list[int]:
    """Around the ids of a text what stands around it."""
    abilities = family_of(bundle.model).abilities
    if Ability.ENCODER_DECODER in abilities:
        return frame_source(bundle, ids)
    tokenizer = bundle.tokenizer
    if Ability.CAUSAL in abilities:
        return [*tokenizer.opening, *ids]
    begin, end = tokenizer.bos_id, tokenizer.eos_id
    return ids if begin is None or end is None else [begin, *ids, end]


class _Enough(Exception):
    """All maps have seen the row."""


def _width(module: nn.Module) -> int:
    size = module.in_features
    assert isinstance(size, int), f"{module} is no linear map"
    return size
