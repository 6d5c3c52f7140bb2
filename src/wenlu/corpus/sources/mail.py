"""Mails: a message a file (RFC 5322 with MIME); its text is who wrote it, its subject, and what a person reads of it.

Of alternatives the plain text is taken, else the text of the HTML; attachments are left out. Standard library's email,
and lxml for HTML.
"""

from __future__ import annotations

from collections.abc import Iterator
from email import message_from_bytes, policy
from email.header import decode_header
from email.message import Message

from wenlu.corpus.reading import open_bytes
from wenlu.corpus.record import Drop, Record
from wenlu.corpus.source import FileKind, Read, SourceFile, SourceSpec
from wenlu.errors import MissingExtra

_HEADERS = ("From", "Subject")


def _read(file: SourceFile, spec: SourceSpec) -> Iterator[Read]:
    with open_bytes(file.path) as stream:
        data = stream.read(spec.max_record_bytes + 1)
    if len(data) > spec.max_record_bytes:
        yield Drop(Record("", file.id), "source", "record too large")
        return
    message = message_from_bytes(data, policy=policy.compat32)  # the other policies stop at malformed headers
    heads = [f"{name}: {_header(message, name)}" for name in _HEADERS if message[name]]
    body = _body(message, spec.encoding)
    text = "\n".join([*heads, "", body]).replace("\0", "").strip()
    yield Record(text, file.id) if heads or body else Drop(Record("", file.id), "source", "no text in the mail")


def _header(message: Message, name: str) -> str:
    """A header in one line, its encoded words decoded (RFC 2047)."""
    try:
        parts = decode_header(str(message[name]))
    except ValueError:  # malformed base64
        parts = [(str(message[name]), None)]
    read = [part if isinstance(part, str) else _decoded(part, charset or "ascii") for part, charset in parts]
    return " ".join("".join(read).split())


def _body(message: Message, encoding: str) -> str:
    """The text of all parts that are read, of which each alternative is read once."""
    plain, marked = list[str](), list[str]()
    for part in message.walk():
        if part.is_multipart() or part.get_content_disposition() == "attachment":
            continue
        kind = part.get_content_type()
        if kind in ("text/plain", "text/html"):
            payload = part.get_payload(decode=True)
            assert isinstance(payload, bytes), "a part that is not multipart has bytes"
            text = _decoded(payload, part.get_content_charset() or encoding)
            (plain if kind == "text/plain" else marked).append(text)
    if any(text.strip() for text in plain):
        return "\n".join(plain).strip()
    return "\n".join(_text_of(page) for page in marked).strip()


def _decoded(data: bytes, charset: str) -> str:
    """In the charset that the mail names; where it names none that exists, what cannot be read becomes U+FFFD."""
    try:
        return data.decode(charset, "replace")
    except LookupError:
        return data.decode("utf-8", "replace")


def _text_of(page: str) -> str:
    try:
        from lxml import etree, html
    except ImportError as error:
        raise MissingExtra("lxml", extra="data", purpose="read mails in HTML") from error
    try:
        tree = html.fromstring(page.encode(), parser=html.HTMLParser(encoding="utf-8"))
    except etree.ParserError:  # an empty document
        return ""
    etree.strip_elements(tree, "script", "style", "head", etree.Comment, with_tail=False)
    for block in tree.xpath("//br|//p|//div|//tr|//li|//h1|//h2|//h3"):
        block.tail = f"\n{block.tail or ''}"
    lines = (" ".join(line.split()) for line in tree.text_content().splitlines())
    return "\n".join(line for line in lines if line)


def _one(spec: SourceSpec) -> bool:  # noqa: ARG001 (a mail is a record under any settings)
    return True


KIND = FileKind("mail", (".eml",), _read, one_record=_one)
