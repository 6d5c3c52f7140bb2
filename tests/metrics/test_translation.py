"""BLEU, chrF, chrF++ and TER from sums of statistics are sacrebleu's corpus scores, and sign as it does."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from sacrebleu.metrics import BLEU, CHRF, TER
from tests.metrics.texts import CASES, draw, near

from wenlu.errors import DataError, UsageError
from wenlu.metrics import (
    Columns,
    Metric,
    bleu,
    bleu_columns,
    chrf,
    chrf_columns,
    chrf_plus_plus,
    chrf_plus_plus_columns,
    reference_conventions,
    ter,
    ter_columns,
)


@dataclass(frozen=True)
class Case:
    metric: Callable[[], Metric]
    columns: Callable[[Sequence[str], Sequence[Sequence[str]]], Columns]
    oracle: Callable[[], Any]
    chinese: bool


def _bleu(language: str, tokenize: str) -> Case:
    return Case(
        lambda: bleu(language), lambda p, r: bleu_columns(p, r, language), lambda: BLEU(tokenize=tokenize),
        language == "zh",
    )  # fmt: skip


def _ter(language: str, asian: bool) -> Case:
    return Case(
        lambda: ter(language), lambda p, r: ter_columns(p, r, language),
        lambda: TER(normalized=asian, asian_support=asian), asian,
    )  # fmt: skip


EACH = {
    "bleu-en": _bleu("en", "13a"),
    "bleu-zh": _bleu("zh", "zh"),
    "chrf-en": Case(chrf, chrf_columns, lambda: CHRF(char_order=6, word_order=0), False),
    "chrf-zh": Case(chrf, chrf_columns, lambda: CHRF(char_order=6, word_order=0), True),
    "chrf++-en": Case(chrf_plus_plus, chrf_plus_plus_columns, lambda: CHRF(char_order=6, word_order=2), False),
    "chrf++-zh": Case(chrf_plus_plus, chrf_plus_plus_columns, lambda: CHRF(char_order=6, word_order=2), True),
    "ter-en": _ter("en", False),
    "ter-zh": _ter("zh", True),
}
each_case = pytest.mark.parametrize("case", EACH.values(), ids=EACH.keys())


def streams(references: Sequence[Sequence[str]]) -> list[list[str | None]]:
    """References as sacrebleu wants them: the first of all examples, the second of all, …; None where there is none."""
    most = max(map(len, references))
    return [[texts[i] if i < len(texts) else None for texts in references] for i in range(most)]


def corpus(seed: int, chinese: bool, most: int) -> tuple[list[str], list[list[str]]]:
    """Some predictions, each with 1 to `most` references."""
    rng = random.Random(seed)
    references = [[draw(rng, chinese) for _ in range(rng.randint(1, most))] for _ in range(rng.randint(1, 6))]
    return [near(rng, rng.choice(texts), chinese) for texts in references], references


@each_case
@pytest.mark.parametrize("most", [1, 3])
def test_sums_of_statistics_give_sacrebleus_corpus_score(case: Case, most: int) -> None:
    metric, oracle = case.metric(), case.oracle()
    for seed in range(CASES):
        predictions, references = corpus(seed, case.chinese, most)
        expected = oracle.corpus_score(predictions, streams(references)).score
        found = metric.compute(case.columns(predictions, references))
        if most == 1:
            assert found == expected
        else:  # TER's mean length of three references is no exact number, and NumPy adds in another order
            assert found == pytest.approx(expected, rel=1e-12)


@each_case
def test_the_signature_holds_all_of_sacrebleus(case: Case) -> None:
    predictions, references = corpus(0, case.chinese, 1)
    oracle = case.oracle()
    oracle.corpus_score(predictions, streams(references))
    signed = case.metric().sign(reference_conventions(references)).split("|")
    assert set(signed[1:-1]) == set(str(oracle.get_signature()).split("|"))
    assert {"nrefs:1", "case:mixed" if "ter" not in signed[0] else "case:lc"} < set(signed)
    assert any(part.startswith("version:") for part in signed)


@each_case
def test_equal_texts_are_perfect_and_strangers_are_not(case: Case) -> None:
    texts, strangers = ("今天天气很好，", "是") if case.chinese else ("the cat sat on the mat", "xyz")
    metric = case.metric()
    perfect = metric.compute(case.columns([texts], [[texts]]))
    worst = metric.compute(case.columns([strangers], [[texts]]))
    assert perfect == pytest.approx(0 if metric.better == "lower" else 100)
    assert worst == pytest.approx(100 if metric.better == "lower" else 0)


def test_short_chinese_is_not_0_as_it_is_with_the_tokenizer_of_english() -> None:
    text = "今天天气很好"
    assert BLEU(tokenize="13a").corpus_score([text], [[text]]).score == 0
    assert bleu("zh").compute(bleu_columns([text], [[text]], "zh")) == pytest.approx(100)


def test_one_wrong_character_of_six_is_a_sixth_in_chinese_ter() -> None:
    found = ter("zh").compute(ter_columns(["今天天气不好"], [["今天天气很好"]], "zh"))
    assert found == pytest.approx(100 / 6)
    assert TER(asian_support=True).corpus_score(["今天天气不好"], [["今天天气很好"]]).score == 100  # the trap


@pytest.mark.parametrize(
    ("language", "tokenizer"),
    [("en", "13a"), ("zh-Hans", "zh"), ("zh_TW", "zh"), ("yue", "zh"), ("th", "char"), ("pt-BR", "13a")],
)
def test_the_language_chooses_the_tokenizer(language: str, tokenizer: str) -> None:
    assert f"|tok:{tokenizer}|" in bleu(language).signature


def test_japanese_and_korean_are_cut_by_mecab_where_it_is_installed_else_by_character(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys.modules["wenlu.metrics.bleu"], "find_spec", lambda _: None)
    assert "|tok:char|" in bleu("ja").signature
    assert "|tok:char|" in bleu("ko").signature


@pytest.mark.parametrize(
    ("language", "message"),
    [("chinese", "not a code such as en, zh"), ("cn", "did you mean zh"), ("", "not a code"), ("jp", "mean ja")],
)
def test_a_language_that_is_no_code_is_refused(language: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        bleu(language)


def test_words_of_thai_are_not_counted_by_ter() -> None:
    with pytest.raises(UsageError, match="'th' puts no space between them; use chrF"):
        ter("th")


def test_an_example_without_reference_is_an_error_that_says_which() -> None:
    with pytest.raises(DataError, match="example 2 of 2 has no reference"):
        bleu_columns(["a", "b"], [["a"], []], "en")
    with pytest.raises(DataError, match="the split is empty"):
        bleu_columns([], [], "en")


def test_references_that_are_one_text_are_not_read_as_its_characters() -> None:
    with pytest.raises(AssertionError, match="a list of texts for each example"):
        bleu_columns(["a b"], ["a b"], "en")


def test_without_sacrebleu_the_message_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sacrebleu.metrics", None)
    with pytest.raises(UsageError, match=r"pip install 'wenlu\[tasks\]'"):
        bleu("en")
