"""What pretraining objectives share: they spoil a text and ask the model what was there."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from wenlu.corpus.packing import Ids, Rows
from wenlu.corpus.passages import Passages
from wenlu.corpus.shards import TokenData
from wenlu.metrics import TARGET_ACCURACY, TARGET_PERPLEXITY
from wenlu.models import LanguageModel
from wenlu.tasks.causal_lm import Text
from wenlu.tasks.task import IGNORED, Batch, Loss, Part, Reading, TaskConfig, TextTask, Totals
from wenlu.tokenizers import Tokenizer


@dataclass(frozen=True)
class Guesses:
    """What a model says at N targets.

    Attributes:
        nll: (N,) of the right answer, in nats. targets: (N,) the right answer. best: (N,) the likeliest one.
        rows: (N,) which row of the batch each is of.
    """

    nll: Tensor
    targets: Tensor
    best: Tensor
    rows: Tensor

    @classmethod
    def of(cls, logits: Tensor, targets: Tensor, rows: Tensor) -> Guesses:
        """Of (N, classes) logits; at least in float32."""
        wide = torch.promote_types(logits.dtype, torch.float32)
        nll = F.cross_entropy(logits.to(wide), targets, reduction="none")
        return cls(nll, targets, logits.detach().argmax(dim=-1), rows)

    def where(self, kept: Tensor) -> Guesses:
        """Those that are `kept`, (N,)."""
        return Guesses(self.nll[kept], self.targets[kept], self.best[kept], self.rows[kept])


class Objective(TextTask):
    """A task whose loss is a weighted sum over one or two kinds of targets.

    Attributes:
        parts: names of the kinds of targets.
        counted: in how many of them, from the first on, the loss is counted.
        headline: the part whose accuracy says how good a model is.
    """

    example = Text
    metrics = (TARGET_ACCURACY, TARGET_PERPLEXITY)
    parts: ClassVar[tuple[str, ...]]
    counted: ClassVar[int] = 1
    headline: ClassVar[str]

    def __init__(self, config: TaskConfig, tokenizer: Tokenizer) -> None:
        self.config = config
        self.tokenizer = tokenizer

    @abstractmethod
    def guesses(self, model: LanguageModel, batch: Batch) -> Mapping[str, Guesses]:
        """Run the forward passes; what the model says at the targets of each part."""

    @abstractmethod
    def answers(self, batch: Batch) -> Mapping[str, Tensor]:
        """Right answers of each part as far as they are known without a model: what a baseline is fitted to."""

    def weights(self) -> Mapping[str, float]:
        """What a target of a part weighs in the loss; 1 where it is not said."""
        return {}

    def num_classes(self, part: str) -> int:  # noqa: ARG002  (others than tokens for some parts)
        """Among how many answers a part chooses."""
        return self.tokenizer.vocab_size

    def passages(self, data: TokenData, context: int) -> Passages:
        """Rows that are each of one document, as evaluation scores them."""
        return Passages(data, context)

    def loss(self, model: LanguageModel, batch: Batch) -> Loss:
        """Summed loss in nats, counted in targets of the first parts."""
        weights, total, parts = self.weights(), None, {}
        for name, found in self.guesses(model, batch).items():
            nats = found.nll.sum()
            weighted = nats * weights.get(name, 1.0)
            total = weighted if total is None else total + weighted
            right = int((found.best == found.targets).sum())
            parts[name] = Part(nats.item(), len(found.nll), right)
        assert total is not None, f"{self.name} asks for nothing"
        count = sum(parts[name].count for name in self.parts[: self.counted])
        return Loss(total, count, parts, tokens=tokens_in(batch))

    def readings(self, totals: Totals, source: Rows) -> tuple[Reading, ...]:  # noqa: ARG002
        """The loss, and the accuracy of each part."""
        return (
            Reading("validation", totals.sum / max(1, totals.count), self.loss_unit),
            *(
                Reading(f"{name}.accuracy", part.right / max(1, part.count), "fraction")
                for name, part in totals.parts.items()
            ),
        )


def tokens_in(batch: Batch) -> int:
    """How many tokens the model reads and, behind an encoder, writes."""
    mask = batch.attention_mask
    read = batch.num_tokens
    if read is None:
        read = batch.input_ids.numel() if mask is None else int(mask.sum())
    return read + (0 if batch.decoder_input_ids is None else int((batch.targets != IGNORED).sum()))


def token_guesses(model: LanguageModel, hidden: Tensor, targets: Tensor) -> Guesses:
    """At the (B, T) targets that are not IGNORED, from hidden states (B, T, D); other logits are not computed."""
    asked = targets != IGNORED
    rows = asked.nonzero()[:, 0]
    return Guesses.of(model.lm_head(hidden[asked]), targets[asked], rows)


def asked_tokens(batch: Batch) -> Tensor:
    return batch.targets[batch.targets != IGNORED]


def padded(rows: list[Ids], value: int) -> Tensor:
    """(B, T) of rows as long as the longest, with `value` on the right."""
    out = np.full((len(rows), max(map(len, rows))), value, np.int64)
    for place, row in zip(out, rows, strict=True):
        place[: len(row)] = row
    return torch.from_numpy(out)
