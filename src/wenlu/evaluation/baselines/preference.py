"""By length alone: the longer answer is the better one, or the shorter, as it was more often in the training part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wenlu.tasks import Preference, Reward
from wenlu.tasks.preferences.example import Preferred
from wenlu.tasks.preferences.verdict import Verdict


@dataclass(frozen=True)
class LengthJudge:
    """A Predictor of `Preference` and `Reward`; an answer's reward is `sign` times the logarithm of its characters."""

    sign: float

    def answer(self, examples: Sequence[Preferred]) -> list[Verdict]:
        return [Verdict(self._reward(example.chosen), self._reward(example.rejected)) for example in examples]

    def _reward(self, text: str) -> float:
        return self.sign * float(np.log(1 + len(text)))


def fit(task: Preference | Reward, examples: Sequence[Preferred]) -> LengthJudge:  # noqa: ARG001
    longer = sum(int(np.sign(len(example.chosen) - len(example.rejected))) for example in examples)
    return LengthJudge(1.0 if longer >= 0 else -1.0)
