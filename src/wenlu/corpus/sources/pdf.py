"""PDF: the text of all pages, parted by blank lines; scanned pages have none."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from wenlu.corpus.reading import open_bytes, reading
from wenlu.corpus.record import Drop, Record
from wenlu.corpus.source import FileKind, Read, SourceFile, SourceSpec
from wenlu.errors import DataError, MissingExtra

_DAMAGE = (
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
    AssertionError,
    zlib.error,
)
"""What pypdf lets through where a damaged file breaks its assumptions."""


def _read(file: SourceFile, spec: SourceSpec) -> Iterator[Read]:
    try:
        from pypdf import PasswordType, PdfReader
        from pypdf.errors import DependencyError, PyPdfError
    except ModuleNotFoundError as error:
        raise MissingExtra("pypdf", extra="data", purpose="read PDF files") from error
    if file.path.suffix.lower() != ".pdf":
        raise DataError(f"{file.path}: a compressed PDF; decompress it first")
    with reading(file.path), open_bytes(file.path) as stream:
        pages: list[str] = []
        size = 0
        try:
            reader = PdfReader(stream)
            if reader.is_encrypted and reader.decrypt("") == PasswordType.NOT_DECRYPTED:
                raise DataError(
                    f"{file.path}: encrypted with a password; decrypt it first, for example with qpdf --decrypt"
                )
            for page in reader.pages:
                pages.append(page.extract_text().strip())
                size += len(pages[-1])
                if size > spec.max_record_bytes:
                    break
        except DependencyError as error:
            raise DataError(
                f"{file.path}: encrypted; decrypt it first, for example with qpdf --decrypt, "
                "or pip install cryptography if it needs no password"
            ) from error
        except (PyPdfError, *_DAMAGE) as error:
            raise DataError(f"{file.path}: damaged PDF ({error}); open and save it again, or leave it out") from error
    text = "\n\n".join(page for page in pages if page)
    yield Record(text, file.id) if text else Drop(Record("", file.id), "source", "no text (scanned pages?)")


def _one(spec: SourceSpec) -> bool:  # noqa: ARG001 (a document is a record under any settings)
    return True


KIND = FileKind("pdf", (".pdf",), _read, one_record=_one)
