from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wenlu.corpus.record import Drop, Item, Record
from wenlu.corpus.step import Workroom
from wenlu.corpus.steps.language import _SEVERAL_LANGUAGES, STEP, LanguageConfig, language_of

LATIN = {*_SEVERAL_LANGUAGES["Latin"]}


def step(text: str, **settings: object) -> Item:
    return next(STEP.build(LanguageConfig.model_validate(settings), Workroom())([Record(text, "r", {"source": "s"})]))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("今天天气很好，我们去公园散步吧。", "zh"),
        ("今天天氣很好，我們去公園散步吧。", "zh"),
        ("東京は日本の首都です。とても大きい町です。", "ja"),
        ("カタカナダケノブンショウ", "ja"),
        ("서울은 대한민국의 수도입니다.", "ko"),
        ("The quick brown fox jumps over the lazy dog and runs away.", "en"),
        ("Le renard brun saute par-dessus le chien paresseux et s'enfuit.", "fr"),
        ("Der schnelle braune Fuchs springt über den faulen Hund.", "de"),
        ("Съешь же ещё этих мягких французских булок да выпей чаю.", "ru"),
        ("Η Αθήνα είναι η πρωτεύουσα της Ελλάδας.", "el"),
        ("กรุงเทพมหานครเป็นเมืองหลวงของประเทศไทย", "th"),
        ("القاهرة هي عاصمة جمهورية مصر العربية وأكبر مدنها", "ar"),
        ("我们用 Python 和 PyTorch 训练语言模型，效果不错。", "zh"),
        ("这个句子里有一个日文字の，但是它还是中文，没有人会认错它的。", "zh"),
    ],
)
def test_the_language_is_told(text: str, code: str) -> None:
    assert language_of(text) == code


@pytest.mark.parametrize("text", ["", "ok", "123 456 !!!", "短文", "…" * 50])
def test_short_text_is_undetermined(text: str) -> None:
    assert language_of(text) == "und"


@settings(max_examples=100, deadline=None)
@given(st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF), min_size=7, max_size=200))
def test_chinese_characters_alone_are_never_a_latin_language(text: str) -> None:
    assert language_of(text) == "zh"


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=100))
def test_text_without_latin_letters_is_no_latin_language(text: str) -> None:
    text = "".join(
        letter for letter in text if not letter.isascii() and not "À" <= letter <= "ỿ" and not "Ａ" <= letter <= "ｚ"
    )
    assert language_of(text) not in LATIN


def test_the_code_is_written_beside_other_meta() -> None:
    passed = step("今天天气很好，我们去公园散步吧。")
    assert isinstance(passed, Record)
    assert passed.meta == {"source": "s", "language": "zh"}


def test_languages_that_are_not_to_be_kept_are_dropped_by_name() -> None:
    text = "The quick brown fox jumps over the lazy dog and runs away."
    dropped = step(text, keep=["zh", "ja"])
    assert isinstance(dropped, Drop)
    assert (dropped.step, dropped.reason) == ("language", "language en")
    assert isinstance(step(text, keep=["en"]), Record)


def test_short_text_is_kept_where_undetermined_is_listed() -> None:
    assert isinstance(step("ok", keep=["en", "und"]), Record)
    assert isinstance(step("ok", keep=["en"]), Drop)


def test_a_long_text_is_told_from_a_sample_of_it() -> None:
    assert language_of("The rain falls on the town and on the sea. " * 20_000) == "en"
