"""Retrieval: the reply that the training part has to the turn which is most like the last one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wenlu.evaluation.baselines.nearest import Nearest
from wenlu.tasks.dialogue import Dialogue
from wenlu.tasks.dialogues.chat import Chat
from wenlu.tasks.labelled import WrittenText

MOST_TURNS = 50_000
"""That are searched, so that a large corpus does not cost minutes: those of the first conversations."""


@dataclass(frozen=True)
class NearestReply:
    """A Predictor of `Dialogue`."""

    nearest: Nearest

    def answer(self, examples: Sequence[Chat]) -> list[WrittenText]:
        said = [chat.history[-1].content if chat.history else "" for chat in examples]
        return [WrittenText(text) for text in self.nearest.answers_to(said)]


def fit(task: Dialogue, examples: Sequence[Chat]) -> NearestReply:  # noqa: ARG001
    """Raises ResourceError where scikit-learn is not installed."""
    pairs = [
        (chat.turns[place - 1].content if place else "", chat.turns[place].content)
        for chat in examples
        for place in chat.replies
    ][:MOST_TURNS]
    return NearestReply(Nearest.fit([said for said, _ in pairs], [reply for _, reply in pairs]))
