"""The commonest answer to the same question, whatever the picture: what one knows with closed eyes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wenlu.tasks.labelled import WrittenText
from wenlu.tasks.pictured.writing import PicturedPair
from wenlu.tasks.visual_question_answering import VisualQuestionAnswering


@dataclass(frozen=True)
class CommonestAnswer:
    """A Predictor of `VisualQuestionAnswering`; a question that was never asked has the commonest answer of all."""

    by_question: Mapping[str, str]
    otherwise: str

    def answer(self, examples: Sequence[PicturedPair]) -> list[WrittenText]:
        return [WrittenText(self.by_question.get(example.source, self.otherwise)) for example in examples]


def fit(task: VisualQuestionAnswering, examples: Sequence[PicturedPair]) -> CommonestAnswer:  # noqa: ARG001
    """Of answers that are equally common the one that comes first."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for example in examples:
        counts[example.source][example.target or ""] += 1
    every = sum(counts.values(), Counter[str]())
    commonest = {question: found.most_common(1)[0][0] for question, found in counts.items()}
    return CommonestAnswer(commonest, every.most_common(1)[0][0] if every else "")
