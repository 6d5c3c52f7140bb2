"""Text as sentences of words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wenlu.corpus.word_sentences import SentenceFile, WordsConfig, sentences

TEXT = "The cat's well-known.\nIt sat, 3 times!\n \nNext: 我们喜欢音乐。"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [["the", "cat's", "well-known", "it", "sat", "3", "times"], ["next", "我们", "喜欢", "音乐"]]),
        (
            {"sentence": "line", "lowercase": False},
            [["The", "cat's", "well-known"], ["It", "sat", "3", "times"], ["Next", "我们", "喜欢", "音乐"]],
        ),
        (
            {"sentence": "document", "segmentation": "spaces", "punctuation": True},
            [["the", "cat's", "well-known.", "it", "sat,", "3", "times!", "next:", "我们喜欢音乐。"]],
        ),
    ],
)
def test_sentences_and_words_are_those_of_the_settings(settings: dict[str, Any], expected: list[list[str]]) -> None:
    assert list(sentences(TEXT, WordsConfig(**settings), longest=100)) == expected


def test_no_word_is_lost_where_a_sentence_is_cut() -> None:
    text = " ".join(f"w{i}" for i in range(25))
    found = list(sentences(text, WordsConfig(), longest=10))
    assert [len(sentence) for sentence in found] == [10, 10, 5]
    assert [word for sentence in found for word in sentence] == text.split()


@given(st.lists(st.text(max_size=20), max_size=5), st.sampled_from(["words", "spaces"]))
def test_a_file_gives_back_the_sentences_of_any_text(
    tmp_path_factory: Any, texts: list[str], segmentation: Any
) -> None:
    config = WordsConfig(segmentation=segmentation, punctuation=True)
    written = [sentence for text in texts for sentence in sentences(text, config, longest=7)]
    file = SentenceFile(tmp_path_factory.mktemp("sentences") / "s.txt")
    assert file.write(written) == (len(written), sum(map(len, written)))
    for _ in range(2):
        assert list(file) == written


def test_the_file_is_utf8(tmp_path: Path) -> None:
    SentenceFile(tmp_path / "s.txt").write([["今天", "很"], ["好"]])
    assert (tmp_path / "s.txt").read_bytes() == "今天 很\n好\n".encode()
