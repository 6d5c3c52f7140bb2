"""Predict the next token of a text: pretraining, and what perplexity measures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from wenlu.corpus.packing import Rows, TokenRows, Windows
from wenlu.corpus.shards import TokenData
from wenlu.kernels.cross_entropy import linear_cross_entropy
from wenlu.metrics import METRICS, Columns
from wenlu.models import Ability, Family, LanguageModel
from wenlu.tasks.task import IGNORED, Batch, Draw, Loss, Reading, TaskConfig, TextTask, Totals
from wenlu.tokenizers import Tokenizer, count_words

_SIZES = ("tokens", "bytes", "words")


@dataclass(frozen=True)
class Text:
    """One document."""

    text: str
    id: str = ""


@dataclass(frozen=True)
class Likelihood:
    """How probable a document is: summed negative log-likelihood in nats, over `tokens` targets (end included)."""

    nll_nats: float
    tokens: int


class CausalLMConfig(TaskConfig):
    """The task has no settings."""

    suits: ClassVar[str] = "families that continue text"
    name: Literal["causal-lm"] = "causal-lm"

    def accepts(self, family: Family) -> bool:
        return Ability.CAUSAL in family.abilities


class CausalLM(TextTask):
    """Give each token of a document, its end included, a probability from the tokens before it."""

    name = "causal-lm"
    settings = CausalLMConfig
    example = Text
    metrics = tuple(
        metric for metric in METRICS if "nll_nats" in metric.needs and {*metric.needs} <= {"nll_nats", *_SIZES}
    )
    ability = "continues text"

    def __init__(self, config: CausalLMConfig | None = None, tokenizer: Tokenizer | None = None) -> None:  # noqa: ARG002
        self.config = config or CausalLMConfig()

    def rows(self, data: TokenData, context: int) -> Windows:
        return Windows(data, context)

    def batch(self, draw: Draw) -> Batch:
        """Inputs and targets of B windows of T + 1 tokens; a target in another document than its input is ignored."""
        ids, segments = torch.from_numpy(draw.rows.ids), torch.from_numpy(draw.rows.segments)
        crosses = segments[:, 1:] != segments[:, :-1]
        return Batch(
            input_ids=ids[:, :-1],
            targets=ids[:, 1:].masked_fill(crosses, IGNORED),
            segments=segments[:, :-1] if draw.separate_documents and bool(crosses.any()) else None,
        )

    def loss(self, model: LanguageModel, batch: Batch) -> Loss:
        """Summed cross-entropy in nats and the number of targets.

        The logits are never held whole, unless the head is more than one product.
        """
        hidden = model.hidden(batch.input_ids, attention_mask=batch.attention_mask, segments=batch.segments)
        targets = batch.targets.flatten()
        if is_one_product(model.lm_head):
            head = model.get_parameter("lm_head.weight")
            total = linear_cross_entropy(hidden.flatten(0, 1), head, targets, ignore_index=IGNORED)
        else:
            logits = model.lm_head(hidden.flatten(0, 1))
            wide = torch.float64 if logits.dtype == torch.float64 else torch.float32
            total = F.cross_entropy(logits.to(wide), targets, ignore_index=IGNORED, reduction="sum")
        return Loss(total, count=int((targets != IGNORED).sum()))

    def readings(self, totals: Totals, source: Rows) -> tuple[Reading, ...]:
        """Bits per byte; a window does not see what stands before it, so this is an upper bound of the final score."""
        assert isinstance(source, TokenRows), "text is read from encoded documents"
        data = source.data
        bytes_per_token = data.num_bytes / data.num_tokens
        return (Reading("validation", totals.sum / math.log(2) / (totals.count * bytes_per_token), "bits/byte"),)

    def columns(self, examples: Sequence[Text], answers: Sequence[Likelihood]) -> Columns:
        return {
            "nll_nats": np.array([answer.nll_nats for answer in answers]),
            "tokens": np.array([answer.tokens for answer in answers]),
            "bytes": np.array([len(example.text.encode()) for example in examples]),
            "words": np.array([count_words(example.text) for example in examples]),
        }


def is_one_product(head: nn.Module) -> bool:
    """Whether logits are `hidden @ weight.T` and nothing more."""
    return type(head) is nn.Linear and "bias" not in dict(head.named_parameters())
