"""lead takes the first sentences and TextRank the most central ones, in English and Chinese."""

from __future__ import annotations

import random
from math import log

import numpy as np
import pytest
from tests.metrics.texts import CASES, draw

from wenlu.corpus.steps.sentences import sentences_of
from wenlu.corpus.steps.words import words_of
from wenlu.evaluation.summary_baselines import lead, textrank

ENGLISH = "Dr. Smith met a cat. The cat sat on a mat! It rained. A dog and the cat shared the mat."
CHINESE = "他说：“今天天气很好。”我们去了公园！公园里人很多，天气很好。晚上下雨了……我们回家。"


def test_lead_takes_whole_sentences_from_the_start() -> None:
    assert lead(ENGLISH) == "Dr. Smith met a cat.\nThe cat sat on a mat!\nIt rained."
    assert lead(CHINESE, sentences=2) == "他说：“今天天气很好。”\n我们去了公园！"
    assert lead(ENGLISH, sentences=99) == "\n".join(sentences_of(ENGLISH))
    assert lead("") == ""


def test_textrank_leaves_out_the_sentence_that_shares_nothing() -> None:
    assert textrank(ENGLISH) == "Dr. Smith met a cat.\nThe cat sat on a mat!\nA dog and the cat shared the mat."
    assert textrank("") == ""
    assert textrank("One. Two. Three. Four.", sentences=2) == "One.\nTwo."  # equals: the earlier ones


def test_textrank_reads_chinese_words() -> None:
    pytest.importorskip("rjieba")
    text = "今天天气很好。猫睡了。明天天气不好。今天和明天的天气不同。"
    assert textrank(text) == "今天天气很好。\n明天天气不好。\n今天和明天的天气不同。"


@pytest.mark.parametrize("chinese", [False, True])
def test_textrank_chooses_what_the_equations_solved_at_once_choose(chinese: bool) -> None:
    if chinese:
        pytest.importorskip("rjieba")
    for seed in range(CASES):
        rng = random.Random(seed)
        text = "\n".join(draw(rng, chinese) + ("。" if chinese else ".") for _ in range(rng.randint(1, 8)))
        sentences = sentences_of(text)
        scores = solved([words_of(sentence.lower(), punctuation=False) for sentence in sentences])
        chosen = textrank(text, sentences=3).split("\n")
        assert len(chosen) == min(3, len(sentences))
        assert is_subsequence(chosen, sentences)
        best = sorted(scores, reverse=True)[: len(chosen)]
        places = choose(chosen, sentences, scores)
        assert sorted((scores[i] for i in places), reverse=True) == pytest.approx(best, abs=1e-4)


def solved(sentences: list[list[str]]) -> list[float]:
    """The paper's scores: WS_i = 0.15 + 0.85 sum_j w_ji / sum_k w_jk WS_j, as linear equations."""
    n = len(sentences)
    weights = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            if i != j and len(sentences[i]) * len(sentences[j]) > 1:
                lengths = log(len(sentences[i])) + log(len(sentences[j]))
                weights[i, j] = len(set(sentences[i]) & set(sentences[j])) / lengths
    dealt = np.array([row / row.sum() if row.sum() else row for row in weights])
    return [float(score) for score in np.linalg.solve(np.eye(n) - 0.85 * dealt.T, np.full(n, 0.15))]


def choose(chosen: list[str], sentences: list[str], scores: list[float]) -> list[int]:
    """Places of the chosen sentences; of equal texts those that score best."""
    places: list[int] = []
    for text in chosen:
        left = [i for i, sentence in enumerate(sentences) if sentence == text and i not in places]
        places.append(max(left, key=lambda i: scores[i]))
    return places


def is_subsequence(some: list[str], every: list[str]) -> bool:
    rest = iter(every)
    return all(item in rest for item in some)


def test_a_summary_has_at_least_one_sentence() -> None:
    for summary in (lead, textrank):
        with pytest.raises(AssertionError, match="0 sentences are no summary"):
            summary("A.", sentences=0)
