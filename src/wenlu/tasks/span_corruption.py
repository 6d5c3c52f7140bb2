"""Write what stood in the gaps of a text (T5: Raffel et al. 2020, arXiv:1910.10683, section 3.1.4), also as the
mixture of UL2 (Tay et al. 2022, arXiv:2205.05131)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from wenlu.corpus.packing import Ids
from wenlu.models import LanguageModel
from wenlu.tasks.corruption.seq2seq import Seq2SeqConfig, Seq2SeqObjective
from wenlu.tasks.corruption.vocabulary import Vocabulary
from wenlu.tasks.objective import Guesses, asked_tokens
from wenlu.tasks.task import Batch
from wenlu.tokenizers import Tokenizer

Mode = Literal["[R]", "[S]", "[X]"]
MODES: tuple[Mode, ...] = ("[R]", "[S]", "[X]")


@dataclass(frozen=True)
class Denoiser:
    """One way to make gaps.

    Attributes:
        rate: share of the tokens that are taken out.
        mean_span: how many a gap has on average; None: one gap, at the end.
        mode: the token that tells the model which way it is; None: it is not told.
    """

    rate: float
    mean_span: float | None
    mode: Mode | None = None


UL2 = (
    Denoiser(0.15, 3, "[R]"),
    Denoiser(0.15, 8, "[R]"),
    Denoiser(0.25, None, "[S]"),
    Denoiser(0.5, 3, "[X]"),
    Denoiser(0.5, 8, "[X]"),
    Denoiser(0.15, 64, "[X]"),
    Denoiser(0.5, 64, "[X]"),
)
"""Regular, sequential and extreme denoisers, equally often; table 1 of the paper."""


class SpanCorruptionConfig(Seq2SeqConfig):
    """How many gaps, and how long.

    Attributes:
        mixture: `single` takes out `rate` of the tokens in gaps of `mean_span`; `ul2` one of the seven denoisers of
            the paper, named to the model by [R], [S] or [X].
        sentinels: how many tokens `<extra_id_N>` there are to mark gaps; so many gaps a passage has at most.
    """

    name: Literal["span-corruption"] = "span-corruption"
    mixture: Literal["single", "ul2"] = "single"
    rate: float = Field(default=0.15, gt=0, lt=1)
    mean_span: float = Field(default=3.0, ge=1)
    sentinels: int = Field(default=100, ge=1, le=1000)

    @property
    def special_tokens(self) -> tuple[str, ...]:
        modes = MODES if self.mixture == "ul2" else ()
        return (*(f"<extra_id_{number}>" for number in range(self.sentinels)), *modes)

    @property
    def denoisers(self) -> tuple[Denoiser, ...]:
        return UL2 if self.mixture == "ul2" else (Denoiser(self.rate, self.mean_span),)


class SpanCorruption(Seq2SeqObjective):
    """Source: the text with a sentinel in each gap. Target: each sentinel and what stood in its gap.

    Sentinels and the end are learnt too, but scored apart: their order is no knowledge of language.
    """

    name = "span-corruption"
    settings = SpanCorruptionConfig
    ability = "writes what stood in the gaps <extra_id_N> of a text"
    parts = ("span-corruption", "sentinels")
    counted = 2
    headline = "span-corruption"
    extra_places = 3  # the end, a mode, and a gap of one token, whose target has two
    config: SpanCorruptionConfig

    def __init__(self, config: SpanCorruptionConfig, tokenizer: Tokenizer) -> None:
        super().__init__(config, tokenizer)
        vocabulary = Vocabulary(tokenizer)
        self.is_special = torch.from_numpy(vocabulary.is_special)
        found = vocabulary.ids_of(config.special_tokens, self.name)
        self.sentinels: Ids = np.array(found[: config.sentinels])
        self.modes = dict(zip(MODES, found[config.sentinels :], strict=False))

    def guesses(self, model: LanguageModel, batch: Batch) -> dict[str, Guesses]:
        found = super().guesses(model, batch)[self.headline]
        special = self.is_special.to(found.targets.device)[found.targets]
        return {"span-corruption": found.where(~special), "sentinels": found.where(special)}

    def answers(self, batch: Batch) -> dict[str, Tensor]:
        asked = asked_tokens(batch)
        special = self.is_special[asked]
        return {"span-corruption": asked[~special], "sentinels": asked[special]}

    def noised(self, ids: Ids, rng: np.random.Generator) -> tuple[Ids, Ids]:
        denoisers = self.config.denoisers
        chosen = denoisers[int(rng.integers(len(denoisers)))]
        pieces = self._pieces(len(ids), chosen, rng)
        source, target = with_sentinels(ids, pieces, self.sentinels)
        return (source if chosen.mode is None else np.append(self.modes[chosen.mode], source)), target

    def _pieces(self, length: int, denoiser: Denoiser, rng: np.random.Generator) -> list[int]:
        """Lengths of what is kept, taken out, kept, …, taken out."""
        taken = min(max(1, round(length * denoiser.rate)), length - 1)
        if denoiser.mean_span is None:
            return [length - taken, taken]
        gaps = min(max(1, round(taken / denoiser.mean_span)), length - taken, len(self.sentinels))
        kept, out = parted(length - taken, gaps, rng), parted(taken, gaps, rng)
        return list(chain.from_iterable(zip(kept, out, strict=True)))


def parted(length: int, parts: int, rng: np.random.Generator) -> list[int]:
    """`parts` lengths of at least one whose sum is `length`, each way to part it equally likely."""
    cuts = np.sort(rng.choice(length - 1, parts - 1, replace=False)) + 1 if parts > 1 else np.empty(0, np.int64)
    lengths: list[int] = np.diff(np.concatenate([[0], cuts, [length]])).tolist()
    return lengths


def with_sentinels(ids: Ids, pieces: Sequence[int], sentinels: Ids) -> tuple[Ids, Ids]:
    """Source and target of a text whose pieces are by turns kept and taken out."""
    source: list[Ids] = []
    target: list[Ids] = []
    for number, piece in enumerate(np.split(ids, np.cumsum(pieces)[:-1])):
        if number % 2 == 0:
            source.append(piece)
        else:
            sentinel = sentinels[number // 2 : number // 2 + 1]
            source.append(sentinel)
            target += [sentinel, piece]
    return np.concatenate(source), np.concatenate(target)
