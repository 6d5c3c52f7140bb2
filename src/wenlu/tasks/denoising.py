"""Write a text from a spoilt one (BART: Lewis et al. 2020, arXiv:1910.13461, section 2.2)."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field, PositiveFloat

from wenlu.corpus.packing import Ids
from wenlu.tasks.corruption.seq2seq import Seq2SeqConfig, Seq2SeqObjective
from wenlu.tasks.corruption.vocabulary import Vocabulary
from wenlu.tokenizers import Tokenizer


class DenoisingConfig(Seq2SeqConfig):
    """What is done to a text.

    Attributes:
        rate: share of the tokens that are taken out.
        mean_span: of the Poisson distribution of how many one `mask_token` stands for; it may stand for none.
        permute_sentences: put them in a random order.
    """

    name: Literal["denoising"] = "denoising"
    rate: float = Field(default=0.3, gt=0, lt=1)
    mean_span: PositiveFloat = 3.0
    permute_sentences: bool = True
    mask_token: str = "[MASK]"

    @property
    def special_tokens(self) -> tuple[str, ...]:
        return (self.mask_token,)


class Denoising(Seq2SeqObjective):
    """Source: the sentences in another order, spans of them replaced by one mask each. Target: the text itself."""

    name = "denoising"
    settings = DenoisingConfig
    ability = "writes a whole text from one with gaps"
    parts = ("denoising",)
    headline = "denoising"
    extra_places = 1
    config: DenoisingConfig

    def __init__(self, config: DenoisingConfig, tokenizer: Tokenizer) -> None:
        super().__init__(config, tokenizer)
        self.vocabulary = Vocabulary(tokenizer)
        (self.mask_id,) = self.vocabulary.ids_of([config.mask_token], self.name)

    def noised(self, ids: Ids, rng: np.random.Generator) -> tuple[Ids, Ids]:
        source = self.permuted(ids, rng) if self.config.permute_sentences else ids
        return self.infilled(source, rng), ids

    def permuted(self, ids: Ids, rng: np.random.Generator) -> Ids:
        """The sentences in a random order; what follows the last end of one is a sentence too."""
        sentences = np.split(ids, np.flatnonzero(self.vocabulary.ends_sentence[ids[:-1]]) + 1)
        return np.concatenate([sentences[place] for place in rng.permutation(len(sentences))])

    def infilled(self, ids: Ids, rng: np.random.Generator) -> Ids:
        """Spans replaced by one mask each, no two of which touch; masks that stand for nothing lengthen the text by no
        more than the others shorten it."""
        spans = self._spans(len(ids), rng)
        kept = len(ids) - sum(spans)
        room = sum(spans) - sum(span > 0 for span in spans)
        empty = [0] * min(spans.count(0), room)
        spans = [span for span in spans if span] + empty
        slots = rng.permutation(kept + 1)[: len(spans)]
        at = dict(zip(slots.tolist(), spans, strict=False))
        source: list[int] = []
        place = 0
        for slot in range(kept + 1):
            if slot in at:
                source.append(self.mask_id)
                place += at[slot]
            if slot < kept:
                source.append(int(ids[place]))
                place += 1
        return np.array(source, np.int64)

    def _spans(self, length: int, rng: np.random.Generator) -> list[int]:
        """Lengths by the Poisson distribution until `rate` of `length` is taken out, the last one cut; a text keeps
        as many tokens as there are spans, so that each has a place."""
        left = min(max(1, round(self.config.rate * length)), length - 1)
        spans: list[int] = []
        while left:
            spans.append(min(left, int(rng.poisson(self.config.mean_span))))
            left -= spans[-1]
        return spans
