"""A tokenizer and a scorer of tokens: together they answer texts with their likelihood."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wenlu.errors import WeightsError
from wenlu.evaluation.likelihood import Scorer
from wenlu.tasks import Likelihood, Text
from wenlu.tokenizers import Tokenizer


@dataclass(frozen=True)
class TextPredictor:
    """A Predictor of `CausalLM`: a language model or an n-gram, behind the tokenizer that it was trained with."""

    tokenizer: Tokenizer
    scorer: Scorer

    def answer(self, examples: Sequence[Text]) -> list[Likelihood]:
        """Raises WeightsError where a likelihood is not a number, as after a training that diverged."""
        costs = self.scorer.negative_log_likelihoods(
            self.tokenizer.encode_batch([example.text for example in examples])
        )
        for example, cost in zip(examples, costs, strict=True):
            if np.isnan(cost).any():
                raise WeightsError(
                    f"{example.id or 'text'}: token {int(np.isnan(cost).argmax())} has the likelihood nan; are the "
                    "weights damaged, or did their training diverge?"
                )
        return [Likelihood(nll_nats=float(cost.sum()), tokens=len(cost)) for cost in costs]
