"""Classifier-free guidance: away from what the model would write behind another prompt.

Sanchez et al. 2023, arXiv:2306.17806.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from wenlu.generation.forward import decode, prefill, to_logits
from wenlu.models import DecodeState, LanguageModel


def guided(logits: Tensor, other: Tensor, degree: float) -> Tensor:
    """Log-probabilities (…, V) moved from those behind the `other` prompt, 0, to their own, 1, and beyond."""
    own, other = logits.log_softmax(dim=-1), other.log_softmax(dim=-1)
    return degree * (own - other) + other


class Contrast:
    """One answer behind another prompt.

    Its logits are a function of the answer; what is kept of the last answer only saves work, about as much of it as
    the answer costs without guidance. The memory is outside of the engine's.
    """

    def __init__(self, model: LanguageModel, prompt: Sequence[int]) -> None:
        self._model = model
        self._prompt = list(prompt)
        self._read: list[int] = []
        self._state: DecodeState | None = None
        self._last: Tensor

    def logits(self, answer: Sequence[int]) -> Tensor:
        """(V,) logits of the token behind `answer`; within `inference`."""
        answer = list(answer)
        if self._state is None or answer[: len(self._read)] != self._read:
            self._state, self._read = self._model.init_state(1), []
            self._last = to_logits(self._model, prefill(self._model, [self._prompt], self._state))
        for token in answer[len(self._read) :]:
            self._last = to_logits(self._model, decode(self._model, [token], self._state))
        self._read = answer
        return self._last[0]
