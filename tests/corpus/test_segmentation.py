"""Sentences and words, in English and Chinese, and the steps for models that count words."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wenlu.corpus.record import Drop, Item, Record
from wenlu.corpus.step import Workroom
from wenlu.corpus.steps import read_step, step_kind
from wenlu.corpus.steps.sentences import sentences_of
from wenlu.corpus.steps.strip_punctuation import StripPunctuationConfig, stripped
from wenlu.corpus.steps.words import words_of
from wenlu.errors import DataError


def step(name: str, text: str, meta: dict[str, str] | None = None, **settings: object) -> list[Item]:
    built = step_kind(name).build(read_step({"step": name, **settings}), Workroom())
    return list(built([Record(text, "r", meta or {})]))


def text_of(name: str, text: str, meta: dict[str, str] | None = None, **settings: object) -> str:
    (item,) = step(name, text, meta, **settings)
    assert isinstance(item, Record), item
    return item.text


@pytest.mark.parametrize(
    "sentences",
    [
        ["Dr. Smith paid $3.50 to J. K. Rowling.", "He left!", "Did he?", "Yes."],
        ['He said "Stop!" and left.', "(See Fig. 2.)", "Next one."],
        ["I live in the U.S.", "It is big.", "The U.S. Army came at 5 p.m. today."],
        ["Version 3.11 is out... wait.", "OK."],
        ["“What?” she asked.", "“Nothing.”"],
        ["e.g. this one.", "Compare Eq. 3 with no. 7, cf. Sec. 2.", "Done."],
        ["1. Item one.", "2. Item two."],
        ["What?!", "No way!!!", "Yes…", "Perhaps."],
    ],
)
def test_english_sentences_are_found(sentences: list[str]) -> None:
    assert sentences_of(" ".join(sentences)) == sentences


@pytest.mark.parametrize(
    "sentences",
    [
        ["今天天气很好。", "我们去公园吧！", "真的吗？！", "是的……真的。"],
        ["“你好！”他说。", "“再见。”", "她走了。"],
        ["他问：“你去哪儿？”", "我没有回答。"],
        ["价格是3.5元。", "版本2.0发布了！"],
        ["（完。）", "下一章。"],
    ],
)
def test_chinese_sentences_are_found_without_spaces(sentences: list[str]) -> None:
    assert sentences_of("".join(sentences)) == sentences


def test_wrapped_lines_are_joined_and_headings_are_not() -> None:
    assert sentences_of("A title\nThis line\nis wrapped. Next\n\nnew paragraph") == [
        "A title",
        "This line is wrapped.",
        "Next",
        "new paragraph",
    ]


def test_sentences_become_lines_or_records() -> None:
    assert text_of("sentences", "One here. Two here.") == "One here.\nTwo here."
    assert step("sentences", "One here. Two here.", {"a": "b"}, into="records") == [
        Record("One here.", "r#1", {"a": "b", "document": "r"}),
        Record("Two here.", "r#2", {"a": "b", "document": "r"}),
    ]


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from('aB 中。！？.!?…"”“1\n、，'), max_size=60))
def test_sentences_lose_nothing_but_white_space(text: str) -> None:
    assert "".join("".join(sentences_of(text)).split()) == "".join(text.split())


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from('aB 中。！？.!?…"”“1\n、，'), max_size=60))
def test_a_sentence_of_a_sentence_is_itself_a_part_of_it(text: str) -> None:
    for sentence in sentences_of(text):
        assert "".join(sentences_of(sentence)).replace(" ", "") == sentence.replace(" ", "")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("我爱北京天安门，今天是2024年。", ["我", "爱", "北京", "天安门", "，", "今天", "是", "2024", "年", "。"]),
        ("Don't stop-the rock! It's 3.14…", ["Don't", "stop-the", "rock", "!", "It's", "3.14", "…"]),
        ("mixed文本with中文", ["mixed", "文本", "with", "中文"]),
        ("naïve 1,000.5 C'est", ["naïve", "1,000.5", "C'est"]),
        ("", []),
    ],
)
def test_words_are_cut(text: str, words: list[str]) -> None:
    assert words_of(text) == words


def test_words_step_keeps_lines_and_can_leave_punctuation_out() -> None:
    assert text_of("words", "你好，世界！\nHello, world!") == "你好 ， 世界 ！\nHello , world !"
    assert text_of("words", "你好，世界！\nHello, world!", punctuation=False) == "你好 世界\nHello world"


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60))
def test_cutting_words_loses_nothing_but_white_space(text: str) -> None:
    assert "".join(words_of(text)) == "".join(text.split())


@pytest.mark.parametrize(
    ("settings_", "after"),
    [
        ({}, "Hello world it s 5 退款"),
        ({"keep": "'"}, "Hello world it's 5 退款"),
        ({"symbols": False}, "Hello world it s $ 5 退款 😀"),
        ({"digits": True}, "Hello world it s 退款"),
    ],
)
def test_punctuation_and_symbols_are_stripped(settings_: dict[str, object], after: str) -> None:
    assert stripped("Hello, world — it's $ 5！【退款】😀", StripPunctuationConfig.model_validate(settings_)) == after


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60), st.booleans(), st.booleans())
def test_stripping_twice_changes_nothing(text: str, symbols: bool, digits: bool) -> None:
    config = StripPunctuationConfig(symbols=symbols, digits=digits)
    once = stripped(text, config)
    assert stripped(once, config) == once


def test_text_of_only_punctuation_is_dropped() -> None:
    assert step("strip-punctuation", "。。。!") == [
        Drop(Record("。。。!", "r"), "strip-punctuation", "only punctuation")
    ]


def test_words_are_stemmed_in_the_given_or_the_records_language() -> None:
    assert text_of("stem", "The Cats are running, happily!", language="en") == "the cat are run, happili!"
    assert text_of("stem", "les maisons blanches", {"language": "fr"}) == "le maison blanch"
    assert text_of("stem", "Running", {"language": "zh"}) == "Running"
    assert text_of("stem", "Running") == "Running"


def test_stop_words_go_in_any_case_and_with_punctuation() -> None:
    assert text_of("stop-words", "The cat, and THE dog.", language="en") == "cat, dog."
    assert text_of("stop-words", "cat Foo\nthe", language="en", extra=["foo"]) == "cat"
    assert text_of("stop-words", "我们 的 公园 很 漂亮", {"language": "zh"}) == "公园 漂亮"


def test_a_text_of_only_stop_words_is_dropped() -> None:
    (dropped,) = step("stop-words", "the and of", language="en")
    assert isinstance(dropped, Drop)
    assert dropped.reason == "only stop words"


def test_chinese_that_is_not_cut_is_refused_with_what_to_do() -> None:
    text = "我们在公园里看见了很多人和很多树还有很多花和很多鸟它们都很好看"
    with pytest.raises(
        DataError, match=r'r: Chinese text without spaces between words: 我们在公.*put the step "words" before'
    ):
        step("stop-words", text, language="zh")


@pytest.mark.parametrize(
    ("text", "settings_", "reason"),
    [
        ("  ab  ", {"min_characters": 3}, "too short"),
        ("  abc  ", {"min_characters": 3, "max_characters": 3}, None),
        ("abcd", {"max_characters": 3}, "too long"),
        ("", {}, "too short"),
        ("天地", {"min_characters": 2}, None),
    ],
)
def test_length_bounds_are_inside(text: str, settings_: dict[str, object], reason: str | None) -> None:
    (item,) = step("length", text, **settings_)
    assert (item.reason if isinstance(item, Drop) else None) == reason


@pytest.mark.parametrize(
    ("one", "other", "ignore", "equal"),
    [
        ("Hello  World", "hello\nworld ", ["case", "white space"], True),
        ("Hello World", "hello world", ["white space"], False),
        ("Hello  World", "Hello World", ["case"], False),
        ("Hello, World!", "hello world", ["case", "white space", "punctuation"], True),
        ("e\u0301", "é", [], True),
        ("Straße", "STRASSE", ["case"], True),
    ],
)
def test_exact_duplicates_differ_only_in_what_is_ignored(one: str, other: str, ignore: list[str], equal: bool) -> None:
    built = step_kind("exact-dedup").build(read_step({"step": "exact-dedup", "ignore": ignore}), Workroom())
    first, second = built([Record(one, "1"), Record(other, "2")])
    assert first == Record(one, "1")
    assert second == (Drop(Record(other, "2"), "exact-dedup", "duplicate") if equal else Record(other, "2"))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.sampled_from(["a", "A", "b ", " b", "c"]), max_size=12))
def test_deduplicating_twice_drops_nothing_more(texts: list[str]) -> None:
    built = step_kind("exact-dedup").build(read_step("exact-dedup"), Workroom())
    kept = [item for item in built(Record(text, str(i)) for i, text in enumerate(texts)) if isinstance(item, Record)]
    assert list(built(kept)) == kept
    assert len(kept) == len({text.strip().lower() for text in texts})
