"""The words beside those of the question, in the sentence that has most of them: what a reader has to beat.

A sliding window in the manner of Richardson et al. 2013 (MCTest), which Rajpurkar et al. 2016 (arXiv:1606.05250,
section 5) compare with, but over words that TF-IDF weighs.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median_low

from wenlu.tasks.question_answering import ChosenAnswer, QuestionAnswering
from wenlu.tasks.spans.answers import Answer, Answers
from wenlu.tasks.spans.examples import Question
from wenlu.tasks.tagging.words import Words

_ENDS = frozenset(".!?。！？")


@dataclass(frozen=True)
class SlidingWindow:
    """A Predictor of `QuestionAnswering`, which always answers.

    Attributes:
        rarity: logarithm of the share of contexts that have a word, its sign turned.
        rarest: of words that no context has.
        size: words of an answer.
    """

    rarity: Mapping[str, float]
    rarest: float
    size: int

    def answer(self, examples: Sequence[Question]) -> list[ChosenAnswer]:
        return [self._answer(example) for example in examples]

    def _answer(self, example: Question) -> ChosenAnswer:
        words = Words.whole(example.context)
        if not len(words):
            return ChosenAnswer(None, Answers((), None, 0.0))
        texts = _lower(words)
        asked = {word for word in _lower(Words.whole(example.question)) if word[0].isalnum()}
        weights = [self._weight(word) if word in asked else 0.0 for word in texts]
        begin, end = max(_sentences(texts), key=lambda part: self._overlap(texts[slice(*part)], asked))
        first, last = max(
            _runs(texts, asked, begin, end, self.size) or [(begin, min(begin + self.size, end))],
            key=lambda run: self._fit(run, texts, weights, begin, end),
        )
        left, right = words.spans[first][0], words.spans[last - 1][1]
        answer = Answer(example.context[left:right], left, right, 0.0, 1.0)
        return ChosenAnswer(answer, Answers((answer,), None, 0.0))

    def _weight(self, word: str) -> float:
        return self.rarity.get(word, self.rarest)

    def _overlap(self, texts: Sequence[str], asked: set[str]) -> float:
        return sum(self._weight(word) for word in asked.intersection(texts))

    def _fit(self, run: tuple[int, int], texts: Sequence[str], weights: Sequence[float], begin: int, end: int) -> float:
        """Words of the question, the nearer the better, and how rare the run's own are."""
        first, last = run
        near = sum(weights[place] / (first - place) for place in range(begin, first))
        near += sum(weights[place] / (place - last + 1) for place in range(last, end))
        return near + sum(self._weight(word) for word in texts[first:last]) / (last - first)


def fit(task: QuestionAnswering, examples: Sequence[Question]) -> SlidingWindow:  # noqa: ARG001  (as all baselines)
    """How rare words are in the contexts, and how long answers usually are."""
    contexts = dict.fromkeys(example.context for example in examples)
    counts = Counter(word for context in contexts for word in {*_lower(Words.whole(context))})
    rarity = {word: math.log(len(contexts) / count) for word, count in counts.items()}
    sizes = [len(Words.whole(example.texts[0])) for example in examples if example.answers]
    return SlidingWindow(rarity, math.log(len(contexts) + 1), max(1, median_low(sizes)) if sizes else 1)


def _lower(words: Words) -> list[str]:
    return [word.lower() for word in words.texts]


def _sentences(texts: Sequence[str]) -> list[tuple[int, int]]:
    ends = [place + 1 for place, word in enumerate(texts) if word in _ENDS]
    borders = [0, *ends] if ends and ends[-1] == len(texts) else [0, *ends, len(texts)]
    return list(pairwise(borders))


def _runs(texts: Sequence[str], asked: set[str], begin: int, end: int, size: int) -> list[tuple[int, int]]:
    """Up to `size` words in a row that are no signs and not the question's, as many as there are."""
    found: list[tuple[int, int]] = []
    first = begin
    for place in range(begin, end + 1):
        if place < end and texts[place][0].isalnum() and texts[place] not in asked:
            continue
        if first < place:
            width = min(size, place - first)
            found += [(start, start + width) for start in range(first, place - width + 1)]
        first = place + 1
    return found
