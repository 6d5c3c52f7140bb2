from __future__ import annotations

from pathlib import Path

import pytest
from pypdf import PdfReader, PdfWriter

from wenlu.corpus.record import Record
from wenlu.corpus.sources import SourceSpec, open_source
from wenlu.errors import DataError

STREAM = b"BT /F1 12 Tf 20 100 Td (Hello from page one) Tj ET"


def write(path: Path, stream: bytes = STREAM, *, pages: int = 1, password: str | None = None) -> Path:
    """A PDF each of whose pages shows what `stream` draws."""
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 400 200] /Contents 4 0 R"
        b" /Resources << /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >> >>",
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(stream), stream),
    ]
    body, table = b"%PDF-1.4\n", b""
    for number, content in enumerate(objects, start=1):
        table += b"%010d 00000 n \n" % len(body)
        body += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    tail = b"trailer\n<< /Size 5 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % len(body)
    path.write_bytes(body + b"xref\n0 5\n0000000000 65535 f \n" + table + tail)
    if pages > 1 or password is not None:
        writer = PdfWriter()
        page = PdfReader(path).pages[0]
        for _ in range(pages):
            writer.add_page(page)
        if password is not None:
            writer.encrypt(password, "owner", algorithm="RC4-128")
        writer.write(path)
        writer.close()
    return path


def read(path: Path) -> list[str]:
    return [item.text for item in open_source(SourceSpec(path=str(path))) if isinstance(item, Record)]


def test_the_pages_of_a_document_are_one_record(tmp_path: Path) -> None:
    assert read(write(tmp_path / "a.pdf", pages=2)) == ["Hello from page one\n\nHello from page one"]


def test_a_document_with_a_password_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "secret.pdf", password="sesame")
    with pytest.raises(
        DataError, match=r"secret\.pdf: encrypted with a password; decrypt it first, for example with qpdf"
    ):
        read(path)


def test_a_document_encrypted_without_password_is_read(tmp_path: Path) -> None:
    assert read(write(tmp_path / "open.pdf", password="")) == ["Hello from page one"]


def test_a_scanned_document_has_no_text(tmp_path: Path) -> None:
    path = write(tmp_path / "scan.pdf", b"0 0 100 100 re f")
    with pytest.raises(DataError, match=r"scan\.pdf: holds no text; .* no text \(scanned pages\?\) \(1\)"):
        read(path)


@pytest.mark.parametrize("data", [b"not a PDF", b"%PDF-1.4\n", b"", STREAM])
def test_a_damaged_document_is_named(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "broken.pdf"
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"broken\.pdf: damaged PDF \(.+\); open and save it again, or leave it out"):
        read(path)


def test_a_compressed_document_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.pdf.gz").touch()
    with pytest.raises(DataError, match=r"a\.pdf\.gz: a compressed PDF; decompress it first"):
        read(tmp_path / "a.pdf.gz")
