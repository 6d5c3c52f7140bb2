"""One life of the engine's process."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator

import msgspec

from wenlu.server.link.frames import framed, read_frame
from wenlu.server.link.opening import Heard, Opening


class Process:
    """A process and this end of its socket, which has no name, so that nobody else can speak to it."""

    def __init__(self, child: subprocess.Popen[bytes], reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self._child = child
        self._reader = reader
        self._writer = writer

    @classmethod
    async def begin(cls, opening: Opening) -> Process:
        """Start it and tell it what to serve."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            # Not through asyncio: the process is to die with this thread, and asyncio may start it from another.
            command = [sys.executable, "-P", "-m", "wenlu.server.engine", str(theirs.fileno())]
            child = subprocess.Popen(
                command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, env={**os.environ, "PYTHONUTF8": "1"}
            )
        ours.setblocking(False)
        process = cls(child, *await asyncio.open_unix_connection(sock=ours))
        process.send(opening)
        return process

    @property
    def pid(self) -> int:
        return self._child.pid

    def send(self, message: msgspec.Struct) -> None:
        """Nothing where it has ended: whoever waits for an answer is told so by the end of `heard`.

        Raises UnicodeEncodeError for half of a surrogate pair, which is no text.
        """
        content = framed(message)
        if not self._writer.is_closing():
            self._writer.write(content)

    async def heard(self) -> AsyncIterator[Heard]:
        """What it says until it ends; raises BrokenFrame."""
        decoder: msgspec.msgpack.Decoder[Heard] = msgspec.msgpack.Decoder(Heard)
        while (message := await read_frame(self._reader, decoder)) is not None:
            yield message

    def kill(self) -> None:
        self._child.kill()

    async def end(self) -> int:
        """Kill it if it lives; what it ended with."""
        self._writer.close()
        self.kill()
        return await asyncio.to_thread(self._child.wait)
