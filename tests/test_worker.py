"""Processes for what may hang or crash: asked, ended, late, and asked again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from wenlu.worker import Worker, WorkerEnded, WorkerLate

SCRIPT = """
import sys, time
for line in sys.stdin.buffer:
    match line.strip():
        case b"die":
            sys.exit(3)
        case b"sleep":
            time.sleep(60)
        case said:
            sys.stdout.buffer.write(b"%d\\n" % len(said) + said)
            sys.stdout.buffer.flush()
"""


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    made = Worker(script, "repeat words")
    made.start()
    yield made
    made.stop()


def test_a_line_and_what_stands_behind_it_are_read_apart(worker: Worker) -> None:
    said = b"x" * 3_000_000  # more than a pipe holds
    worker.send(said, b"\n")
    assert int(worker.line(20)) == len(said)
    assert worker.content(len(said), 20) == said


def test_one_that_ends_says_so_and_the_next_question_starts_another(worker: Worker) -> None:
    first = worker.pid
    worker.send(b"die\n")
    with pytest.raises(WorkerEnded):
        worker.line(20)
    assert worker.exit_code(5) == 3
    assert worker.start()
    assert not worker.start()
    assert worker.pid not in (None, first)
    worker.send(b"again\n")
    assert worker.line(20) == b"5\n"


def test_one_that_is_late_is_told_from_one_that_ended(worker: Worker) -> None:
    worker.send(b"sleep\n")
    with pytest.raises(WorkerLate):
        worker.line(0.2)
    assert worker.exit_code(0.1) is None


def test_what_was_left_in_the_pipe_is_not_taken_for_the_next_answer(worker: Worker) -> None:
    worker.send(b"unread\n")
    worker.line(20)
    worker.stop()
    worker.start()
    worker.send(b"ok\n")
    assert worker.line(20) + worker.content(2, 20) == b"2\nok"


def test_a_forked_process_has_one_of_its_own(worker: Worker) -> None:
    mine = worker.pid
    child = os.fork()
    if child == 0:
        os._exit(0 if worker.pid is None and worker.start() and worker.pid != mine else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert worker.pid == mine
