"""Each rule of Gopher and C4 with a text made to break it, and one beside that does not."""

from __future__ import annotations

import pytest

from wenlu.corpus.record import Drop, Item, Record
from wenlu.corpus.step import Workroom
from wenlu.corpus.steps import c4, quality, repetition
from wenlu.corpus.steps.c4 import C4Config
from wenlu.corpus.steps.quality import QualityConfig
from wenlu.corpus.steps.repetition import RepetitionConfig, duplicate_ngram_characters, top_ngram_characters

FIFTY = "the cat of my friend sat down with " * 6 + "some old"  # 8 words x 6 + 2


def judge(text: str, language: str = "", **settings: object) -> str | None:
    return quality.fault(text, QualityConfig.model_validate(settings), language)


def test_fifty_words_are_enough_and_forty_nine_are_not() -> None:
    assert len(FIFTY.split()) == 50
    assert judge(FIFTY) is None
    assert judge(FIFTY.rsplit(" ", 1)[0]) == "too few words"


def test_too_many_words() -> None:
    assert judge(FIFTY, max_words=49) == "too many words"
    assert judge(FIFTY, max_words=50) is None


def test_mean_word_length_lies_between_three_and_ten() -> None:
    assert judge("of to " + "ab " * 60) == "mean word length"
    assert judge("of with " + "abcdefghijklmno " * 60) == "mean word length"


def test_more_than_a_tenth_of_hashes_or_ellipses_is_too_much() -> None:
    assert judge(FIFTY + " #" * 5) is None
    assert judge(FIFTY + "#" * 6) == "too many symbols"
    assert judge(FIFTY + "... x" * 6) == "too many symbols"
    assert judge(FIFTY + "#####") is None


def test_more_than_nine_tenths_of_bullet_lines() -> None:
    line = "the friend sat with another friend of theirs"
    bullets = "\n".join([f"- {line}"] * 9)
    assert judge(f"{bullets}\n{line}") is None
    assert judge(f"{bullets}\n- {line}\n• {line}") == "mostly bullet points"


def test_more_than_three_tenths_of_lines_that_end_in_an_ellipsis() -> None:
    line = "the cat and the dog sat with friends of theirs in shade"
    assert judge("\n".join([f"{line}…"] * 3 + [line] * 7)) is None
    assert judge("\n".join([f"{line}…"] * 4 + [line] * 6)) == "lines end in ellipses"


def test_less_than_eight_tenths_of_words_with_a_letter() -> None:
    assert judge("the friend with " + "word " * 77 + "1234 " * 20) is None
    assert judge("the friend with " + "word " * 76 + "1234 " * 21) == "too few words with letters"


def test_two_different_stop_words_are_needed() -> None:
    assert judge("The " * 2 + "house " * 60) == "too few stop words"
    assert judge("The of " + "house " * 60) is None


def test_stop_words_are_asked_of_english_only() -> None:
    text = "maison " * 60
    assert judge(text, "fr") is None
    assert judge(text, "en") == judge(text) == "too few stop words"


CHINESE = "我们昨天去了山里的老房子，在那里看见很多有趣的书和画，天气不太好。"


def test_a_chinese_character_counts_as_half_a_word() -> None:
    characters = len(quality.counted_words(CHINESE)[0])
    assert characters == 30
    assert judge(CHINESE, min_words=15) is None
    assert judge(CHINESE, min_words=16) == "too few words"


def test_chinese_needs_two_of_its_own_stop_words() -> None:
    assert judge("春眠觉晓处处闻啼鸟夜来风雨声花落知多少" * 6) == "too few stop words"
    assert judge("春眠觉晓处处闻啼鸟夜来风雨声的花落知多少了" * 6) is None


def test_letters_are_counted_in_chinese_too() -> None:
    assert judge("的了" * 50 + "，12，34，56，78" * 10) == "too few words with letters"
    assert judge("的了" * 80 + "，12，34，56，78" * 10) is None


def repeats(text: str, **settings: object) -> str | None:
    return repetition.fault(text, RepetitionConfig.model_validate(settings))


OFF = {
    "duplicate_lines": 1, "duplicate_line_characters": 1,
    "duplicate_paragraphs": 1, "duplicate_paragraph_characters": 1,
    "top_ngram_characters": (1, 1, 1), "duplicate_ngram_characters": (1,) * 6,
}  # fmt: skip


def test_more_than_three_tenths_of_lines_that_stood_before() -> None:
    lines = [f"x{i}" for i in range(7)]
    only = {**OFF, "duplicate_lines": 0.30}
    assert repeats("\n".join([*lines, "x0", "x1", "x2"]), **only) is None
    assert repeats("\n".join([*lines[1:], "x1", "x2", "x3"]), **only) == "repeated lines"


def test_more_than_a_fifth_of_characters_in_repeated_lines() -> None:
    only = {**OFF, "duplicate_line_characters": 0.20}
    assert repeats("aaaa\naaaa\n" + "b" * 12, **only) is None
    assert repeats("aaaa\naaaa\n" + "b" * 11, **only) == "repeated lines"


def test_more_than_three_tenths_of_paragraphs_that_stood_before() -> None:
    only = {**OFF, "duplicate_paragraphs": 0.30}
    assert repeats("a\n\na\n\nb\n\nc", **only) is None
    assert repeats("a\n\na\n\nb", **only) == "repeated paragraphs"


def test_more_than_a_fifth_of_characters_in_repeated_paragraphs() -> None:
    only = {**OFF, "duplicate_paragraph_characters": 0.20}
    assert repeats("aa\na\n\naa\na\n\n" + "b" * 12, **only) is None
    assert repeats("aa\na\n\naa\na\n\n" + "b" * 11, **only) == "repeated paragraphs"


def test_characters_of_the_commonest_ngram() -> None:
    assert top_ngram_characters(["ab", "cd", "ab", "cd", "x"], 2) == 8
    assert top_ngram_characters(["ab", "cd", "ab", "cde"], 2) == 0
    assert top_ngram_characters(["a"], 2) == 0


def test_overlapping_repeated_ngrams_are_counted_once() -> None:
    words = list("abcdef")
    assert duplicate_ngram_characters(words + words, 5) == 6
    assert duplicate_ngram_characters([*words, "x", *words[:5]], 5) == 5
    assert duplicate_ngram_characters(words, 5) == 0
    assert duplicate_ngram_characters(["a"] * 7, 5) == 6


@pytest.mark.parametrize(("n", "most"), list(zip((2, 3, 4), RepetitionConfig().top_ngram_characters, strict=True)))
def test_the_commonest_ngram_is_bounded_as_published(n: int, most: float) -> None:
    published = {2: 0.20, 3: 0.18, 4: 0.16}
    assert most == published[n]
    ngram = " ".join("w" * 5 for _ in range(n - 1)) + " v" * 1
    filler = [f"{i:05d}" for i in range(200)]
    share = 2 * len(ngram.replace(" ", ""))
    only = {**OFF, "top_ngram_characters": tuple(most if k == n else 1 for k in (2, 3, 4))}
    words = int(share / most / 5) - int(share / 5)
    assert repeats(f"{ngram} {' '.join(filler[: words - 3])} {ngram}", **only) == f"commonest {n}-gram"
    assert repeats(f"{ngram} {' '.join(filler[: words + 3])} {ngram}", **only) is None


@pytest.mark.parametrize(
    ("n", "most"), list(zip(range(5, 11), RepetitionConfig().duplicate_ngram_characters, strict=True))
)
def test_repeated_ngrams_are_bounded_as_published(n: int, most: float) -> None:
    assert most == {5: 0.15, 6: 0.14, 7: 0.13, 8: 0.12, 9: 0.11, 10: 0.10}[n]
    part = [f"r{i:04d}" for i in range(n)]
    only = {**OFF, "duplicate_ngram_characters": tuple(most if k == n else 1 for k in range(5, 11))}
    total = int(n / most)  # words of 5 characters, of which n are repeated

    def text(words: int) -> str:
        return " ".join([*part, *(f"{i:05d}" for i in range(words - 2 * n)), *part])

    assert repeats(text(total), **only) == f"repeated {n}-grams" or n / total == most
    assert repeats(text(total + 1), **only) is None
    assert repeats(text(total - 1), **only) == f"repeated {n}-grams"


def test_chinese_ngrams_have_two_characters_for_each_word() -> None:
    text = "天地玄黄宇宙洪荒日月盈昃辰宿列张寒来暑往秋收冬藏"
    only = {**OFF, "duplicate_ngram_characters": (0.0, *(1,) * 5)}
    assert repeats(text + text[:9], **only) is None
    assert repeats(text + text[:10], **only) == "repeated 5-grams"


def page(text: str, **settings: object) -> Item:
    return next(c4.STEP.build(C4Config.model_validate(settings), Workroom())([Record(text, "p")]))


SENTENCES = [
    "This is the first line.",
    "And here is another!",
    "Is that really so?",
    'He said "yes indeed."',
    "Now we stop.",
]


def test_lines_that_are_no_sentences_go_and_the_others_stay() -> None:
    noise = [
        "Home | About | Contact",
        "Too short.",
        "Enable JavaScript to see this page.",
        "Read our privacy policy here.",
    ]
    passed = page("\n".join([noise[0], *SENTENCES, *noise[1:], "It goes on and on..."]))
    assert passed == Record("\n".join(SENTENCES), "p")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("\n".join(SENTENCES[:4]), "too few sentences"),
        ("\n".join([*SENTENCES, "Lorem Ipsum dolor sit amet."]), "lorem ipsum"),
        ("\n".join([*SENTENCES, "if (x) { y }"]), "curly bracket"),
        ("Home | About", "no line of prose"),
    ],
)
def test_pages_are_dropped_for_a_reason(text: str, reason: str) -> None:
    dropped = page(text)
    assert isinstance(dropped, Drop)
    assert (dropped.step, dropped.reason) == ("c4", reason)


def test_code_stays_where_the_settings_say_so() -> None:
    assert isinstance(page("\n".join([*SENTENCES, "if (x) { y }"]), curly_brackets=False), Record)


def test_chinese_sentences_are_sentences() -> None:
    text = "今天天气很好。\n我们去公园吧！\n你觉得怎么样？\n他说：“我也想去。”\n那就一起走吧。\n首页 关于我们"
    passed = page(text)
    assert isinstance(passed, Record)
    assert passed.text == text.rsplit("\n", 1)[0]


def test_cleaning_a_page_twice_changes_nothing() -> None:
    once = page("\n".join([*SENTENCES, "menu"]))
    assert isinstance(once, Record)
    assert page(once.text) == once
