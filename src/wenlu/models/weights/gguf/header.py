"""The header of a GGUF file, read without trust: what it claims is checked against the file before it is believed.

Layout (https://github.com/ggml-org/ggml/blob/master/docs/gguf.md): magic, version, counts; then the metadata as
key, type, value; then a name, shape, type and offset a tensor; then the tensors, each at a multiple of the alignment.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass, field
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any

from wenlu.errors import ResourceError, WeightsError
from wenlu.models.weights.gguf.kinds import KINDS, Kind

MAGIC = b"GGUF"
VERSIONS = (2, 3)
ALIGNMENT = 32
MAX_HEADER_BYTES = 2**27
MAX_VALUES = 2**22
"""Items of all arrays together: eight times the largest vocabulary and its merges."""
MAX_TENSORS = 2**16
MAX_KEY_BYTES = 1024
MAX_DIMENSIONS = 4
MAX_NESTING = 3


@dataclass(frozen=True)
class TensorInfo:
    """Where a tensor lies: its shape as torch says it (rows first), and its bytes in the file."""

    name: str
    shape: tuple[int, ...]
    kind: Kind
    start: int
    nbytes: int


@dataclass(frozen=True)
class Header:
    """Metadata and places of the tensors, and the file mapped into memory (pages are fetched when touched)."""

    path: Path
    metadata: dict[str, Any]
    tensors: dict[str, TensorInfo]
    memory: mmap.mmap = field(repr=False)


def read_header(path: Path) -> Header:
    """Map a GGUF file and read its header.

    Raises:
        WeightsError: it is no GGUF file of version 2 or 3, it is cut short, or its header contradicts itself.
        ResourceError: no permission to read it.
    """
    try:
        with path.open("rb") as file:
            # Private and writable, so that tensors on it are ordinary ones; nothing is ever written.
            memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    except FileNotFoundError as error:
        raise WeightsError(f"{path}: no such file") from error
    except PermissionError as error:
        raise ResourceError(f"{path}: no permission to read it") from error
    except OSError as error:
        raise ResourceError(f"{path}: cannot be mapped into memory ({error.strerror})") from error
    except ValueError as error:
        raise WeightsError(f"{path}: an empty file, not GGUF; fetch it again") from error
    reader = _Reader(path, memory)
    metadata_count, tensor_count = _opening(reader)
    metadata = _metadata(reader, metadata_count)
    tensors = _tensors(reader, tensor_count, _alignment(path, metadata))
    return Header(path, metadata, tensors, memory)


class _Reader:
    """A place in the file that only moves forward, and refuses to move past the end."""

    def __init__(self, path: Path, memory: mmap.mmap) -> None:
        self.path = path
        self.memory = memory
        self.at = 0
        self.end = min(len(memory), MAX_HEADER_BYTES)
        self.values_left = MAX_VALUES

    def error(self, message: str) -> WeightsError:
        return WeightsError(f"{self.path}: {message} (byte {self.at:,}); fetch the file again or write it anew")

    def take(self, size: int, what: str) -> int:
        """The place of the next `size` bytes, which are then behind us."""
        if size > self.end - self.at:
            limit = "the file ends" if self.end == len(self.memory) else f"headers end at {self.end:,}"
            raise self.error(f"{what} needs {size:,} bytes where only {self.end - self.at:,} are left: {limit}")
        place = self.at
        self.at += size
        return place

    def number(self, layout: struct.Struct, what: str) -> Any:
        return layout.unpack_from(self.memory, self.take(layout.size, what))[0]

    def text(self, what: str, *, most: int = MAX_HEADER_BYTES) -> str:
        length = self.number(_U64, f"the length of {what}")
        if length > most:
            raise self.error(f"{what} claims {length:,} bytes, more than {most:,}")
        place = self.take(length, what)
        try:
            return self.memory[place : place + length].decode("utf-8")
        except UnicodeDecodeError as error:
            raise self.error(f"{what} is not UTF-8 ({error.reason} at its byte {error.start})") from error

    def value(self, kind: int, what: str, depth: int = 0) -> Any:
        if kind in _NUMBERS:
            return self.number(_NUMBERS[kind], what)
        match kind:
            case 7:
                return self.number(_U8, what) != 0
            case 8:
                return self.text(what)
            case 9 if depth < MAX_NESTING:
                return self.array(what, depth)
            case 9:
                raise self.error(f"{what} holds arrays more than {MAX_NESTING} deep")
        raise self.error(f"{what} has type {kind}, and types end at {_LAST_TYPE}")

    def array(self, what: str, depth: int) -> list[Any]:
        kind = self.number(_U32, f"the type of {what}")
        count = self.number(_U64, f"the count of {what}")
        if count > self.values_left:
            raise self.error(f"{what} claims {count:,} items; all arrays together may have {MAX_VALUES:,}")
        self.values_left -= count
        if kind in _NUMBERS:
            layout = _NUMBERS[kind]
            place = self.take(count * layout.size, what)
            return list(struct.unpack_from(f"<{count}{layout.format[-1]}", self.memory, place))
        least = {7: 1, 8: 8, 9: 12}.get(kind, 0)
        if count * least > self.end - self.at:
            raise self.error(f"{what} claims {count:,} items, more than the rest of the file can hold")
        return [self.value(kind, what, depth + 1) for _ in range(count)]


def _opening(reader: _Reader) -> tuple[int, int]:
    """The counts of metadata and of tensors."""
    found = reader.memory[:4]
    if found != MAGIC:
        raise WeightsError(f"{reader.path}: begins with {found!r}, not with {MAGIC!r}, so it is not a GGUF file")
    reader.take(4, "the magic")
    version = reader.number(_U32, "the version")
    if version not in VERSIONS:
        big_endian = int.from_bytes(version.to_bytes(4, "little"), "big") in VERSIONS
        what = "is big-endian" if big_endian else f"has version {version}"
        raise WeightsError(f"{reader.path}: {what}; versions 2 and 3 in little-endian are read: convert it anew")
    tensors = reader.number(_U64, "the number of tensors")
    metadata = reader.number(_U64, "the number of metadata keys")
    if tensors > MAX_TENSORS:
        raise reader.error(f"it claims {tensors:,} tensors, more than {MAX_TENSORS:,}")
    if metadata > MAX_TENSORS:
        raise reader.error(f"it claims {metadata:,} metadata keys, more than {MAX_TENSORS:,}")
    return metadata, tensors


def _metadata(reader: _Reader, count: int) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for number in range(count):
        key = reader.text(f"metadata key {number}", most=MAX_KEY_BYTES)
        if key in result:
            raise reader.error(f"metadata key {key!r} stands there twice")
        result[key] = reader.value(reader.number(_U32, f"the type of {key!r}"), repr(key))
    return result


def _alignment(path: Path, metadata: dict[str, Any]) -> int:
    alignment = metadata.get("general.alignment", ALIGNMENT)
    if not isinstance(alignment, int) or not 8 <= alignment <= 2**20 or alignment & (alignment - 1):
        raise WeightsError(f"{path}: general.alignment is {alignment!r:.40}; a power of two from 8 on is expected")
    return alignment


def _tensors(reader: _Reader, count: int, alignment: int) -> dict[str, TensorInfo]:
    claims = [_claim(reader, number) for number in range(count)]
    begin = -(-reader.at // alignment) * alignment
    size = len(reader.memory)
    result: dict[str, TensorInfo] = {}
    for name, shape, kind, offset in claims:
        info = TensorInfo(name, shape, kind, begin + offset, prod(shape) // kind.block * kind.block_bytes)
        if name in result:
            raise WeightsError(f"{reader.path}: tensor {name!r} stands there twice")
        if offset % alignment:
            raise WeightsError(f"{reader.path}: {name!r} is at offset {offset:,}, no multiple of {alignment}")
        if info.start + info.nbytes > size:
            raise WeightsError(
                f"{reader.path}: {name!r} would end at byte {info.start + info.nbytes:,}, but the file has {size:,}: "
                "it is cut short, or lies; fetch it again"
            )
        result[name] = info
    for before, after in pairwise(sorted(result.values(), key=lambda info: info.start)):
        if before.start + before.nbytes > after.start:
            raise WeightsError(f"{reader.path}: tensors {before.name!r} and {after.name!r} overlap")
    return result


def _claim(reader: _Reader, number: int) -> tuple[str, tuple[int, ...], Kind, int]:
    """Name, shape, kind and offset of a tensor as the header tells them, checked one by one."""
    name = reader.text(f"the name of tensor {number}", most=MAX_KEY_BYTES)
    dimensions = reader.number(_U32, f"the dimensions of {name!r}")
    if not 1 <= dimensions <= MAX_DIMENSIONS:
        raise reader.error(f"{name!r} has {dimensions} dimensions, not 1 to {MAX_DIMENSIONS}")
    shape = tuple(reader.number(_U64, f"the shape of {name!r}") for _ in range(dimensions))[::-1]
    kind_number = reader.number(_U32, f"the type of {name!r}")
    if kind_number not in KINDS:
        raise reader.error(
            f"{name!r} has tensor type {kind_number}; known: {', '.join(k.name for k in KINDS.values())}"
        )
    kind = KINDS[kind_number]
    if 0 in shape or prod(shape) > _MAX_ITEMS:
        raise reader.error(f"{name!r} has shape {list(shape)}, which no tensor has")
    if shape[-1] % kind.block:
        raise reader.error(f"{name!r} has rows of {shape[-1]}, no multiple of the {kind.block} of a {kind.name} block")
    return name, shape, kind, reader.number(_U64, f"the offset of {name!r}")


_MAX_ITEMS = 2**48
_U8, _U32, _U64 = struct.Struct("<B"), struct.Struct("<I"), struct.Struct("<Q")
_NUMBERS = {
    number: struct.Struct(f"<{layout}")
    for number, layout in {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 10: "Q", 11: "q", 12: "d"}.items()
}
_LAST_TYPE = 12
