"""WER and CER are jiwer's, and Chinese is counted by character."""

from __future__ import annotations

import jiwer
import pytest
from tests.metrics.texts import CASES, pairs

from wenlu.errors import DataError, UsageError
from wenlu.metrics import cer, cer_columns, error_rate, error_rate_columns, wer, wer_columns
from wenlu.metrics.edit_distance import edit_distance


@pytest.mark.parametrize("size", [1, 5])
def test_word_error_rate_is_jiwers(size: int) -> None:
    examples = pairs(1, CASES * size, False)
    for start in range(0, len(examples), size):
        predictions, references = (list(texts) for texts in zip(*examples[start : start + size], strict=True))
        if any(map(str.strip, references)):
            found = wer("en").compute(wer_columns(predictions, references, "en"))
            assert found == jiwer.wer(references, predictions)


@pytest.mark.parametrize("size", [1, 5])
@pytest.mark.parametrize("chinese", [False, True])
def test_character_error_rate_is_jiwers(size: int, chinese: bool) -> None:
    examples = pairs(2, CASES * size, chinese)
    for start in range(0, len(examples), size):
        predictions, references = (list(texts) for texts in zip(*examples[start : start + size], strict=True))
        if any(map(str.strip, references)):
            found = cer("zh" if chinese else "en").compute(
                cer_columns(predictions, references, "zh" if chinese else "en")
            )
            if chinese:  # spaces say nothing there
                predictions, references = (
                    ["".join(text.split()) for text in texts] for texts in (predictions, references)
                )
            assert found == jiwer.cer(references, predictions)


def test_one_wrong_character_of_six_is_a_sixth_and_no_word_error_rate_is_taken() -> None:
    assert jiwer.wer("今天天气很好", "今天天气不好") == 1  # the trap
    found = error_rate("zh").compute(error_rate_columns(["今天天气不好"], ["今天天气很好"], "zh"))
    assert found == pytest.approx(1 / 6)
    with pytest.raises(UsageError, match="'zh' puts no space between them; use CER"):
        wer("zh")


@pytest.mark.parametrize(
    ("language", "name"), [("zh", "cer"), ("ja", "cer"), ("th", "cer"), ("en", "wer"), ("ko", "wer")]
)
def test_the_language_chooses_the_error_rate(language: str, name: str) -> None:
    assert error_rate(language).name == name
    assert error_rate(language).needs == tuple(error_rate_columns(["一"], ["一"], language))


def test_spaces_count_in_english_and_not_in_chinese() -> None:
    assert cer("en").compute(cer_columns(["ab"], ["a b"], "en")) == pytest.approx(1 / 3)
    assert cer("zh").compute(cer_columns(["今天 好"], ["今 天好"], "zh")) == 0
    assert "|spaces:counted|" in cer("en").signature
    assert "|spaces:removed|" in cer("zh").signature


def test_references_without_words_are_an_error() -> None:
    with pytest.raises(DataError, match="no reference_words to divide word_edits by: the texts are empty"):
        wer("en").compute(wer_columns(["a b"], [" "], "en"))


def test_edit_distance_is_that_of_a_table_also_over_64_long() -> None:
    for prediction, reference in pairs(3, CASES, True):
        assert edit_distance(reference, prediction) == _table(reference, prediction)
        assert edit_distance(reference * 9, prediction * 8) == _table(reference * 9, prediction * 8)


def _table(a: str, b: str) -> int:
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, start=1):
        above = row
        row = [i]
        for j, y in enumerate(b):
            row.append(min(above[j] + (x != y), above[j + 1] + 1, row[j] + 1))
    return row[-1]
