"""Tokens per character, word and byte, unknown tokens, and texts that do not come back: counted by hand."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wenlu.tokenizers import TokenizerConfig, count_words, fertility, train_tokenizer, words


def test_a_report_counted_by_hand() -> None:
    tokenizer = train_tokenizer(TokenizerConfig(kind="char", vocab_size="auto", min_frequency=1), ["ab 猫"])
    report = fertility(tokenizer, {"en": ["ab a", "bbb", "ab c"], "zh": iter(["猫猫"]), "none": []})
    english, chinese, none = report.languages
    assert (english.texts, english.characters, english.words, english.bytes, english.tokens) == (3, 11, 5, 11, 11)
    assert (english.unknown, english.failures) == (1, 1)
    assert english.rates == pytest.approx(
        {
            "tokens_per_character": 1.0,
            "tokens_per_word": 2.2,
            "tokens_per_byte": 1.0,
            "bytes_per_token": 1.0,
            "unknown_rate": 1 / 11,
            "failure_rate": 1 / 3,
        }
    )
    (example,) = english.examples
    assert (example.text, example.character, example.expected, example.decoded) == (2, 3, "ab c", "ab ")
    assert (chinese.characters, chinese.words, chinese.bytes, chinese.failures) == (2, 2, 6, 0)
    assert chinese.rates["bytes_per_token"] == 3.0
    assert none.rates["tokens_per_word"] == 0.0


def test_the_report_is_plain_json() -> None:
    tokenizer = train_tokenizer(TokenizerConfig(kind="char", vocab_size="auto", min_frequency=1), ["ab"])
    report = fertility(tokenizer, {"en": ["abc"]}).to_json()
    assert report["vocab_size"] == 5
    (row,) = report["languages"]
    assert row["language"] == "en"
    assert row["tokens_per_byte"] == 1.0
    assert row["examples"] == ({"text": 0, "character": 2, "expected": "abc", "decoded": "ab"},)


def test_many_failures_are_all_counted_and_five_are_shown() -> None:
    tokenizer = train_tokenizer(TokenizerConfig(kind="char", vocab_size="auto", min_frequency=1), ["a"])
    (row,) = fertility(tokenizer, {"en": ["b"] * 700}).languages
    assert (row.failures, len(row.examples), row.unknown) == (700, 5, 700)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", 0),
        (" \n", 0),
        ("two words", 2),
        ("三只猫", 3),
        ("我有 3 cats，真的", 6),
        ("a\u3000b", 2),
        ("don't stop.", 2),
    ],
)
def test_words_are_counted_between_spaces_and_by_chinese_characters(text: str, words: int) -> None:
    assert count_words(text) == words
    assert count_words((text + " ") * 300_000) == 300_000 * words


@given(text=st.text(st.sampled_from("ab三只猫々\U00020000，. \n\u3000\x1c\x85\u200b")), at_once=st.integers(1, 5))
def test_words_of_long_texts_are_counted_once(text: str, at_once: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(words, "_AT_ONCE", at_once)
        assert count_words(text) == len(re.findall(rf"[{words.HAN}]|[^\s{words.HAN}]+", text))
