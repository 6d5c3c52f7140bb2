from __future__ import annotations

from pathlib import Path

from wenlu.corpus.record import Record
from wenlu.corpus.sources import SourceSpec, open_source

PAGE = "---\ntitle: Poems\n---\n# Poems\n\nA *quiet* night.\n\n```\n---\n```\n"


def read(tmp_path: Path, text: str, by: str) -> list[tuple[str, str]]:
    path = tmp_path / "page.md"
    path.write_text(text)
    items = open_source(SourceSpec.model_validate({"path": str(path), "by": by}))
    return [(item.id, item.text) for item in items if isinstance(item, Record)]


def test_the_front_matter_is_left_off_and_the_rest_kept(tmp_path: Path) -> None:
    assert read(tmp_path, PAGE, "file") == [("page.md", "# Poems\n\nA *quiet* night.\n\n```\n---\n```")]


def test_a_page_without_front_matter_is_whole(tmp_path: Path) -> None:
    text = "# Rules\n\n---\n\nThe line above is a rule.\n\n---\n"
    assert read(tmp_path, text, "file") == [("page.md", text.strip("\n"))]


def test_an_open_front_matter_is_text(tmp_path: Path) -> None:
    assert read(tmp_path, "---\ntitle: Poems\n", "file") == [("page.md", "---\ntitle: Poems")]


def test_paragraphs_and_lines_are_numbered_as_in_the_file(tmp_path: Path) -> None:
    assert read(tmp_path, PAGE, "paragraph") == [
        ("page.md:4", "# Poems"),
        ("page.md:6", "A *quiet* night."),
        ("page.md:8", "```\n---\n```"),
    ]
    assert [id for id, _ in read(tmp_path, PAGE, "line")] == [f"page.md:{n}" for n in (4, 6, 8, 9, 10)]
