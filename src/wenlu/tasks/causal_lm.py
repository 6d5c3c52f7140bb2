"""Predict the next token of a text: pretraining, and what perplexity measures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from wenlu.kernels.cross_entropy import linear_cross_entropy
from wenlu.metrics import METRICS, Columns
from wenlu.models import LanguageModel
from wenlu.tasks.task import IGNORED, Batch, Loss, Task
from wenlu.tokenizers import count_words

if TYPE_CHECKING:
    from wenlu.corpus.packing import PackedRow


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


class CausalLM(Task):
    """Give each token of a document, its end included, a probability from the tokens before it."""

    name = "causal-lm"
    example = Text
    metrics = tuple(metric for metric in METRICS if "nll_nats" in metric.needs)

    def batch(self, rows: PackedRow, *, separate_documents: bool = True) -> Batch:
        """Inputs and targets of packed rows; a target in another document than its input is ignored.

        Args:
            rows: B windows of T + 1 tokens with their document numbers.
            separate_documents: no position sees another document of its row; False lets attention
                cross the boundaries, as GPT-2 was trained, which is cheaper.
        """
        ids, segments = torch.from_numpy(rows.ids), torch.from_numpy(rows.segments)
        crosses = segments[:, 1:] != segments[:, :-1]
        return Batch(
            input_ids=ids[:, :-1],
            targets=ids[:, 1:].masked_fill(crosses, IGNORED),
            segments=segments[:, :-1] if separate_documents and bool(crosses.any()) else None,
        )

    def loss(self, model: LanguageModel, batch: Batch) -> Loss:
        """Summed cross-entropy in nats and the number of targets.

        The logits are never held whole, unless the head is more than one product.
        """
        hidden = model.hidden(batch.input_ids, attention_mask=batch.attention_mask, segments=batch.segments)
        targets = batch.targets.flatten()
        if _is_one_product(model.lm_head):
            head = model.get_parameter("lm_head.weight")
            total = linear_cross_entropy(hidden.flatten(0, 1), head, targets, ignore_index=IGNORED)
        else:
            logits = model.lm_head(hidden.flatten(0, 1))
            wide = torch.float64 if logits.dtype == torch.float64 else torch.float32
            total = F.cross_entropy(logits.to(wide), targets, ignore_index=IGNORED, reduction="sum")
        return Loss(total, count=int((targets != IGNORED).sum()))

    def columns(self, examples: Sequence[Text], answers: Sequence[Likelihood]) -> Columns:
        return {
            "nll_nats": np.array([answer.nll_nats for answer in answers]),
            "tokens": np.array([answer.tokens for answer in answers]),
            "bytes": np.array([len(example.text.encode()) for example in examples]),
            "words": np.array([count_words(example.text) for example in examples]),
        }


def _is_one_product(head: nn.Module) -> bool:
    """Whether logits are `hidden @ weight.T` and nothing more."""
    return type(head) is nn.Linear and "bias" not in dict(head.named_parameters())
