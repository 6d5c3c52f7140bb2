from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from wenlu.errors import DataError, ResourceError, UsageError
from wenlu.rundir import Run, is_run


def log_losses(run: Run, steps: range, seconds: float = 0.0) -> None:
    for step in steps:
        run.log("loss", 5.0 / step, "nats", step=step, tokens=100 * step, seconds=seconds + step)


def test_a_created_run_can_be_opened_and_read(tmp_path: Path) -> None:
    with Run.create(tmp_path / "a" / "run", "seed = 1\n", {"wenlu": "0"}) as run:
        log_losses(run, range(1, 4))
    again = Run.open(tmp_path / "a" / "run")
    assert [(event.step, event.value) for event in again.events()] == [(1, 5.0), (2, 2.5), (3, 5.0 / 3)]
    assert again.path.joinpath("config.toml").read_text() == "seed = 1\n"
    assert is_run(again.path)


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match=r"holds 'thesis.tex' and is not a run; choose an empty or new folder"):
        Run.create(tmp_path, "", {})
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_folder_with_only_settings_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("mine = true\n")
    with pytest.raises(UsageError, match=r"holds 'config.toml' and is not a run"):
        Run.create(tmp_path, "", {})


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(UsageError, match="a file, not a folder"):
        Run.create(tmp_path / "run", "", {})


def test_a_creation_that_was_killed_can_be_repeated(tmp_path: Path) -> None:
    (tmp_path / ".lock").write_text("999999999\n")
    (tmp_path / "provenance.json").write_text("{}")
    (tmp_path / f".config.toml.tmp-{'a' * 32}").write_text("hal")
    Run.create(tmp_path, "seed = 1\n", {}).close()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "config.toml", "provenance.json"]


def test_creating_over_a_run_keeps_its_events(tmp_path: Path) -> None:
    with Run.create(tmp_path, "seed = 1\n", {}) as run:
        log_losses(run, range(1, 3))
    with Run.create(tmp_path, "seed = 2\n", {}) as run:
        assert len(list(run.events())) == 2
    assert (tmp_path / "config.toml").read_text() == "seed = 2\n"


def test_a_folder_that_is_no_run_is_not_opened(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a run"):
        Run.open(tmp_path)


def test_a_run_without_permission_names_the_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        if os.access(tmp_path, os.W_OK):
            pytest.skip("this user may write everywhere")
        with pytest.raises(ResourceError, match="Permission denied"):
            Run.create(tmp_path / "run", "", {})
    finally:
        tmp_path.chmod(0o700)


def test_resuming_tells_the_same_events_as_an_uninterrupted_run(tmp_path: Path) -> None:
    with Run.create(tmp_path / "whole", "", {}) as whole:
        log_losses(whole, range(1, 9))
    with Run.create(tmp_path / "cut", "", {}) as cut:
        log_losses(cut, range(1, 7))  # killed after step 6, checkpoint of step 4
    with (tmp_path / "cut" / "events.jsonl").open("ab") as file:
        file.write(b'{"step":7,"tokens"')
    with Run.open(tmp_path / "cut") as cut:
        cut.forget_after(4)
        log_losses(cut, range(5, 9))
    assert list(cut.events()) == list(whole.events())


def test_the_state_follows_the_life_of_a_run(tmp_path: Path) -> None:
    run = Run.create(tmp_path, "", {})
    log_losses(run, range(1, 3))
    assert run.state == "running"
    run.close()
    assert run.state == "resumable"
    with run:
        run.finish(step=2, tokens=200, seconds=2.0)
    assert run.state == "finished"


HOLD = """
import sys, time
from pathlib import Path
from wenlu.rundir.run import Run
run = Run.create(Path(sys.argv[1]), "", {})
print("ready", flush=True)
time.sleep(60)
"""


def test_two_processes_never_write_one_run_and_a_dead_one_frees_it(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        run = Run.open(tmp_path)
        assert run.state == "running"
        with pytest.raises(ResourceError, match=f"process {process.pid} is writing this run; .* `kill {process.pid}`"):
            run.log("loss", 1.0, "nats", step=1, tokens=1, seconds=1.0)
        process.send_signal(signal.SIGKILL)
        process.wait()
    with run:
        log_losses(run, range(1, 2))
    assert len(list(run.events())) == 1


FORK = """
import os, sys, time
from pathlib import Path
from wenlu.rundir.run import Run
run = Run.create(Path(sys.argv[1]), "", {})
worker = os.fork()
if worker == 0:
    print(os.getpid(), flush=True)
time.sleep(60)
"""


def test_a_forked_worker_that_outlives_its_killed_parent_does_not_keep_the_lock(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", FORK, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        worker = int(process.stdout.readline())
        process.kill()
        process.wait()
        try:
            Run.create(tmp_path, "", {}).close()
        finally:
            os.kill(worker, signal.SIGKILL)


def test_the_notebook_view_escapes_names(tmp_path: Path) -> None:
    with Run.create(tmp_path, "", {}) as run:
        run.log("<script>", "<b>", "", step=1, tokens=1, seconds=1.0)
        html = run._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
