"""Exact match and F1 follow SQuAD's rules in English and count characters in Chinese."""

from __future__ import annotations

import random
import re
import string
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.metrics.texts import CASES, draw, near

from wenlu.errors import DataError, UsageError
from wenlu.metrics import answer_f1, answer_f1_columns, exact_match, exact_match_columns
from wenlu.metrics.answer_words import answer_words


def squad(prediction: str, golds: list[str]) -> tuple[float, float]:
    """Exact match and F1 by the rules of SQuAD's script, version 2.0, told once more."""

    def tidy(text: str) -> str:
        text = text.lower().translate(dict.fromkeys(map(ord, string.punctuation)))
        return " ".join(re.sub(r"\b(a|an|the)\b", " ", text).split())

    def overlap(one: str, other: str) -> float:
        a, b = one.split(), other.split()
        if not a or not b:
            return 1.0 if a == b else 0.0
        common = sum(min(count, Counter(b)[word]) for word, count in Counter(a).items())
        if common == 0:
            return 0.0
        precision, recall = common / len(a), common / len(b)
        return 2 * precision * recall / (precision + recall)

    wanted = [tidy(gold) for gold in golds if tidy(gold)] or [""]
    given = tidy(prediction)
    return max(float(given == gold) for gold in wanted), max(overlap(given, gold) for gold in wanted)


def scores(prediction: str, golds: list[str], language: str) -> tuple[float, float]:
    exact = exact_match(language).compute(exact_match_columns([prediction], [golds], language))
    return exact, answer_f1(language).compute(answer_f1_columns([prediction], [golds], language))


def test_english_is_what_the_rules_of_squad_say() -> None:
    rng = random.Random(0)
    for _ in range(CASES):
        golds = [draw(rng, chinese=False) for _ in range(rng.randint(0, 3))]
        prediction = near(rng, rng.choice(golds or [""]), chinese=False)
        assert scores(prediction, golds, "en") == squad(prediction, golds)


@pytest.mark.parametrize(
    ("prediction", "golds", "exact", "f1"),
    [
        ("The Cat!", ["cat", "dog"], 1, 1),
        ("a cat's tail", ["cats tail"], 1, 1),
        ("big cat", ["cat sat here"], 0, 2 * (1 / 2) * (1 / 3) / (1 / 2 + 1 / 3)),
        ("", [], 1, 1),
        ("the", [], 1, 1),
        ("something", [], 0, 0),
        ("", ["something"], 0, 0),
        ("", ["...", "something"], 0, 0),
        ("the", ["a"], 1, 1),
    ],
)
def test_english_worked_out_by_hand(prediction: str, golds: list[str], exact: float, f1: float) -> None:
    assert scores(prediction, golds, "en") == (exact, pytest.approx(f1))


@pytest.mark.parametrize(
    ("prediction", "gold", "exact", "f1"),
    [
        ("北京大学。", "北京大学", 1, 1),
        ("《北京 大学》", "北京大学", 1, 1),
        ("北京", "北京大学", 0, 2 * 2 / (2 + 4)),
        ("大学北京", "北京大学", 0, 1),
        ("ＯＫ！", "ＯＫ", 1, 1),
        ("约３５％", "约３５", 1, 1),
        ("GPT 模型", "gpt模型", 1, 1),
        ("GPT模型", "GP模型", 0, 2 * 2 / (3 + 3)),  # a Latin word is one unit, not letters
        ("1998年", "98年", 0, 2 * 1 / (2 + 2)),
        ("", "", 1, 1),
        ("。", "", 1, 1),
        ("😀", "😀", 1, 1),
    ],
)
def test_chinese_counts_characters_and_words_of_other_scripts(
    prediction: str, gold: str, exact: float, f1: float
) -> None:
    assert scores(prediction, [gold], "zh") == (exact, pytest.approx(f1))


def test_mixed_text_keeps_its_latin_words() -> None:
    assert answer_words("用 Python3 写的“Hello, World”程序（第2版）", "zh") == [
        *"用", "python3", *"写的", "hello", "world", *"程序第", "2", *"版",
    ]  # fmt: skip


def test_other_languages_lose_the_punctuation_of_every_script_and_no_article() -> None:
    assert scores("¿La casa?", ["la casa"], "es") == (1, 1)
    assert scores("casa", ["la casa"], "es") == (0, pytest.approx(2 / 3))
    assert answer_words("«Кошка» — зверь", "ru") == ["кошка", "зверь"]


@given(st.lists(st.tuples(st.text(max_size=12), st.lists(st.text(max_size=12), max_size=3)), min_size=1, max_size=5))
@pytest.mark.parametrize("language", ["en", "zh", "fr"])
def test_exact_match_is_never_above_f1(language: str, examples: list[tuple[str, list[str]]]) -> None:
    predictions, golds = [text for text, _ in examples], [texts for _, texts in examples]
    exact, f1 = exact_match_columns(predictions, golds, language), answer_f1_columns(predictions, golds, language)
    assert (exact["exact_match"] <= f1["answer_f1"]).all()
    assert exact_match(language).compute(exact) <= answer_f1(language).compute(f1)


def test_exact_match_of_related_chinese_answers_is_never_above_f1() -> None:
    rng = random.Random(1)
    golds = [[draw(rng, chinese=True) for _ in range(rng.randint(0, 3))] for _ in range(CASES)]
    predictions = [near(rng, rng.choice(texts or [""]), chinese=True) for texts in golds]
    exact = exact_match_columns(predictions, golds, "zh")["exact_match"]
    f1 = answer_f1_columns(predictions, golds, "zh")["answer_f1"]
    assert (exact <= f1).all()
    assert 0 < exact.mean() < f1.mean() < 1


def test_the_signature_says_the_convention_of_the_language() -> None:
    assert exact_match("en").signature == "exact_match|words:squad-en|refs:best|null:empty|v1"
    assert "|words:characters,no-punctuation|" in answer_f1("zh-Hant").signature
    assert "|words:spaces,no-punctuation|" in answer_f1("fr").signature


def test_no_questions_and_no_language_are_errors() -> None:
    with pytest.raises(DataError, match="the split is empty"):
        exact_match_columns([], [], "en")
    with pytest.raises(UsageError, match="'english' is not a code"):
        answer_f1("english")
