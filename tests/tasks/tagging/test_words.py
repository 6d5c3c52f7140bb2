"""Words know their characters, whatever the script; what is said of characters becomes one of words, or is reported."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wenlu.errors import DataError
from wenlu.tasks.tagging.schemes import BIOES, Entity, spans, tags_of
from wenlu.tasks.tagging.words import Mention, Words

EXAMPLES = 1000 if os.environ.get("WENLU_PROOF") == "1" else 60
hard = st.text(
    st.one_of(
        st.sampled_from("ab1 猫三，。é\u0301\u200d\ufe0f👩💻👍🏽🇩🇪Ｆ\u3000\nกำ'-\u200b"), st.characters(codec="utf-8")
    ),
    max_size=30,
)
splits = pytest.mark.parametrize("split", [Words.in_text, Words.characters, Words.whole])


def words_of(text: str) -> list[str]:
    words = Words.in_text(text)
    return [words[number] for number in range(len(words))]


def test_words_are_runs_of_letters_signs_and_chinese_characters() -> None:
    assert words_of("It's 5km, O'Brien!") == ["It", "'", "s", "5km", ",", "O", "'", "Brien", "!"]
    assert words_of("北京ABC大学、 Ｆｕｌｌ") == ["北", "京", "ABC", "大", "学", "、", "Ｆｕｌｌ"]
    assert words_of("かな 한국어 привет") == ["か", "な", "한국어", "привет"]


def test_marks_joiners_and_skin_tones_stay_with_their_character() -> None:
    assert words_of("cafe\u0301s 👩\u200d💻🇩🇪👍🏽") == ["cafe\u0301s", "👩\u200d💻", "🇩🇪", "👍🏽"]
    words = Words.characters("e\u0301t 👍🏽")
    assert [words[number] for number in range(len(words))] == ["e\u0301", "t", "👍🏽"]


@splits
@settings(max_examples=EXAMPLES * 3)
@given(text=hard)
def test_between_words_is_nothing_but_whitespace(split: Callable[[str], Words], text: str) -> None:
    words = split(text)
    place = 0
    for start, end in words.spans:
        assert place <= start < end
        assert not text[place:start].strip()
        assert not any(map(str.isspace, text[start:end]))
        place = end
    assert not text[place:].strip()
    assert "".join(words.pieces) == text[:place]


def test_joined_words_have_a_space_between_them_but_none_beside_chinese() -> None:
    assert Words.joined(["U.N.", "official", "Ekeus", "."]) == Words(
        "U.N. official Ekeus .", ((0, 4), (5, 13), (14, 19), (20, 21))
    )
    assert Words.joined(["我们", "住", "，", "iPhone", "手机", "!"]).text == "我们住，iPhone手机!"
    assert Words.joined(["한국", "사람"]).text == "한국 사람"


@settings(max_examples=EXAMPLES)
@given(cut=st.lists(hard.filter(bool), max_size=6))
def test_joined_words_are_where_they_say(cut: list[str]) -> None:
    words = Words.joined(cut)
    assert [words[number] for number in range(len(words))] == cut
    assert "".join(words.pieces) == words.text


@splits
@settings(max_examples=EXAMPLES * 3)
@given(data=st.data(), text=hard)
def test_what_is_found_by_words_comes_back_from_its_characters(
    split: Callable[[str], Words], data: st.DataObject, text: str
) -> None:
    words = split(text)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(words)), max_size=6)))
    entities = tuple(Entity(start, end, "PER") for start, end in zip(cuts[::2], cuts[1::2], strict=False))
    read = spans(tags_of(entities, len(words), BIOES), BIOES)
    mentions = [words.mention(entity) for entity in read]
    placed = words.place(reversed(mentions))
    assert placed.entities == entities
    assert placed.moved == placed.left_out == ()
    for entity, mention in zip(entities, mentions, strict=True):
        found = text[mention.start : mention.end]
        assert found.startswith(words[entity.start])
        assert found.endswith(words[entity.end - 1])


@settings(max_examples=EXAMPLES * 3)
@given(data=st.data(), text=hard.filter(bool))
def test_every_mention_is_placed_moved_or_left_out(data: st.DataObject, text: str) -> None:
    pairs = data.draw(st.lists(st.tuples(st.integers(0, len(text) - 1), st.integers(1, 5)), max_size=5))
    mentions = [Mention(start, min(start + size, len(text)), "X") for start, size in pairs]
    words = Words.in_text(text)
    placed = words.place(mentions)
    exact = [words.mention(entity) for entity in placed.entities]
    for asked, covered in placed.moved:
        exact[exact.index(covered)] = asked
        assert {*range(asked.start, asked.end)} & {*range(covered.start, covered.end)}
    assert sorted([*exact, *placed.left_out]) == sorted(mentions)
    tags_of(placed.entities, len(words), BIOES)


def test_mentions_that_are_not_whole_words_are_reported() -> None:
    words = Words.in_text("run 5km in Paris ")
    placed = words.place([Mention(4, 5, "NUMBER"), Mention(5, 7, "UNIT"), Mention(10, 17, "LOC"), Mention(3, 4, "X")])
    assert placed.entities == (Entity(1, 2, "NUMBER"), Entity(3, 4, "LOC"))
    assert placed.moved == (
        (Mention(4, 5, "NUMBER"), Mention(4, 7, "NUMBER")),
        (Mention(10, 17, "LOC"), Mention(11, 16, "LOC")),
    )
    assert placed.left_out == (Mention(3, 4, "X"), Mention(5, 7, "UNIT"))


def test_of_nested_mentions_the_outer_one_stays() -> None:
    words = Words.in_text("北京大学在北京")
    placed = words.place([Mention(0, 2, "LOC"), Mention(0, 4, "ORG"), Mention(5, 7, "LOC")])
    assert placed.entities == (Entity(0, 4, "ORG"), Entity(5, 7, "LOC"))
    assert placed.left_out == (Mention(0, 2, "LOC"),)


@pytest.mark.parametrize(("start", "end"), [(-1, 2), (3, 3), (4, 2), (2, 9)])
def test_a_mention_outside_its_text_is_refused(start: int, end: int) -> None:
    with pytest.raises(DataError, match=rf"start={start}, end={end}, label='PER'\) is not in its text of 8 characters"):
        Words.in_text("Ada came").place([Mention(start, end, "PER")])


def test_words_that_are_no_text_are_refused() -> None:
    with pytest.raises(DataError, match=r"word 1 of \['a', ''\] is empty"):
        Words.joined(["a", ""])
    with pytest.raises(DataError, match=r"text: half of a surrogate pair"):
        Words.in_text("a\ud83d")
