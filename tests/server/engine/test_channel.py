"""Whoever reads slowly makes nobody wait, and takes no more memory than a bound."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from wenlu.server.engine.channel import MOST_UNSENT, Channel, Closed
from wenlu.server.link.frames import BrokenFrame, FrameReader, framed
from wenlu.server.link.opening import Heard, Opening
from wenlu.server.messages import Cancel, Delta, Several

LONG = Several(events=(Delta(id=1, choice=0, text="x" * 1_000_000, count=1),))


@pytest.fixture
def ends() -> Iterator[tuple[Channel, socket.socket]]:
    ours, theirs = socket.socketpair()
    channel = Channel(theirs)
    yield channel, ours
    channel.close()
    ours.close()


def test_what_is_said_waits_for_its_reader_and_comes_whole(ends: tuple[Channel, socket.socket]) -> None:
    channel, reader = ends
    began = time.monotonic()
    count = 0
    while not channel.is_full:
        channel.send(LONG)
        count += 1
    assert time.monotonic() - began < 5
    assert count <= MOST_UNSENT // 1_000_000 + 3
    frames: FrameReader[Heard] = FrameReader(Heard)
    found: list[Heard] = []
    reader.setblocking(False)
    while len(found) < count:
        channel.wait(0)
        try:
            found += frames.feed(reader.recv(1 << 20))
        except BlockingIOError:
            continue
    assert found == [LONG] * count
    assert not channel.is_full


def test_it_sleeps_until_it_is_spoken_to_or_woken(ends: tuple[Channel, socket.socket]) -> None:
    channel, writer = ends
    cpu, began = time.process_time(), time.monotonic()
    assert channel.wait(0.3) == []
    assert time.monotonic() - began >= 0.29
    assert time.process_time() - cpu < 0.1
    writer.sendall(framed(Cancel(id=3)) + framed(Opening((("a", "b"),), "{}"))[:5])
    assert channel.wait(5) == [Cancel(id=3)]
    threading.Timer(0.05, channel.wake).start()
    began = time.monotonic()
    assert channel.wait(20) == []
    assert time.monotonic() - began < 10


def test_the_end_of_the_other_side_is_told(ends: tuple[Channel, socket.socket]) -> None:
    channel, other = ends
    other.close()
    with pytest.raises(Closed):
        channel.wait(5)
    with pytest.raises(Closed):
        channel.send(LONG)


def test_what_is_no_request_is_told(ends: tuple[Channel, socket.socket]) -> None:
    channel, writer = ends
    writer.sendall(b"\xff" * 8)
    with pytest.raises(BrokenFrame):
        channel.wait(5)
