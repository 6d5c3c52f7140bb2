"""Messages on the socket between the two processes: four bytes of length, then MessagePack."""

from __future__ import annotations

import asyncio
from typing import Any, Generic, TypeVar

import msgspec

T = TypeVar("T")

MOST_BYTES = 128 * 1024 * 1024
"""Of one message: a longer one is not meant, and would only take memory."""
_LENGTH = 4
_encoder = msgspec.msgpack.Encoder()


class BrokenFrame(Exception):
    """What came is no message of the expected type, or longer than any is."""


def framed(message: msgspec.Struct) -> bytes:
    """A message as it goes over the socket."""
    content = _encoder.encode(message)
    assert len(content) <= MOST_BYTES, f"a {type(message).__name__} of {len(content):,} bytes"
    return len(content).to_bytes(_LENGTH) + content


class FrameReader(Generic[T]):
    """Takes bytes as they come and gives the messages that they complete."""

    def __init__(self, type: Any) -> None:
        self._decoder: msgspec.msgpack.Decoder[T] = msgspec.msgpack.Decoder(type)
        self._held = bytearray()

    def feed(self, data: bytes) -> list[T]:
        """Raises BrokenFrame."""
        self._held += data
        found: list[T] = []
        at = 0
        while (size := _size(self._held, at)) is not None and len(self._held) >= at + _LENGTH + size:
            with memoryview(self._held) as view:
                found.append(_decoded(self._decoder, view[at + _LENGTH : at + _LENGTH + size]))
            at += _LENGTH + size
        del self._held[:at]
        return found


async def read_frame(stream: asyncio.StreamReader, decoder: msgspec.msgpack.Decoder[T]) -> T | None:
    """The next message; None at the end of the stream, in the middle of a message too. Raises BrokenFrame."""
    try:
        size = _size(await stream.readexactly(_LENGTH), 0)
        assert size is not None, "four bytes were read"
        return _decoded(decoder, await stream.readexactly(size))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


def _size(data: bytes | bytearray, at: int) -> int | None:
    if len(data) < at + _LENGTH:
        return None
    size = int.from_bytes(data[at : at + _LENGTH])
    if size > MOST_BYTES:
        raise BrokenFrame(f"a message of {size:,} bytes")
    return size


def _decoded(decoder: msgspec.msgpack.Decoder[T], content: Any) -> T:
    try:
        return decoder.decode(content)
    except msgspec.DecodeError as error:  # of wrong types as well
        raise BrokenFrame(str(error)) from error
