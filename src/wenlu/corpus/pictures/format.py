"""What a file is by its first bytes, whatever its name says."""

from __future__ import annotations

import re
from pathlib import Path

READ = ("PNG", "JPEG", "WebP", "GIF", "BMP", "TIFF", "SVG")
"""The formats that are decoded."""

_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"II+\0", "BigTIFF"),
    (b"MM\0+", "BigTIFF"),
    (b"\0\0\x01\0", "an icon (ICO)"),
    (b"8BPS", "Photoshop"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"%PDF", "PDF"),
    (b"%!PS", "PostScript"),
    (b"\x1f\x8b", "gzip, perhaps SVGZ"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"qoif", "QOI"),
    (b"\x76\x2f\x31\x01", "OpenEXR"),
)
_BRANDS = {b"avif": "AVIF", b"avis": "AVIF", b"heic": "HEIC", b"heix": "HEIC", b"mif1": "HEIF", b"msf1": "HEIF"}
_BMP_HEADS = (b"\x0c", b"\x28", b"\x34", b"\x38", b"\x40", b"\x6c", b"\x7c")
"""Lengths of a bitmap's second head, by version."""
_SVG = re.compile(rb"<(?:[A-Za-z_][\w.-]*:)?svg[\s>/]")
_HEAD = 1 << 16
_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".svg")
_BOM = b"\xef\xbb\xbf"


def format_of(data: bytes) -> str:
    """One of `READ`, or what else it seems to be, in words for a message; an SVG needs its root in `data`."""
    for signature, name in _SIGNATURES:
        if data.startswith(signature):
            return name
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WebP"
    if data.startswith(b"BM") and data[14:15] in _BMP_HEADS and data[15:18] == b"\0\0\0":
        return "BMP"
    if data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12], "a film or a picture in the ISO container")
    head = data.removeprefix(_BOM).lstrip()
    if head.startswith(b"<") and _SVG.search(head):
        return "SVG"
    if not data:
        return "an empty file"
    return "text" if _is_text(data[:1000]) else "unknown bytes"


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:
            return False
        text = head[: error.start].decode()
    return all(character.isprintable() or character.isspace() for character in text)


def claims_picture(path: Path) -> bool:
    """Whether a file is a picture that is read by its first bytes, or says so by its name."""
    if not path.is_file():
        return False
    if path.suffix.lower() in _SUFFIXES:
        return True
    with path.open("rb") as file:
        return format_of(file.read(_HEAD)) in READ
