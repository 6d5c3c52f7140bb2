"""Markdown as it comes: whatever the pieces, what stands in the end is the whole text's."""

from __future__ import annotations

import io
import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from wenlu.cli import chat_markdown
from wenlu.cli.chat_markdown import MarkdownStream, complete_until

ANSWER = """# 标题

床前明月光，
疑是地上霜。

- one
- two

1. first

   more of it

2. second

```python
x = 1

y = 2
```

| a | b |
|---|---|
| 甲 | 乙 |

End **bold**, `code`, [a link](https://example.org)"""


def console(*, is_terminal: bool = False, width: int = 30, height: int = 8) -> Console:
    return Console(
        file=io.StringIO(),
        force_terminal=is_terminal,
        width=width,
        height=height,
        color_system=None,
        legacy_windows=False,
        _environ={"TERM": "xterm"},
    )


def shown(screen: Console, pieces: list[str]) -> str:
    """What is written; a screen that is no terminal shows no growing end."""
    stream = MarkdownStream(screen)
    for piece in pieces:
        stream.push(piece)
    stream.finish()
    assert isinstance(screen.file, io.StringIO)
    return screen.file.getvalue()


@pytest.fixture(scope="module")
def whole() -> str:
    return shown(console(), [ANSWER])


@given(cuts=st.sets(st.integers(0, len(ANSWER)), max_size=12))
@settings(max_examples=20)
def test_how_an_answer_is_cut_into_pieces_changes_nothing(whole: str, cuts: set[int]) -> None:
    places = [0, *sorted(cuts), len(ANSWER)]
    assert shown(console(), [ANSWER[begin:end] for begin, end in pairwise(places)]) == whole


def test_an_answer_may_come_letter_by_letter(whole: str) -> None:
    assert shown(console(), list(ANSWER)) == whole


def test_lines_end_where_the_model_ended_them_and_code_keeps_its_blank_lines() -> None:
    lines = [line.rstrip() for line in shown(console(), [ANSWER]).splitlines()]
    assert "床前明月光，" in lines
    assert "疑是地上霜。" in lines
    code = lines.index(" x = 1")
    assert lines[code : code + 3] == [" x = 1", "", " y = 2"]
    assert lines[-1] == "End bold, code, a link"[: len(lines[-1])] or "(https://example.org)" in lines[-1]


def test_no_line_is_wider_than_the_terminal_in_chinese_either() -> None:
    for line in shown(console(width=20), ["今天天气很好，我们一起去公园看花吧，好不好？" * 3]).splitlines():
        assert sum(2 if ord(letter) > 0x2E7F else 1 for letter in line.rstrip()) <= 20


def test_a_model_can_neither_make_links_nor_steer_the_terminal() -> None:
    out = shown(console(is_terminal=True), ["[click](https://example.org) <b>raw</b>"])
    assert "\x1b]8" not in out


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\nb", ""),
        ("a\n\n", ""),
        ("a\n\nb", "a\n\n"),
        ("- a\n\n  still a", ""),
        ("```\nx\n\ny", ""),
        ("```\nx\n\ny\n```\n\nz", "```\nx\n\ny\n```\n\n"),
        ("a\n\nb\n\nc", "a\n\n"),
        ("````\n```\n\nz", ""),
        ("~~~\n```\n\nz", ""),
        ("a\n\n```\nx\n\ny", "a\n\n"),
        ("\n\na", "\n\n"),
    ],
)
def test_what_is_complete_ends_at_a_blank_line_behind_which_something_new_begins(text: str, expected: str) -> None:
    assert text[: complete_until(text)] == expected


def test_only_what_grows_is_drawn_again_and_never_more_than_the_terminal_holds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(chat_markdown, "DRAWN_SECONDS", 0.0)
    text = "first paragraph\n\n" + "".join(f"line {n}\n" for n in range(20))
    out = shown(console(is_terminal=True, height=8), list(text))
    behind = out.rindex("first paragraph")
    assert behind < out.index("line 0")  # from then on it stands
    ups = [sum(int(count or 1) for count in re.findall(r"\x1b\[(\d*)A", part)) for part in out.split("line")]
    assert max(ups) <= 8
    final = out[out.rindex("\x1b[2K") :]
    assert all(f"line {n}" in final for n in range(20))
