"""The engine's end of the socket: never waits for whoever reads slowly."""

from __future__ import annotations

import contextlib
import os
import select
import socket
from collections.abc import Sequence

import msgspec

from wenlu.server.link.frames import FrameReader, framed
from wenlu.server.link.opening import Opening
from wenlu.server.messages import Request

MOST_UNSENT = 8 * 1024 * 1024
"""Bytes; while more wait to be read, the models pause."""
_AT_ONCE = 1 << 18


class Closed(Exception):
    """The other end is gone."""


class Channel:
    """Messages in and out. `wake` may be called from any thread, all else from one.

    Args:
        end: a connected socket.
    """

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._socket = end
        self._reader: FrameReader[Request | Opening] = FrameReader(Request | Opening)
        self._unsent = bytearray()
        self._woken, self._wakes = os.pipe()
        for pipe in (self._woken, self._wakes):
            os.set_blocking(pipe, False)
        self._poll = select.poll()
        self._poll.register(self._woken, select.POLLIN)
        self._poll.register(end, select.POLLIN)

    @property
    def is_full(self) -> bool:
        return len(self._unsent) > MOST_UNSENT

    def wake(self) -> None:
        """End a `wait`."""
        with contextlib.suppress(BlockingIOError):  # full, so it will be seen
            os.write(self._wakes, b".")

    def send(self, message: msgspec.Struct) -> None:
        """As much as the socket takes now, the rest later; raises Closed."""
        self._unsent += framed(message)
        self._flush()

    def wait(self, seconds: float) -> Sequence[Request | Opening]:
        """Messages that have come, at most `seconds` from now; perhaps none. Raises Closed, BrokenFrame."""
        self._poll.modify(self._socket, select.POLLIN | (select.POLLOUT if self._unsent else 0))
        found: list[Request | Opening] = []
        for file, _ in self._poll.poll(max(0.0, seconds) * 1000):
            if file == self._woken:
                _drain(self._woken)
            else:
                self._flush()
                found += self._read()
        return found

    def close(self) -> None:
        self._socket.close()
        os.close(self._woken)
        os.close(self._wakes)

    def _read(self) -> list[Request | Opening]:
        try:
            data = self._socket.recv(_AT_ONCE)
        except BlockingIOError:
            return []
        except OSError as error:
            raise Closed from error
        if not data:
            raise Closed
        return self._reader.feed(data)

    def _flush(self) -> None:
        while self._unsent:
            try:
                sent = self._socket.send(memoryview(self._unsent)[:_AT_ONCE])
            except BlockingIOError:
                return
            except OSError as error:
                raise Closed from error
            del self._unsent[:sent]


def _drain(pipe: int) -> None:
    with contextlib.suppress(BlockingIOError):
        while os.read(pipe, 4096):
            pass
