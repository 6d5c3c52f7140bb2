"""Read files of any size in bounded memory: decompression, line by line, decoding with errors that tell where.

A line or file longer than the cap is never held: it is skipped to its end and reported as too large.
"""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TextIO

from wenlu.errors import DataError, MissingExtra

MAX_EXPANSION = 500
"""Decompressed bytes for each compressed one, past the first `FREE_EXPANSION`; natural text stays below 20."""
FREE_EXPANSION = 64 * 2**20

_CHUNK = 1 << 16
_USUAL = {
    "gb18030": ("gb2312", ((0xA1, 0xA3), (0xB0, 0xD7))),
    "big5": ("big5", ((0xA1, 0xC6),)),
    "shift_jis": ("shift_jis", ((0x81, 0x83), (0x88, 0x97))),
}
"""The character set behind an East Asian encoding; the lead bytes of its punctuation, kana and common ideographs."""
_BOMS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True, slots=True)
class Line:
    """A line with its end; `data` is None where it was longer than the cap.

    Attributes:
        number: counted from 1.
        offset: of its first byte in the decompressed file.
    """

    number: int
    offset: int
    data: bytes | None


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what can go wrong while a file is read into an error that names it and says what to try."""
    try:
        yield
    except FileNotFoundError as error:
        raise DataError(f"{path}: no longer there; was it moved while it was read?") from error
    except PermissionError as error:
        raise DataError(f"{path}: no permission to read it; try chmod u+r, or another user") from error
    except IsADirectoryError as error:
        raise DataError(f"{path}: a folder where a file is expected") from error
    except EOFError as error:
        raise DataError(f"{path}: the compressed file is cut off; download or copy it again") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: damaged gzip file ({error}); download or copy it again") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error


@contextmanager
def open_bytes(path: Path) -> Iterator[IO[bytes]]:
    """The file's bytes, decompressed if its name ends in .gz or .zst."""
    with reading(path), path.open("rb") as raw:
        match path.suffix.lower():
            case ".gz":
                yield io.BufferedReader(_Guarded(gzip.GzipFile(fileobj=raw), raw, path), _CHUNK)
            case ".zst":
                yield io.BufferedReader(_Guarded(_Zstandard(raw, path), raw, path), _CHUNK)
            case _:
                yield raw


class _Guarded(io.RawIOBase):
    """Stops a decompression bomb."""

    def __init__(self, stream: gzip.GzipFile | io.RawIOBase, raw: IO[bytes], path: Path) -> None:
        self._stream, self._raw, self._path = stream, raw, path
        self._size = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        data = self._stream.read(len(buffer)) or b""
        buffer[: len(data)] = data
        self._size += len(data)
        if self._size > FREE_EXPANSION + MAX_EXPANSION * self._raw.tell():
            raise DataError(
                f"{self._path}: decompresses to more than {MAX_EXPANSION} times its size; refused as a decompression "
                "bomb. If the data is real, decompress it first"
            )
        return len(data)


class _Zstandard(io.RawIOBase):
    """The decompressed bytes of one or more zstd frames; a frame that ends too early is an error."""

    def __init__(self, raw: IO[bytes], path: Path) -> None:
        try:
            import zstandard
        except ModuleNotFoundError as error:
            raise MissingExtra("zstandard", extra="data", purpose="read .zst files") from error
        self._raw, self._path, self._error = raw, path, zstandard.ZstdError
        self._decompressor = zstandard.ZstdDecompressor(max_window_size=2**27)
        self._frame = self._decompressor.decompressobj()
        self._pending, self._inside = b"", False
        self._ready, self._at = b"", 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        while self._at == len(self._ready):
            if not self._fill():
                return 0
        data = self._ready[self._at : self._at + len(buffer)]
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def _fill(self) -> bool:
        """Decompress the next piece; False at the end of the file."""
        # A block of 4 bytes can stand for 128 KiB, so a piece of this size never becomes more than 32 MiB.
        piece = self._pending or self._raw.read(1 << 10)
        if not piece:
            if self._inside:
                raise EOFError
            return False
        try:
            self._ready, self._at, self._inside = self._frame.decompress(piece), 0, True
        except self._error as error:
            raise DataError(f"{self._path}: damaged zstd file ({error}); download or copy it again") from error
        self._pending = b""
        if self._frame.eof:
            self._pending = self._frame.unused_data
            self._frame, self._inside = self._decompressor.decompressobj(), False
        return True


@contextmanager
def open_text_bytes(path: Path, encoding: str) -> Iterator[IO[bytes]]:
    """As `open_bytes`, but where newlines are not single bytes (UTF-16, UTF-32) transcoded to UTF-8."""
    with open_bytes(path) as stream:
        yield stream if _keeps_ascii(encoding) else io.BufferedReader(_Transcoded(stream, encoding, path), _CHUNK)


@contextmanager
def open_text(path: Path, encoding: str) -> Iterator[TextIO]:
    """The file's text as a stream of characters, its byte order mark dropped."""
    with open_bytes(path) as stream:
        utf8 = io.BufferedReader(_Transcoded(stream, encoding, path), _CHUNK)
        yield io.TextIOWrapper(utf8, encoding="utf-8-sig", newline="")


def _keeps_ascii(encoding: str) -> bool:
    return "\n".encode(encoding).endswith(b"\n") and len("\n\n".encode(encoding)) - len("\n".encode(encoding)) == 1


def line_encoding(encoding: str) -> str:
    """The encoding of the lines that `lines` yields."""
    return encoding if _keeps_ascii(encoding) else "utf-8"


class _Transcoded(io.RawIOBase):
    def __init__(self, stream: IO[bytes], encoding: str, path: Path) -> None:
        self._stream, self._encoding, self._path = stream, encoding, path
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._ready = b""
        self._offset, self._ended = 0, False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        while not self._ready and not self._ended:
            data = self._stream.read(_CHUNK)
            self._ended = not data
            held = len(self._decoder.getstate()[0])
            try:
                self._ready = self._decoder.decode(data, final=self._ended).encode()
            except UnicodeDecodeError as error:
                at = self._offset - held + error.start
                raise DataError(_wrong_bytes(f"{self._path}, byte {at}", error, self._encoding)) from error
            self._offset += len(data)
        size = min(len(buffer), len(self._ready))
        buffer[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size


def lines(stream: IO[bytes], max_bytes: int) -> Iterator[Line]:
    """The stream's lines, each with its newline; memory is bounded by `max_bytes`."""
    number, offset = 0, 0
    while data := stream.readline(max_bytes + 1):
        number += 1
        size = len(data)
        whole = size <= max_bytes or data.endswith(b"\n")
        rest = data
        while not whole and rest and not rest.endswith(b"\n"):
            rest = stream.readline(_CHUNK)
            size += len(rest)
        yield Line(number, offset, data if whole else None)
        offset += size


def decode(data: bytes, encoding: str, *, path: Path, line: int, offset: int) -> str:
    """Decode bytes that begin on `line` at byte `offset` of the file; the byte order mark at its head is dropped.

    Raises:
        DataError: with file, line, byte and a guess of the encoding.
    """
    if offset == 0 and encoding.lower().replace("_", "-") in ("utf-8", "utf8"):
        data = data.removeprefix(codecs.BOM_UTF8)
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        at_line = line + data.count(b"\n", 0, error.start)
        where = f"{path}, line {at_line}, byte {offset + error.start}"
        raise DataError(_wrong_bytes(where, error, encoding)) from error


def read_text(path: Path, encoding: str, max_bytes: int) -> str | None:
    """The whole file as text with `\\n` line ends; None where it is longer than `max_bytes`.

    Raises:
        DataError: wrong bytes, or a NUL byte, which no text has.
    """
    with open_text_bytes(path, encoding) as stream:
        data = stream.read(max_bytes + 1)
    if len(data) > max_bytes:
        return None
    refuse_nul(data, path=path, line=1, offset=0)
    text = decode(data, line_encoding(encoding), path=path, line=1, offset=0)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def refuse_nul(data: bytes, *, path: Path, line: int, offset: int) -> None:
    at = data.find(b"\0")
    if at >= 0:
        guess = ' Is it UTF-16? Then set encoding = "utf-16" for this source' if b"\0" in data[at + 1 : at + 4] else ""
        where = f"{path}, line {line + data.count(bytes([10]), 0, at)}, byte {offset + at}"
        raise DataError(f"{where}: a NUL byte, so this is not text.{guess or ' Leave the file out'}")


def _wrong_bytes(where: str, error: UnicodeDecodeError, encoding: str) -> str:
    sample = bytes(error.object)
    value = " ".join(f"0x{byte:02X}" for byte in sample[error.start : max(error.end, error.start + 1)][:4])
    guess = _guess(sample, error.start, encoding)
    hint = f'try encoding = "{guess}" for this source (a guess)' if guess else "is the file damaged, or not text?"
    return f"{where}: {value} is not {encoding}; {hint}"


def _guess(sample: bytes, at: int, tried: str) -> str | None:
    """A likely encoding of the text around byte `at`; None where none fits."""
    for mark, name in _BOMS:
        if sample.startswith(mark):
            return name
    first = sample.rfind(b"\n", 0, at) + 1
    window = sample[max(first, at - 2000) : at + 2000]
    if tried != "utf-8" and _decodes(window, "utf-8"):
        return "utf-8"
    shares = {name: _usual_share(window, name) for name in _USUAL if name != tried and _decodes(window, name)}
    best = max(shares, key=lambda name: shares[name], default=None)
    if best is not None and shares[best] > 0.7:
        return best
    return "cp1252" if tried != "cp1252" and _decodes(window, "cp1252") else None


def _decodes(window: bytes, encoding: str) -> bool:
    """Whether the bytes are valid, but for a character that the end of the window cuts."""
    try:
        codecs.getincrementaldecoder(encoding)().decode(window)
    except UnicodeDecodeError:
        return False
    return True


def _usual_share(window: bytes, encoding: str) -> float:
    """How many of the characters beyond ASCII stand in the rows of daily use of their character set."""
    beyond = [character for character in window.decode(encoding, errors="ignore") if ord(character) > 0x7F]
    character_set, rows = _USUAL[encoding]
    lead = [character.encode(character_set, errors="ignore")[:1] for character in beyond]
    return sum(any(low <= byte[0] <= high for low, high in rows) for byte in lead if byte) / max(1, len(beyond))
