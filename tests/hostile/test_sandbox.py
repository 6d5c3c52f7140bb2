"""Programs that try to get out of the sandbox: with all walls, and with either half of them alone.

Each reaches its end, and so would pass, only if it got what it wanted.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.hostile.conftest import ALL_WALLS, BRIEF, KERNEL, LIMITS, SPACES, Run

from wenlu.errors import UsageError
from wenlu.evaluation.sandbox import PROTECTIONS, WALLS, Limits, Outcome, run_many, run_tests

pytestmark = pytest.mark.skipif(not ALL_WALLS, reason="this system does not grant all walls")


# What must work


def test_a_program_has_the_library_threads_and_a_folder(raised: tuple[str, ...]) -> None:
    program = """
import asyncio, collections, ctypes, dataclasses, decimal, hashlib, heapq, itertools, json, math, os, random, re
import shutil, socket, sqlite3, ssl, statistics, sys, tempfile, threading, typing, unittest, zlib
assert os.listdir(".") == [] and dict(os.environ) == {} and sys.stdin.read() == ""
with open("a", "w") as file: file.write("text")
os.mkdir("b"); os.rename("a", "b/a"); os.symlink("b/a", "c"); assert open("c").read() == "text"; shutil.rmtree("b")
with tempfile.TemporaryFile(dir=".") as file: file.write(b"x")
open(os.devnull, "w").write("x")
assert sqlite3.connect(":memory:").execute("select 1 + 1").fetchone() == (2,)
done = []
threads = [threading.Thread(target=done.append, args=(i,)) for i in range(8)]
[thread.start() for thread in threads]; [thread.join() for thread in threads]
assert sorted(done) == list(range(8))
async def later(): await asyncio.sleep(0.01); return await asyncio.to_thread(lambda: 7)
assert asyncio.run(later()) == 7
@dataclasses.dataclass
class Point: x: int
assert Point(1) == Point(1) and __name__ != "__main__"
print("说", hash("a"))
"""
    first, second = run_tests(program, LIMITS, raised=raised), run_tests(program, LIMITS, raised=raised)
    assert (first.passed, first.detail) == (True, "")
    assert first.output.startswith("说 ")
    assert first.output == second.output, "hashes of text are the same in every run"


def test_many_programs_come_back_in_order_and_leave_nothing() -> None:
    before = set(Path(tempfile.gettempdir()).glob("wenlu-sandbox-*"))
    programs = [f"open('x', 'x').write('x')\nassert {i} % 3" for i in range(30)]
    assert [outcome.passed for outcome in run_many(programs, LIMITS, workers=2)] == [i % 3 != 0 for i in range(30)]
    assert set(Path(tempfile.gettempdir()).glob("wenlu-sandbox-*")) <= before


# Ways to seem to pass


@pytest.mark.parametrize(
    "program",
    [
        "import os; os._exit(0)",
        "import sys; sys.exit(0)",
        "raise SystemExit",
        "raise KeyboardInterrupt",
        "import os, threading; threading.Thread(target=os._exit, args=(0,)).start()\nwhile True: pass",
        "import os, sys; os._exit = sys.exit = lambda *_: None\nassert False",
        "import builtins; builtins.AssertionError = Exception; assert False",
        "import atexit, os; atexit.register(os._exit, 0); assert False",
        "import sys; sys.excepthook = lambda *_: None; assert False",
        "print('passed'); print('{\"reason\": \"passed\"}'); assert False",
        "import os\nfor i in range(10):\n  try: os.write(i, b'passed:')\n  except OSError: pass\nassert False",
        "import os; os.closerange(0, 100)\nassert False",
        "import os; os.execv('/bin/true', ['true'])",
        "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\nassert False",
        "class Sly(Exception):\n  def __str__(self): raise Sly\nraise Sly",
        "class Sly(OSError):\n  errno = property(lambda self: 1 / 0)\nraise Sly",
        "import ctypes; ctypes.CDLL(None).exit(0)",
        "def f(: pass",
        "x = '\udc80'",
        "x = '\0'",
    ],
)
def test_who_leaves_early_does_not_pass(program: str, raised: tuple[str, ...], run: Run) -> None:
    outcome = run(program, LIMITS, raised=raised)
    assert not outcome.passed
    assert outcome.reason in ("failed", "refused", "killed")


def test_a_failure_is_told_with_its_line() -> None:
    outcome = run_tests("x = 1\nassert x == 2, f'x is {x}'")
    assert (outcome.reason, outcome.detail) == ("failed", "AssertionError: x is 1 (line 2 of <program>)")


def test_a_crash_is_told_by_its_signal(raised: tuple[str, ...], run: Run) -> None:
    outcome = run("import ctypes; ctypes.string_at(0)", LIMITS, raised=raised)
    assert (outcome.reason, outcome.detail) == ("killed", "ended by signal 11 (Segmentation fault)")


# Processes


def named(name: str) -> list[int]:
    """The living processes and threads of this name."""
    found = []
    for path in Path("/proc").glob("[0-9]*/comm"):
        try:
            if path.read_text().strip() == name:
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


DAEMON = """
import ctypes, os, signal, time
ctypes.CDLL(None).prctl(15, {name!r}.encode(), 0, 0, 0)
if os.fork() == 0:
    os.setsid()
    for number in (1, 2, 3, 13, 14, 15): signal.signal(number, signal.SIG_IGN)
    if os.fork() == 0:
        time.sleep(1000)
    os._exit(0)
time.sleep(0.2)
{end}
"""
BOMB = """
import ctypes, os, time
ctypes.CDLL(None).prctl(15, {name!r}.encode(), 0, 0, 0)
while True:
    try: os.fork()
    except BlockingIOError: pass
"""


@pytest.mark.parametrize("end", ["pass", "assert False", "while True: pass"])
def test_a_daemon_does_not_outlive_its_program(end: str, run: Run) -> None:
    name = f"daemon-{os.getpid() % 10**6}"
    program = DAEMON.format(name=name, end=end)
    for lowered in (KERNEL, (*KERNEL, *SPACES)):  # by the namespace, and then by the warden's own hand
        raised = [wall for wall in WALLS if wall not in lowered]
        outcome = run(program, BRIEF if "while" in end else LIMITS, raised=raised, allow_weaker=True)
        assert outcome.reason == {"pass": "passed", "assert False": "failed"}.get(end, "timeout"), outcome
        assert named(name) == []


def test_a_fork_bomb_ends_with_its_program(run: Run) -> None:
    name = f"bomb-{os.getpid() % 10**6}"
    raised = [wall for wall in WALLS if wall not in KERNEL]
    assert run(BOMB.format(name=name), BRIEF, raised=raised).reason == "timeout"
    assert named(name) == []


@pytest.mark.parametrize("call", ["os.fork()", "subprocess.run(['true'])", "os.system('true') and 1 / 0"])
def test_the_filter_lets_no_program_fork(call: str, run: Run) -> None:
    assert run(f"import os, subprocess\n{call}", LIMITS).reason in ("refused", "failed")


def test_threads_are_limited(raised: tuple[str, ...], run: Run) -> None:
    program = "import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(99,)).start()"
    assert run(program, LIMITS, raised=raised).reason == "limits"


@pytest.mark.parametrize("call", ["os.kill(pid, 9)", "os.kill(-1, 9)", "os.killpg(pid, 9)", "os.kill(os.getppid(), 9)"])
def test_no_signal_reaches_a_process_outside(call: str, raised: tuple[str, ...], run: Run) -> None:
    with subprocess.Popen(["sleep", "1000"], start_new_session=True) as other:
        try:
            run(f"import os\npid = {other.pid}\n{call}", LIMITS, raised=raised)
            assert other.poll() is None
        finally:
            other.kill()


def test_a_program_ends_with_who_asked_for_it() -> None:
    name = f"orphan-{os.getpid() % 10**6}"
    program = DAEMON.format(name=name, end="time.sleep(1000)")
    raised = tuple(wall for wall in WALLS if wall not in KERNEL)
    asking = f"""
from wenlu.evaluation.sandbox import Limits, run_tests
run_tests({program!r}, Limits(timeout_seconds=600.0), raised={raised!r})
"""
    with subprocess.Popen([sys.executable, "-c", asking]) as asker:
        try:
            assert soon(lambda: len(named(name)) >= 2, seconds=120)
        finally:
            asker.kill()
    assert soon(lambda: named(name) == [], seconds=20)


def soon(holds: Callable[[], bool], *, seconds: float) -> bool:
    """Whether it comes to hold in this time."""
    end = time.monotonic() + seconds
    while not holds() and time.monotonic() < end:
        time.sleep(0.05)
    return holds()


def test_who_ignores_all_signals_is_ended(raised: tuple[str, ...], run: Run) -> None:
    program = """
import signal
for number in signal.valid_signals():
    try: signal.signal(number, lambda *_: None)
    except (OSError, ValueError): pass
while True:
    try:
        while True: pass
    except BaseException: pass
"""
    begin = time.monotonic()
    outcome = run(program, BRIEF, raised=raised)
    assert (outcome.reason, outcome.detail) == ("timeout", "not through after 1 s")
    assert time.monotonic() - begin < 20


CALLS = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) if isinstance(a, int) else a for a in arguments])
    return result >= 0 or ctypes.get_errno() not in (1, 13, 38)
"""


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers are those of x86-64")
@pytest.mark.parametrize(
    "call",
    [
        *("41, 2, 1, 0", "41, 1, 1, 0", "425, 8, ctypes.create_string_buffer(120)", "321, 0, None, 0"),
        *("101, 16, 1, 0, 0", "310, 1, None, 0, None, 0, 0", "434, 1, 0", "272, 0x10000000", "308, 3, 0"),
        *("165, b'none', b'/tmp', b'tmpfs', 0, None", "161, b'.'", "155, b'.', b'.'", "304, -100, None, 0"),
        *("317, 0, 0, None", "157, 22, 0, 0, 0", "323, 0", "319, b'x', 0", "29, 0, 4096, 0o1600", "250, 0, 0, 0"),
        *("59, b'/bin/true', None, None", "322, -100, b'/bin/true', None, None, 0", "57", "58", "435, None, 88"),
        *("56, 17, 0, 0, 0, 0", "200, 1, 9", "129, 1, 9, None", "175, None, 0, b''", "169, 0, 0, 0, None"),
    ],
)
def test_dangerous_system_calls_are_not_there(call: str, run: Run) -> None:
    """By number, through ctypes, past all that Python checks."""
    outcome = run(f"{CALLS}\nassert call({call})", LIMITS)
    assert outcome.reason == "failed", outcome
    assert outcome.detail.startswith("AssertionError")


# Memory and time


@pytest.mark.parametrize(
    "program",
    [
        "x = bytearray(2**33)",
        "x = []\nwhile True: x.append(bytearray(2**20))",
        "x = 'a'\nwhile True: x += x",
        "import mmap; x = [mmap.mmap(-1, 2**26) for _ in range(100)]",
        "x = (0,) * 10**9",
    ],
)
def test_memory_is_limited(program: str, raised: tuple[str, ...], run: Run) -> None:
    limits = Limits(timeout_seconds=20.0, memory_bytes=256 * 2**20)
    assert run(program, limits, raised=raised).reason == "memory"


def test_endless_output_is_cut_and_ends_in_time(raised: tuple[str, ...], run: Run) -> None:
    outcome = run("while True: print('x' * 99)", BRIEF, raised=raised)
    assert outcome.reason == "timeout"
    assert len(outcome.output) == BRIEF.output_bytes


def test_output_beyond_the_cut_changes_nothing(run: Run) -> None:
    outcome: Outcome = run("import sys\nprint('x' * 10**6); print('y' * 10**6, file=sys.stderr)", LIMITS)
    assert (outcome.passed, len(outcome.output)) == (True, LIMITS.output_bytes)


def test_sleeping_is_ended_by_the_clock(run: Run) -> None:
    outcome = run("import time; time.sleep(1000)", BRIEF)
    assert outcome.reason == "timeout"
    assert 1 <= outcome.seconds < 10


# Saying what holds


def test_walls_that_do_not_hold_are_refused_with_what_is_missing() -> None:
    missing = re.escape(", ".join(PROTECTIONS))
    with pytest.raises(UsageError, match=f"the sandbox would not hold here: {missing} cannot be had"):
        run_tests("open('ran', 'w')", raised=())
    assert run_tests("pass", raised=(), allow_weaker=True).passed


@pytest.mark.parametrize(
    ("lowered", "missing"),
    [
        (("seccomp", "private root"), "no network, no files outside"),
        (("seccomp", "pid namespace"), "no process that outlives it, or is reached by it"),
        (("landlock", "private root"), "no files outside"),
        (("resource limits",), "bounded memory"),
        (("no capabilities",), "no files outside"),
    ],
)
def test_one_wall_stands_in_for_another_but_not_for_all(lowered: tuple[str, ...], missing: str) -> None:
    with pytest.raises(UsageError, match=f"would not hold here: {missing} cannot be had"):
        run_tests("pass", raised=[wall for wall in WALLS if wall not in lowered])


def test_other_systems_are_told_where_programs_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(UsageError, match="behind walls on Linux only, not on darwin; use a Linux container there"):
        run_tests("pass")
