from __future__ import annotations

from email.message import EmailMessage
from pathlib import Path

import pytest

from wenlu.corpus.record import Record
from wenlu.corpus.sources import SourceSpec, open_source
from wenlu.errors import DataError


def read(folder: Path, data: bytes, **settings: object) -> str:
    path = folder / "a.eml"
    path.write_bytes(data)
    (item,) = open_source(SourceSpec.model_validate({"path": str(path), **settings}))
    assert isinstance(item, Record)
    return item.text


def written(text: str, **headers: str) -> EmailMessage:
    message = EmailMessage()
    for name, value in headers.items():
        message[name] = value
    message.set_content(text)
    return message


def test_who_wrote_the_subject_and_the_body_are_read_and_the_way_it_took_is_not(tmp_path: Path) -> None:
    message = written("See you at noon.\n", From="Ann <ann@a.example>", Subject="Lunch", Received="from b by c")
    assert read(tmp_path, message.as_bytes()) == "From: Ann <ann@a.example>\nSubject: Lunch\n\nSee you at noon."


@pytest.mark.parametrize("charset", ["utf-8", "gb18030"])
def test_chinese_is_read_in_the_charset_that_the_mail_names(tmp_path: Path, charset: str) -> None:
    message = EmailMessage()
    message["Subject"] = "会议改到明天"
    message.set_content("请各位准时参加。\n", charset=charset)
    assert read(tmp_path, message.as_bytes()) == "Subject: 会议改到明天\n\n请各位准时参加。"


def test_of_alternatives_the_plain_one_is_read(tmp_path: Path) -> None:
    message = written("plain words\n", Subject="s")
    message.add_alternative("<p>marked words</p>", subtype="html")
    assert read(tmp_path, message.as_bytes()) == "Subject: s\n\nplain words"


def test_html_alone_is_read_as_a_person_sees_it(tmp_path: Path) -> None:
    message = EmailMessage()
    message["Subject"] = "s"
    page = "<!-- x --><html><head><style>p{}</style></head><body><p>One &amp; two<br>three</p><script>no()</script>"
    message.set_content(page, subtype="html")
    assert read(tmp_path, message.as_bytes()) == "Subject: s\n\nOne & two\nthree"


def test_attachments_are_left_out(tmp_path: Path) -> None:
    message = written("the letter\n", Subject="s")
    message.add_attachment("secret table", filename="table.txt")
    assert "secret" not in read(tmp_path, message.as_bytes())


def test_malformed_mails_are_read_as_far_as_they_go(tmp_path: Path) -> None:
    data = b"Subject: =?utf-8?b?!!!?=\nContent-Type: text/plain; charset=nonsense\n\nAndr\xe9 \x00here"
    text = read(tmp_path, data)
    assert text.startswith("Subject: ")
    assert text.endswith("Andr\ufffd here")


def test_without_a_charset_the_source_says_how_bytes_are_read(tmp_path: Path) -> None:
    assert read(tmp_path, b"Subject: s\n\nAndr\xe9", encoding="latin-1").endswith("André")


def test_a_mail_without_words_is_dropped(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no text in the mail \(1\)"):
        read(tmp_path, b"Received: from b by c\n\n")
