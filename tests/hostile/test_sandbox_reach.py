"""Programs in the sandbox that reach for files and connections outside; and the same without walls, which succeed."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.hostile.conftest import ALL_WALLS, LIMITS, Outside, Run

pytestmark = pytest.mark.skipif(not ALL_WALLS, reason="this system does not grant all walls")


# Files


ATTEMPTS = [
    "open(victim, 'w').write('x')",
    "open(victim, 'a').write('x')",
    "open(victim, 'r+').write('x')",
    "open(folder + '/new', 'w').write('x')",
    "open('/proc/self/root' + folder + '/new', 'w').write('x')",
    "open('/proc/self/cwd/../' + os.path.basename(folder) + '/new', 'w').write('x')",
    "open('../' * 20 + folder[1:] + '/new', 'w').write('x')",
    "os.symlink(folder, 'link'); open('link/new', 'w').write('x')",
    "os.symlink(victim, 'link'); open('link', 'w').write('x')",
    "os.link(victim, 'link'); open('link', 'w').write('x')",
    "os.chdir(folder); open('new', 'w').write('x')",
    "os.truncate(victim, 0)",
    "os.remove(victim)",
    "os.rename(victim, folder + '/new')",
    "os.mkdir(folder + '/new')",
    "os.mkfifo(folder + '/new')",
    "os.chmod(victim, 0)",
    "os.chmod(folder, 0)",
    "os.utime(victim)",
    "os.setxattr(victim, 'user.x', b'x')",
    "os.chown(victim, 1, 1)",
    "import shutil; shutil.rmtree(folder)",
    "import sqlite3; sqlite3.connect(folder + '/new').execute('create table t (x)')",
    "import ctypes; assert ctypes.CDLL(None).creat((folder + '/new').encode(), 0o666) >= 0",
]
FILES = "import os\nfolder, victim = {folder!r}, {victim!r}\n"


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_files_outside_stay_as_they_are(attempt: str, outside: Outside, raised: tuple[str, ...], run: Run) -> None:
    facts = FILES.format(folder=str(outside.folder), victim=str(outside.victim))
    outcome = run(facts + attempt, LIMITS, raised=raised)
    assert outcome.reason in ("refused", "failed"), outcome
    assert [path.name for path in outside.folder.iterdir()] == ["victim"]
    assert outside.victim.read_text() == "whole"
    now = outside.victim.stat()
    assert (now.st_mode & 0o777, now.st_uid, now.st_mtime) == (0o666, os.getuid(), 1.0)
    assert outside.folder.stat().st_mode & 0o777 == 0o777
    assert os.listxattr(outside.victim) == []


@pytest.mark.skipif(os.getuid() != 0, reason="not all of it is allowed to any user")
@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_without_walls_the_same_attempt_succeeds(attempt: str, outside: Outside, run: Run) -> None:
    """So that it is the walls that the test above tests."""
    facts = FILES.format(folder=str(outside.folder), victim=str(outside.victim))
    outcome = run(facts + attempt, LIMITS, raised=(), allow_weaker=True)
    assert outcome.passed, outcome


@pytest.mark.parametrize("where", ["home", "here", "interpreter", "temporary"])
def test_no_file_appears_where_it_might_do_harm(where: str, raised: tuple[str, ...], run: Run) -> None:
    import sysconfig

    folder = {"home": Path.home(), "here": Path.cwd(), "interpreter": sysconfig.get_path("stdlib"), "temporary": "/tmp"}
    path = Path(folder[where]) / f"escaped-{os.getpid()}"
    run(f"open({str(path)!r}, 'w')", LIMITS, raised=raised)
    assert not path.exists()


def test_secrets_cannot_be_read(
    outside: Outside, raised: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    monkeypatch.setenv("WENLU_SECRET", "hush")
    outside.victim.write_text("hush")
    program = f"""
import glob, os
found = repr(dict(os.environ))
for name in [{str(outside.victim)!r}, '/etc/passwd', '/etc/shadow', *glob.glob('/proc/*/environ'), '/proc/self/environ',
             '/proc/{os.getpid()}/environ', '/proc/{os.getpid()}/maps', '/proc/1/cmdline']:
    try:
        found += open(name, errors='replace').read()
    except OSError:
        pass
assert 'hush' in found or ':/' in found
"""
    outcome = run(program, LIMITS, raised=raised)
    assert outcome.reason == "failed", outcome


@pytest.mark.parametrize(
    "program",
    [
        "open('huge', 'wb').write(bytes(64 * 2**20))",
        "import os; os.truncate(os.open('huge', os.O_CREAT | os.O_RDWR), 2**40)",
        "open_files = [open(f'{i}', 'w') for i in range(2000)]",
    ],
)
def test_files_are_limited(program: str, raised: tuple[str, ...], run: Run) -> None:
    assert run(program, LIMITS, raised=raised).reason == "limits"


def test_many_files_are_limited_together(run: Run) -> None:
    program = "for i in range(100): open(f'{i}', 'wb').write(bytes(2**20))"
    assert run(program, LIMITS).reason == "limits"


# Network


CONNECTIONS = [
    "socket.create_connection(('127.0.0.1', port), timeout=5)",
    "socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', port))",
    "s = socket.socket(socket.AF_UNIX); s.connect(path)",
    "s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.sendto(b'x', path + '.datagram')",
    "a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM); a.sendto(b'x', path + '.datagram')",
    "s = socket.socket(socket.AF_UNIX); s.connect(abstract)",
    "import ctypes; c = ctypes.CDLL(None); assert c.connect(c.socket(1, 1, 0), b'\\1\\0' + path.encode(), 90) == 0",
]
QUESTIONS = [
    "socket.getaddrinfo('example.com', 80)",
    "socket.socket().bind(('127.0.0.1', 0)); socket.create_connection(('192.0.2.1', 80), timeout=5)",
    "import urllib.request; urllib.request.urlopen(f'http://127.0.0.1:{port}/', timeout=5)",
]


@contextmanager
def listening(folder: Path) -> Iterator[tuple[str, list[socket.socket]]]:
    """Sockets of all kinds that wait outside, and the lines that tell a program where."""
    path, abstract = f"{folder}/socket", f"\0wenlu-{os.getpid()}"
    with (
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        socket.socket(socket.AF_UNIX) as unix,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams,
        socket.socket(socket.AF_UNIX) as hidden,
    ):
        udp.bind(tcp.getsockname())
        unix.bind(path)
        datagrams.bind(path + ".datagram")
        hidden.bind(abstract)
        os.chmod(path, 0o777)
        os.chmod(path + ".datagram", 0o777)
        unix.listen()
        hidden.listen()
        facts = f"import socket\nport, path, abstract = {tcp.getsockname()[1]}, {path!r}, {abstract!r}\n"
        yield facts, [tcp, udp, unix, datagrams, hidden]


def touched(listeners: Sequence[socket.socket]) -> int:
    """How many of them somebody has connected to, or sent something."""
    return len(select.select(listeners, [], [], 0)[0])


@pytest.mark.parametrize("attempt", [*CONNECTIONS, *QUESTIONS])
def test_no_connection_comes_out(attempt: str, outside: Outside, raised: tuple[str, ...], run: Run) -> None:
    with listening(outside.folder) as (facts, listeners):
        outcome = run(facts + attempt, LIMITS, raised=raised)
        assert outcome.reason in ("refused", "failed"), outcome
        assert touched(listeners) == 0


@pytest.mark.parametrize("attempt", CONNECTIONS)
def test_without_walls_the_same_connection_succeeds(attempt: str, outside: Outside, run: Run) -> None:
    with listening(outside.folder) as (facts, listeners):
        outcome = run(facts + attempt, LIMITS, raised=(), allow_weaker=True)
        assert outcome.passed, outcome
        assert touched(listeners) == 1
