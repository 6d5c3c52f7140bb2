"""The fast Kneser–Ney against one written out with dictionaries, and the laws of a distribution."""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wenlu.errors import DataError
from wenlu.evaluation.kneser_ney import UNDEFINED_DISCOUNTS, KneserNey, discounts
from wenlu.evaluation.ngrams import NgramCounts

VOCAB, EOS = 7, 6
documents = st.lists(st.lists(st.integers(0, VOCAB - 1), max_size=12), min_size=1, max_size=12)
Gram = tuple[int | str, ...]


class SlowKneserNey:
    """Chen & Goodman's recursion read off the page: tuples, dictionaries, one probability at a time."""

    def __init__(self, texts: Sequence[Sequence[int]], order: int) -> None:
        raw: Counter[Gram] = Counter()
        for text in texts:
            line: list[int | str] = ["BEGIN", *text, EOS]
            for end in range(2, len(line) + 1):
                for k in range(1, min(order, end) + 1):
                    raw[tuple(line[end - k : end])] += 1
        left: dict[Gram, set[int | str]] = defaultdict(set)
        for gram in raw:
            left[gram[1:]].add(gram[0])
        self.adjusted = {
            gram: count if len(gram) == order or gram[0] == "BEGIN" else len(left[gram]) for gram, count in raw.items()
        }
        self.order = order
        self.discounts = {}
        for k in range(1, order + 1):
            n = Counter(count for gram, count in self.adjusted.items() if len(gram) == k)
            self.discounts[k] = dict(zip((1, 2, 3), self._discounts(n), strict=True))

    @staticmethod
    def _discounts(n: Counter[int]) -> tuple[float, float, float]:
        if not all(n[i] for i in (1, 2, 3, 4)):
            return UNDEFINED_DISCOUNTS
        y = n[1] / (n[1] + 2 * n[2])
        d = (1 - 2 * y * n[2] / n[1], 2 - 3 * y * n[3] / n[2], 3 - 4 * y * n[4] / n[3])
        return d if all(0 < d[i] <= i + 1 for i in range(3)) else UNDEFINED_DISCOUNTS

    def probability(self, token: int, history: Gram) -> float:
        history = history[max(0, len(history) - self.order + 1) :]
        shorter = self.probability(token, history[1:]) if history else 1 / VOCAB
        k = len(history) + 1
        following = {gram: c for gram, c in self.adjusted.items() if len(gram) == k and gram[:-1] == history}
        total = sum(following.values())
        if not total:
            return shorter
        freed = sum(self.discounts[k][min(count, 3)] for count in following.values())
        own = following.get((*history, token), 0)
        kept = own - self.discounts[k][min(own, 3)] if own else 0.0
        return (kept + freed * shorter) / total


def fitted(texts: Sequence[Sequence[int]], order: int) -> KneserNey:
    return KneserNey(NgramCounts.of(texts, highest=order, vocab_size=VOCAB, eos_id=EOS), order)


@settings(max_examples=60, deadline=None)
@given(texts=documents, history=st.lists(st.integers(0, VOCAB - 1), max_size=7), order=st.integers(1, 5))
def test_it_equals_the_recursion_with_dictionaries(texts: list[list[int]], history: list[int], order: int) -> None:
    slow = SlowKneserNey(texts, order)
    expected = [slow.probability(token, ("BEGIN", *history)) for token in range(VOCAB)]
    np.testing.assert_allclose(fitted(texts, order).distribution(history), expected, rtol=1e-10)


def test_it_equals_the_recursion_where_the_discounts_are_estimated() -> None:
    rng = np.random.default_rng(0)
    texts = [[int(token) for token in np.minimum(rng.zipf(1.6, size=30), VOCAB) - 1] for _ in range(12)]
    model, slow = fitted(texts, 4), SlowKneserNey(texts, 4)
    assert slow.discounts[4][1] != UNDEFINED_DISCOUNTS[0]
    for history in ([], [0], [0, 0, 1], [1, 0, 2, 0, 0], [5, 5, 5]):
        expected = [slow.probability(token, ("BEGIN", *history)) for token in range(VOCAB)]
        np.testing.assert_allclose(model.distribution(history), expected, rtol=1e-10)


@settings(max_examples=60, deadline=None)
@given(texts=documents, history=st.lists(st.integers(0, VOCAB - 1), max_size=7), order=st.integers(1, 6))
def test_probabilities_are_positive_and_sum_to_one_after_any_history(
    texts: list[list[int]], history: list[int], order: int
) -> None:
    distribution = fitted(texts, order).distribution(history)
    assert distribution.min() > 0
    assert distribution.sum() == pytest.approx(1.0, abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(texts=documents, held_out=documents, order=st.integers(1, 5))
def test_a_document_costs_its_tokens_and_its_end_one_after_the_other(
    texts: list[list[int]], held_out: list[list[int]], order: int
) -> None:
    model = fitted(texts, order)
    costs = model.negative_log_likelihoods(held_out)
    assert [len(cost) for cost in costs] == [len(document) + 1 for document in held_out]
    for document, cost in zip(held_out, costs, strict=True):
        targets = [*document, EOS]
        expected = [-math.log(model.distribution(document[:at])[token]) for at, token in enumerate(targets)]
        np.testing.assert_allclose(cost, expected, rtol=1e-10)


def test_a_uniform_model_answers_when_only_the_end_was_ever_seen() -> None:
    model = fitted([[]], 3)
    distribution = model.distribution([3, 4])
    assert distribution[EOS] > distribution[0]
    np.testing.assert_allclose(distribution[:EOS], distribution[0])


def test_discounts_follow_the_counts_of_counts() -> None:
    counts = np.array([1] * 8 + [2] * 4 + [3] * 2 + [4] * 1 + [9, 0])
    y = 8 / (8 + 2 * 4)
    expected = [0, 1 - 2 * y * 4 / 8, 2 - 3 * y * 2 / 4, 3 - 4 * y * 1 / 2]
    np.testing.assert_allclose(discounts(counts), expected)


@pytest.mark.parametrize(
    "counts",
    [[], [1, 1, 1], [1] * 5 + [2] * 3 + [3] * 2, [1] * 2 + [2] * 4 + [3] * 40 + [4] * 9],
    ids=["nothing", "only singletons", "nothing four times", "negative estimate"],
)
def test_undefined_discounts_fall_back(counts: list[int]) -> None:
    assert tuple(discounts(np.array(counts, dtype=np.int64)))[1:] == UNDEFINED_DISCOUNTS


def test_higher_orders_learn_a_language_of_order_two() -> None:
    rng = np.random.default_rng(3)
    table = rng.dirichlet([0.15] * EOS, size=(EOS, EOS))

    def document() -> list[int]:
        tokens = [0, 1]
        for _ in range(200):
            tokens.append(int(rng.choice(EOS, p=table[tokens[-2], tokens[-1]])))
        return tokens

    texts, held_out = [document() for _ in range(40)], [document() for _ in range(10)]
    cost = {k: sum(c.sum() for c in fitted(texts, k).negative_log_likelihoods(held_out)) for k in (1, 2, 3, 5)}
    assert cost[3] < cost[2] < cost[1]
    assert cost[5] < 1.1 * cost[3]


def test_ids_outside_the_vocabulary_are_refused() -> None:
    with pytest.raises(DataError, match="document 1: token id 7 is outside the vocabulary of 7"):
        fitted([[1, 2], [3, 7]], 2)
    with pytest.raises(DataError, match="document 0: token id -1 is outside the vocabulary"):
        fitted([[-1]], 2)


def test_no_documents_are_refused() -> None:
    with pytest.raises(DataError, match="no documents to count n-grams in; is the training split empty"):
        fitted([], 2)
    assert fitted([[1]], 2).negative_log_likelihoods([]) == []
