"""A translation memory: the translation of the training text that is most like the source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wenlu.evaluation.baselines.nearest import Nearest
from wenlu.tasks.labelled import WrittenText
from wenlu.tasks.labelled.writing import TextPair
from wenlu.tasks.translation import Translation


@dataclass(frozen=True)
class TranslationMemory:
    """A Predictor of `Translation`."""

    nearest: Nearest

    def answer(self, examples: Sequence[TextPair]) -> list[WrittenText]:
        return [WrittenText(text) for text in self.nearest.answers_to([example.source for example in examples])]


def fit(task: Translation, examples: Sequence[TextPair]) -> TranslationMemory:  # noqa: ARG001
    """Raises ResourceError where scikit-learn is not installed."""
    known = [(example.source, example.target) for example in examples if example.target is not None]
    return TranslationMemory(Nearest.fit([source for source, _ in known], [target for _, target in known]))
