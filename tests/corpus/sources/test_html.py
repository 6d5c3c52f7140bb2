from __future__ import annotations

from pathlib import Path

import pytest

from wenlu.corpus.record import Record
from wenlu.corpus.sources import SourceSpec, open_source
from wenlu.errors import DataError

ARTICLE = (
    "The river rises in the hills above the town and reaches the sea after forty miles. "
    "It has been used for trade since the middle ages, and its mills are still standing."
)


def read(path: Path, **settings: object) -> Record:
    (item,) = open_source(SourceSpec.model_validate({"path": str(path), **settings}))
    assert isinstance(item, Record)
    return item


def page(head: str, body: str) -> str:
    return f"<!doctype html><html><head>{head}<title>t</title></head><body>{body}</body></html>"


def test_the_main_text_is_kept_and_menus_are_not(tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    menu = "<nav><a href='/'>Home</a><a href='/shop'>Our shop</a></nav><footer>All rights reserved</footer>"
    path.write_text(page("", f"{menu}<article><h1>The river</h1><p>{ARTICLE}</p><p>{ARTICLE[::-1]}</p></article>"))
    record = read(path)
    assert ARTICLE in record.text
    assert "Our shop" not in record.text


def test_a_page_of_few_words_gives_all_of_them(tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    path.write_text(page("", "<form><label>Name</label><input></form>"))
    assert read(path).text == "Name"


def test_a_page_without_text_is_dropped(tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    path.write_text(page("", "<script>let a = 1;</script><footer>All rights reserved</footer>"))
    with pytest.raises(DataError, match=r"a\.html: holds no text; .* no text in the page \(1\)"):
        read(path)


@pytest.mark.parametrize(
    ("declaration", "encoding"),
    [
        ('<meta charset="gb2312">', "gb18030"),
        ('<meta http-equiv="Content-Type" content="text/html; charset=big5">', "big5"),
        ("", "utf-8"),
        ("", "utf-16"),
    ],
)
def test_the_encoding_is_what_the_page_declares(tmp_path: Path, declaration: str, encoding: str) -> None:
    path = tmp_path / "a.html"
    path.write_bytes(page(declaration, f"<p>{'床前明月光，疑是地上霜。' * 20}</p>").encode(encoding))
    assert "床前明月光" in read(path).text


def test_a_page_without_declaration_has_the_encoding_of_the_settings(tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    path.write_bytes(page("", f"<p>{'床前明月光，' * 20}</p>").encode("gb18030"))
    with pytest.raises(DataError, match=r'a\.html, line 1, byte \d+: 0xB4 is not utf-8; try encoding = "gb18030"'):
        read(path)
    assert "床前明月光" in read(path, encoding="gb18030").text


def test_an_encoding_that_does_not_exist_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    path.write_text(page('<meta charset="utf-9">', "text"))
    with pytest.raises(
        DataError, match=r"a\.html: declares the encoding 'utf-9', which does not exist; correct its head"
    ):
        read(path)
