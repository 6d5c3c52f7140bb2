"""ROUGE is rouge-score's on the same units and rouge-chinese's in Chinese, where a text is never unlike itself."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from nltk.stem.porter import PorterStemmer
from rouge_chinese import Rouge
from rouge_score import tokenize
from rouge_score.rouge_scorer import RougeScorer
from tests.metrics.texts import CASES, pairs

from wenlu.errors import DataError, UsageError
from wenlu.metrics import rouge, rouge_columns
from wenlu.metrics.lcs import lcs_length, lcs_places
from wenlu.metrics.text_units import units_of

VARIANTS = ["rouge1", "rouge2", "rougeL", "rougeLsum"]


class Cutter:
    """A tokenizer for rouge-score."""

    def __init__(self, tokenize: Callable[[str], list[str]]) -> None:
        self.tokenize = tokenize


PORTER_1980 = Cutter(lambda text: tokenize.tokenize(text, PorterStemmer(mode=PorterStemmer.ORIGINAL_ALGORITHM)))
CHARACTERS = Cutter(lambda text: units_of(text, "zh"))


@pytest.mark.parametrize(
    ("language", "stemmer", "oracle"),
    [
        ("en", False, RougeScorer(VARIANTS)),
        ("en", True, RougeScorer(VARIANTS, tokenizer=PORTER_1980)),
        ("zh", False, RougeScorer(VARIANTS, tokenizer=CHARACTERS)),
    ],
)
@pytest.mark.parametrize("lines", [False, True])
def test_every_f_measure_is_rouge_scores(language: str, stemmer: bool, oracle: RougeScorer, lines: bool) -> None:
    examples = pairs(1, CASES, language == "zh", lines=lines)
    columns = rouge_columns([p for p, _ in examples], [[r] for _, r in examples], language, stemmer=stemmer)
    for i, (prediction, reference) in enumerate(examples):
        expected = oracle.score(reference, prediction)
        for name in VARIANTS:
            assert columns[name][i] == expected[name].fmeasure, (name, prediction, reference)


def test_the_best_of_several_references_counts_as_in_rouge_score() -> None:
    examples = [pairs(seed, 3, False) for seed in range(CASES)]
    predictions = [found[0][0] for found in examples]
    references = [[reference for _, reference in found] for found in examples]
    columns = rouge_columns(predictions, references, "en")
    oracle = RougeScorer(VARIANTS)
    for i, (prediction, texts) in enumerate(zip(predictions, references, strict=True)):
        expected = oracle.score_multi(texts, prediction)
        assert [columns[name][i] for name in VARIANTS] == [expected[name].fmeasure for name in VARIANTS]


@pytest.mark.parametrize("segmentation", ["characters", "rjieba"])
def test_chinese_is_rouge_chineses_on_the_same_units(segmentation: str) -> None:
    if segmentation == "rjieba":
        pytest.importorskip("rjieba")
    oracle = Rouge(metrics=["rouge-1", "rouge-2", "rouge-l"], exclusive=False)
    for prediction, reference in pairs(2, CASES, True):
        found, wanted = (" ".join(units_of(text, "zh", segmentation)) for text in (prediction, reference))
        if not found or not wanted:  # it refuses those
            continue
        columns = rouge_columns([prediction], [[reference]], "zh", segmentation=segmentation)
        expected = oracle.get_scores(found, wanted)[0]
        for name, its in (("rouge1", "rouge-1"), ("rouge2", "rouge-2"), ("rougeL", "rouge-l")):
            assert columns[name][0] == pytest.approx(expected[its]["f"], abs=1e-7)  # it adds 1e-8 to a denominator


@pytest.mark.parametrize("text", ["今天天气很好", "好的。", "，。！", "GPT 模型", "😀😀", "𠮷野家", "一\n二"])
@pytest.mark.parametrize("segmentation", ["characters", "rjieba"])
def test_equal_chinese_texts_score_1(text: str, segmentation: str) -> None:
    if segmentation == "rjieba":
        pytest.importorskip("rjieba")
    columns = rouge_columns([text], [[text]], "zh", segmentation=segmentation)
    for variant in ("1", "L", "Lsum"):
        assert rouge(variant, "zh", segmentation=segmentation).compute(columns) == 1
    assert rouge("2", "zh").compute(columns) == (len(units_of(text, "zh", segmentation)) > 1)


def test_the_stemmer_is_porters_of_1980_and_not_the_one_that_nltk_extends() -> None:
    columns = rouge_columns(["days"], [["dai"]], "en", stemmer=True)
    assert rouge("1", "en", stemmer=True).compute(columns) == 1
    assert RougeScorer(["rouge1"], use_stemmer=True).score("dai", "days")["rouge1"].fmeasure == 0
    relatives = rouge_columns(["relational running"], [["relate runs"]], "en", stemmer=True)
    assert rouge("1", "en", stemmer=True).compute(relatives) == 1


def test_rouge_score_itself_gives_equal_chinese_texts_0() -> None:
    assert RougeScorer(["rouge1"]).score("今天天气很好", "今天天气很好")["rouge1"].fmeasure == 0


def test_the_score_is_the_mean_of_the_examples() -> None:
    columns = rouge_columns(["the cat", "a dog ran"], [["the cat"], ["a cat sat on"]], "en")
    assert rouge("1", "en").compute(columns) == pytest.approx((1 + 2 * 1 / (3 + 4)) / 2)


def test_lsum_joins_what_two_sentences_cover_and_l_does_not() -> None:
    # of Lin 2004, section 3.2: w1 w2 and w1 w3 w5 cover four of five words; ten are available, so 2·4/(5 + 10)
    columns = rouge_columns(["w1 w2 w6 w7 w8\nw1 w3 w8 w9 w5"], [["w1 w2 w3 w4 w5"]], "en")
    assert rouge("Lsum", "en").compute(columns) == pytest.approx(8 / 15)
    assert rouge("L", "en").compute(columns) == pytest.approx(2 * 4 / 15)
    turned = rouge_columns(["w3 w4\nw1 w2"], [["w1 w2 w3 w4"]], "en")
    assert rouge("Lsum", "en").compute(turned) == 1
    assert rouge("L", "en").compute(turned) == 0.5


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("好。坏！", "好。\n坏！"),
        ("“好。”他说。走了；来了", "“好。”\n他说。\n走了；\n来了"),
        ("什么？！不。", "什么？！\n不。"),
        ("没有", "没有"),
    ],
)
def test_chinese_sentences_of_lsum_end_at_marks_where_told(text: str, lines: str) -> None:
    other = "坏。他说好。不来；走了"
    told = rouge_columns([other], [[text]], "zh", sentences="marks")
    by_hand = rouge_columns(["坏。\n他说好。\n不来；\n走了"], [[lines]], "zh")
    assert told["rougeLsum"] == by_hand["rougeLsum"]


def test_the_signature_tells_the_conventions_apart() -> None:
    pytest.importorskip("rjieba")
    signatures = {
        rouge("Lsum", "en").signature,
        rouge("Lsum", "en", stemmer=True).signature,
        rouge("Lsum", "de").signature,
        rouge("Lsum", "zh").signature,
        rouge("Lsum", "zh", sentences="marks").signature,
        rouge("Lsum", "zh", segmentation="rjieba").signature,
    }
    assert len(signatures) == 6
    assert "rougeLsum|f1|mean:examples|refs:best|units:characters|stemmer:no|sentences:marks|v1" in signatures


def test_words_of_other_scripts_count_where_rouge_score_drops_them() -> None:
    for language, text in (("ru", "Кошка сидит"), ("hi", "नमस्ते दुनिया"), ("fr", "l'été là"), ("ko", "안녕 세상")):
        assert rouge("1", language).compute(rouge_columns([text], [[text]], language)) == 1
    assert units_of("नमस्ते l'été", "hi") == ["नमस्ते", "l", "été"]


def test_settings_that_do_not_fit_the_language_are_refused() -> None:
    with pytest.raises(UsageError, match="cuts English words, not those of 'zh'"):
        rouge("1", "zh", stemmer=True)
    with pytest.raises(UsageError, match="segmentation rjieba cuts Chinese, not 'en'"):
        rouge_columns(["a"], [["a"]], "en", segmentation="rjieba")
    with pytest.raises(DataError, match="the split is empty"):
        rouge_columns([], [], "en")


def test_a_common_subsequence_is_as_long_as_a_table_says_and_stands_in_both() -> None:
    for prediction, reference in pairs(3, CASES, True):
        length = lcs_length(reference, prediction)
        assert length == _table(reference, prediction)
        places = lcs_places(reference, prediction)
        assert len(places) == length
        assert places == sorted(places, reverse=True)
        rest = iter(prediction)
        assert all(reference[place] in rest for place in reversed(places))


def _table(a: str, b: str) -> int:
    row = [0] * (len(b) + 1)
    for x in a:
        above = row
        row = [0]
        for j, y in enumerate(b):
            row.append(above[j] + 1 if x == y else max(above[j + 1], row[j]))
    return row[-1]
