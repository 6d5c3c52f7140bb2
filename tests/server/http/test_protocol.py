"""Raw bytes on a socket: slow, ambiguous, broken, too many."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import closing

import pytest
from tests.server.fixed_engine import FixedEngine
from tests.server.live import Live, live, read_all

from wenlu.server.settings import Limits

HEAD = b"POST /v1/mirror HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
LIMITS = Limits(
    header_seconds=0.3,
    receive_seconds=0.4,
    header_bytes=2048,
    stalled_seconds=0.5,
    send_bytes=65536,
    drain_seconds=0.3,
    connections=20,
)


@pytest.fixture(scope="module")
def server() -> Iterator[Live]:
    with live(FixedEngine(), LIMITS) as running:
        yield running


def _status(answer: bytes) -> int:
    assert answer.startswith(b"HTTP/1.1 "), answer[:200]
    return int(answer.split(b" ", 2)[1])


def _trickle(client: socket.socket) -> None:
    """Send a byte now and then, for five seconds."""
    for _ in range(100):
        client.sendall(b"a")
        time.sleep(0.05)


def test_requests_follow_each_other_on_one_connection(server: Live) -> None:
    bodies = [b"content-length: 9\r\n\r\n" + b'{"a": 12}'] * 3
    bodies.append(b'transfer-encoding: chunked\r\n\r\n4\r\n{"a"\r\n5\r\n: 12}\r\n0\r\n\r\n')
    with closing(server.connect()) as client:
        for body in bodies:
            client.sendall(HEAD + body)
            answer = client.recv(4096)
            while not answer.endswith(b"\r\n\r\n9"):
                answer += client.recv(4096)
            assert answer.startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize(
    "sent",
    [
        HEAD + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{} ",
        HEAD + b"content-length: 2\r\ncontent-length: 2\r\n\r\n{}",
        HEAD + b"content-length: 2, 3\r\n\r\n{} ",
        HEAD + b"content-length: +2\r\n\r\n{}",
        HEAD + b"content-length: -1\r\n\r\n{}",
        HEAD + b"content-length: 0x2\r\n\r\n{}",
        HEAD + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        HEAD + b"transfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        HEAD + b"transfer-encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        HEAD + b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n",
        HEAD + b"transfer-encoding : chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"x-folded: one\r\n two\r\ncontent-length: 2\r\n\r\n{}",
        HEAD + b"x-bare: one\ncontent-length: 2\r\n\r\n{}",
        HEAD.replace(b"\r\n", b"\n") + b"content-length: 2\n\n{}",
        HEAD + b"x-null: a\x00b\r\ncontent-length: 2\r\n\r\n{}",
        HEAD + b"x bad: a\r\ncontent-length: 2\r\n\r\n{}",
        HEAD + b": nameless\r\ncontent-length: 2\r\n\r\n{}",
        HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        HEAD + b"transfer-encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n",
        HEAD + b"transfer-encoding: chunked\r\n\r\n2\n{}\r\n0\r\n\r\n",
        HEAD + b"transfer-encoding: chunked\r\n\r\n2\r\n{}}}\r\n0\r\n\r\n",
        HEAD + b"transfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n{}\r\n",
        b"GET /health HTTP/1.1\r\n\r\n",
        b"GET /health HTTP/1.1\r\nhost: localhost\r\nhost: localhost\r\n\r\n",
        b"GET /health HTTP/9.9\r\nhost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"NONSENSE\r\n\r\n",
    ],
)
def test_what_could_be_read_in_two_ways_is_refused_and_the_connection_closed(server: Live, sent: bytes) -> None:
    answer = server.say(sent)
    assert _status(answer) == 400
    assert answer.count(b"HTTP/1.1 ") == 1
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"connection: close" in head.lower()
    assert json.loads(body)["error"]["type"] == "invalid_request_error"
    assert not server.engine.running


def test_a_second_request_in_the_same_piece_is_checked_too(server: Live) -> None:
    whole = HEAD + b"content-length: 2\r\n\r\n{}"
    for bad in (b"x-bare: one\n", b"x-folded: one\r\n two\r\n", b"content-length: 2\r\ntransfer-encoding: chunked\r\n"):
        answer = server.say(whole + HEAD + bad + b"content-length: 2\r\n\r\n{}")
        assert answer.count(b"200 OK") <= 1, bad
    assert server.say(whole + HEAD + b"x-long: " + b"a" * 4000 + b"\r\n\r\n").count(b"200 OK") <= 1


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /health HTTP/1.1\r\nhost: localhost\r\nx-long: " + b"a" * 3000 + b"\r\n\r\n", 431),
        (b"GET /" + b"a" * 3000, 431),
        (b"GET /health HTTP/1.1\r\nhost: localhost\r\n" + b"x: y\r\n" * 1000, 431),
        (b"GET /health HTTP/1.1\r\nhost: local", 408),
        (b"G", 408),
        (b"", 408),
        (HEAD + b"content-length: 100\r\n\r\n{", 408),
        (HEAD + b"transfer-encoding: chunked\r\n\r\n1\r\n{\r\n", 408),
    ],
)
def test_headers_that_are_too_long_or_late_and_bodies_that_do_not_arrive_are_refused(
    server: Live, sent: bytes, status: int
) -> None:
    begun = time.perf_counter()
    assert _status(server.say(sent)) == status
    assert time.perf_counter() - begun < 3


@pytest.mark.parametrize(
    "first", [b"GET /health HTTP/1.1\r\nhost: localhost\r\nx: ", HEAD + b"content-length: 999\r\n\r\n"]
)
def test_a_request_that_trickles_in_is_cut_off_all_the_same(server: Live, first: bytes) -> None:
    begun = time.perf_counter()
    with closing(server.connect()) as client:
        client.sendall(first)
        with pytest.raises(OSError, match=r"reset|[Bb]roken"):
            _trickle(client)
    assert time.perf_counter() - begun < 3


def test_a_body_that_trickles_behind_its_answer_is_cut_off_too(server: Live) -> None:
    with closing(server.connect()) as client:
        client.sendall(HEAD.replace(b"/v1/mirror", b"/v1/nothing") + b"content-length: 999\r\n\r\n{")
        assert b" 404 " in client.recv(4096)
        with pytest.raises(OSError, match=r"reset|[Bb]roken"):
            _trickle(client)


def test_who_takes_nothing_of_a_stream_loses_it_and_frees_the_engine() -> None:
    engine = FixedEngine(["x" * 10_000] * 2000)
    with live(engine, LIMITS) as server, closing(server.connect()) as client:
        client.sendall(HEAD.replace(b"mirror", b"stream") + b"content-length: 2\r\n\r\n{}")
        client.recv(100)
        begun = time.perf_counter()
        while engine.running and time.perf_counter() - begun < 10:
            time.sleep(0.02)
        assert engine.cancelled
        assert len(engine.asked) == 1


def test_whole_connections_are_counted(server: Live) -> None:
    clients = [server.connect() for _ in range(20)]
    try:
        time.sleep(0.05)
        assert _status(server.say(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n")) == 503
    finally:
        for client in clients:
            client.close()


def test_a_client_that_hangs_up_frees_the_engine_within_a_quarter_of_a_second() -> None:
    engine = FixedEngine(token_seconds=30)
    with live(engine, Limits(drain_seconds=0.2)) as server:
        for path in (b"stream",):
            client = server.connect()
            client.sendall(HEAD.replace(b"mirror", path) + b"content-length: 2\r\n\r\n{}")
            while not engine.running:
                time.sleep(0.005)
            client.close()
            begun = time.perf_counter()
            while engine.running:
                time.sleep(0.005)
            assert time.perf_counter() - begun < 0.25


def test_a_server_that_stops_lets_streams_end_and_tells_those_it_cuts() -> None:
    engine = FixedEngine(["a", "b"], token_seconds=0.15)
    with live(engine, Limits(drain_seconds=5)) as server, closing(server.connect()) as client:
        client.sendall(HEAD.replace(b"mirror", b"stream") + b"content-length: 2\r\n\r\n{}")
        while not engine.running:
            time.sleep(0.005)
        server.server.stop()
        assert b"data: a" in (answer := read_all(client))
        assert b"data: b" in answer
    engine = FixedEngine(["a", "b"], token_seconds=1.5)
    with live(engine, Limits(drain_seconds=1.8)) as server, closing(server.connect()) as client:
        client.sendall(HEAD.replace(b"mirror", b"stream") + b"content-length: 2\r\n\r\n{}")
        while not engine.running:
            time.sleep(0.005)
        server.server.stop()
        assert b"data: a" in (answer := read_all(client))
        assert b"data: stopping" in answer
