from __future__ import annotations

import pytest

from wenlu.evaluation.verse import first_line, lines_of, verse_columns

QUATRAIN = "白日依山盡，黃河入海流。\n欲窮千里目，更上一層樓。"


def test_lines_end_at_punctuation_and_breaks() -> None:
    assert lines_of(QUATRAIN) == ["白日依山盡", "黃河入海流", "欲窮千里目", "更上一層樓"]
    assert lines_of("  床前 明月光\n\n疑是地上霜！ ") == ["床前明月光", "疑是地上霜"]
    assert lines_of("") == []


@pytest.mark.parametrize(
    ("poem", "line"),
    [
        (QUATRAIN, "白日依山盡，"),
        ("\n春眠不覺曉。處處聞啼鳥", "春眠不覺曉。"),
        ("只有一行", None),
        ("只有一行。", None),
        ("", None),
    ],
)
def test_the_first_line_keeps_its_punctuation(poem: str, line: str | None) -> None:
    assert first_line(poem) == line


def test_a_poem_is_valid_by_its_number_of_lines_and_by_their_length() -> None:
    poems = [QUATRAIN, QUATRAIN + "一二三四五。", "白日依山盡，黃河入海。欲窮千里目，更上一層樓。", ""]
    columns = verse_columns(poems, line_counts=(4, 8))
    assert columns["line_count_valid"].tolist() == [1, 0, 1, 0]
    assert columns["line_length_valid"].tolist() == [1, 1, 0, 0]
