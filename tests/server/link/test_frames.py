"""Messages arrive whole, however the socket cuts them."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import msgspec
import pytest

from wenlu.server.link.frames import MOST_BYTES, BrokenFrame, FrameReader, framed, read_frame
from wenlu.server.link.opening import Heard, Refused
from wenlu.server.messages import Delta, Serving, Several, Stats

SAID: tuple[Any, ...] = (
    Several(events=(Delta(id=1, choice=0, text="好🙂", count=2, finish="stop"),)),
    Serving(models=()),
    Refused("UsageError", "no"),
    Several(events=()),
)


def test_messages_come_whole_whatever_pieces_they_come_in() -> None:
    content = b"".join(map(framed, SAID))
    for seed in range(20):
        chance = random.Random(seed)
        reader: FrameReader[Heard] = FrameReader(Heard)
        found, at = [], 0
        while at < len(content):
            end = at + chance.choice([1, 2, 3, 7, 40])
            found += reader.feed(content[at:end])
            at = end
        assert tuple(found) == SAID


def test_asyncio_reads_what_is_written_and_then_the_end() -> None:
    async def read() -> list[Any]:
        stream = asyncio.StreamReader()
        stream.feed_data(b"".join(map(framed, SAID)) + b"\0\0")
        stream.feed_eof()
        decoder: msgspec.msgpack.Decoder[Heard] = msgspec.msgpack.Decoder(Heard)
        found = []
        while (message := await read_frame(stream, decoder)) is not None:
            found.append(message)
        return found

    assert tuple(asyncio.run(read())) == SAID


@pytest.mark.parametrize(
    "content",
    [
        (MOST_BYTES + 1).to_bytes(4),
        b"\0\0\0\2\x81\xc0",
        framed(Refused("UsageError", "no"))[:-1] + b"\xff",
        framed(Delta(id=1, choice=0, text="", count=0)),
    ],
    ids=["too long", "no message", "no text", "another message"],
)
def test_what_is_no_message_is_refused(content: bytes) -> None:
    reader: FrameReader[Heard] = FrameReader(Heard)
    with pytest.raises(BrokenFrame):
        reader.feed(content)


def test_counts_that_are_left_out_are_read_as_they_are_meant() -> None:
    stats = Stats(
        running=0, waiting=0, generated=1, prompt_tokens=0, cached_tokens=0, preemptions=0, page_share=0.0,
        resident_bytes=0,
    )  # fmt: skip
    (found,) = FrameReader[Heard](Heard).feed(framed(stats))
    assert found == stats
