"""Files by address: recorded at the first download, checked ever after, and offline once present."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from wenlu.errors import DataError, ResourceError, UsageError
from wenlu.hub import resolve

CONTENT = "一行\n".encode() * 1000


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.server.requests.append(self.path)  # type: ignore[attr-defined]
        match self.path:
            case "/missing.txt":
                self.send_error(404)
            case "/moved.txt":
                self.send_response(302)
                self.send_header("Location", "http://example.org/a.txt")
                self.end_headers()
            case _:
                self.send_response(200)
                self.send_header("Content-Length", str(len(CONTENT)))
                self.end_headers()
                self.wfile.write(CONTENT[:100] if self.path == "/cut.txt" else CONTENT)

    def log_message(self, format: str, *args: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[_Server]:
    monkeypatch.setenv("WENLU_CACHE", str(tmp_path / "cache"))
    with _Server() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_file_is_fetched_once_and_keeps_its_name(server: _Server) -> None:
    first = resolve(f"{server.url}/notes%20x.txt?version=2")
    assert first.path.name == "notes_x.txt"
    assert first.path.read_bytes() == CONTENT
    assert resolve(f"{server.url}/notes%20x.txt?version=2") == first
    assert len(server.requests) == 1


def test_the_digest_of_the_first_download_is_recorded(server: _Server) -> None:
    fetched = resolve(f"{server.url}/a.txt").fetched
    assert fetched is not None
    assert fetched.source == f"{server.url}/a.txt"
    assert fetched.sha256 == hashlib.sha256(CONTENT).hexdigest()


def test_a_file_that_changed_in_the_cache_is_refused(server: _Server) -> None:
    resolve(f"{server.url}/a.txt").path.write_bytes(b"other")
    with pytest.raises(DataError, match=r"a\.txt: changed since it was fetched .* delete"):
        resolve(f"{server.url}/a.txt")


def test_an_unexpected_digest_is_not_kept(server: _Server, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"its sha256 is [0-9a-f]{64}, not the expected 0{64}; it was not kept"):
        resolve(f"{server.url}/a.txt", sha256="0" * 64)
    assert not list((tmp_path / "cache").iterdir())
    digest = hashlib.sha256(CONTENT).hexdigest()
    assert resolve(f"{server.url}/a.txt", sha256=digest).path.read_bytes() == CONTENT
    with pytest.raises(DataError, match=r"its sha256 in the cache is .*, not the expected 1{64}"):
        resolve(f"{server.url}/a.txt", sha256="1" * 64)


def test_an_answer_that_breaks_off_is_not_kept(server: _Server, tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match=r"cut\.txt: broke off after 100 of 7000 bytes; try again"):
        resolve(f"{server.url}/cut.txt")
    assert not list((tmp_path / "cache").iterdir())


def test_the_servers_refusal_is_quoted(server: _Server) -> None:
    with pytest.raises(ResourceError, match=r"missing\.txt: the server answered 404 Not Found; is the address right\?"):
        resolve(f"{server.url}/missing.txt")


def test_a_redirect_may_not_leave_https(server: _Server) -> None:
    with pytest.raises(UsageError, match=r"http://example\.org/a\.txt: only https is fetched"):
        resolve(f"{server.url}/moved.txt")


def test_plain_http_is_refused_beyond_this_machine() -> None:
    with pytest.raises(UsageError, match=r"http://example\.org/a\.txt: only https is fetched, as anyone on the way"):
        resolve("http://example.org/a.txt")
    with pytest.raises(UsageError, match="https:///a: names no host"):
        resolve("https:///a")


def test_being_offline_says_what_to_try(server: _Server) -> None:
    url = f"http://127.0.0.1:{server.server_port}/a.txt"
    server.shutdown()
    server.server_close()
    with pytest.raises(
        ResourceError, match=r"a\.txt: cannot be fetched .*Is this machine online\? Or download the file"
    ):
        resolve(url)
