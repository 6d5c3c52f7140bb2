"""Each tracker holds what `events.jsonl` says, read back by its own means; sockets are blocked."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.rundir.trackers.readers import READERS, Points

from wenlu.errors import MissingExtra, ResourceError, UsageError
from wenlu.rundir import Run
from wenlu.rundir.lock import Lock
from wenlu.rundir.trackers import FOLDER, TRACKERS, check_installed
from wenlu.rundir.trackers.follow import Tail, follow

pytestmark = pytest.mark.filterwarnings("ignore")  # of the trackers' own code
ODD = {1: math.nan, 2: math.inf, 3: -math.inf}
"""What each tracker keeps of such numbers is its own affair; what comes after them must arrive."""
SETTINGS = 'name = "ward"\n[train]\nlr = 0.5\n'
NAMES = [row.name for row in TRACKERS]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    for variable in ("MLFLOW_TRACKING_URI", "WANDB_DIR", "WANDB_MODE", "WANDB_PROJECT"):
        monkeypatch.delenv(variable, raising=False)
    with Run.create(tmp_path / "run", SETTINGS, {"created": "2026-01-01T00:00:00+00:00"}) as run:
        yield run


def tell(run: Run, name: str) -> None:
    """Bring the tracker up to date; Trackio in a process of its own, since it reads its folder when imported."""
    if name != "trackio":
        follow(run.path, name)
        return
    blocked = run.path / "blocked"
    blocked.mkdir(exist_ok=True)
    (blocked / "sitecustomize.py").write_text("import pytest_socket\npytest_socket.socket_allow_hosts(['127.0.0.1'])\n")
    paths = os.pathsep.join([str(blocked), *sys.path])
    environment = {**os.environ, "PYTHONPATH": paths, "TRACKIO_DIR": str(run.path / FOLDER / name)}
    command = [sys.executable, "-m", "wenlu.rundir.trackers.follow", str(run.path), name]
    subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=True)


def train(run: Run, first: int, last: int) -> None:
    for step in range(first, last + 1):
        run.log("loss", 8.0 / step, "nats/token", step=step, tokens=10 * step, seconds=step / 2)
        run.log("odd", ODD.get(step, 1.0), "", step=step, tokens=10 * step, seconds=step / 2)
        if step % 2 == 0:
            run.log("validation", 4.0 / step, "bits/byte", step=step, tokens=10 * step, seconds=step / 2)
            run.log("sample", "text of\ntwo lines", "text", step=step, tokens=10 * step, seconds=step / 2)


def expected(steps: int) -> Points:
    return {
        "loss": [(step, pytest.approx(8.0 / step)) for step in range(1, steps + 1)],
        "validation": [(step, pytest.approx(4.0 / step)) for step in range(2, steps + 1, 2)],
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_tracker_holds_each_point_once_though_the_run_went_back_and_on(name: str, run: Run) -> None:
    train(run, 1, 5)
    tell(run, name)
    run.forget_after(3)  # as a run that was killed, and goes on from its checkpoint of step 3
    train(run, 4, 6)
    run.finish(step=6, tokens=60, seconds=3.0)
    tell(run, name)
    points = READERS[name](run.path / FOLDER / name)
    assert points.pop("odd")[-1] == (6, 1.0)
    assert points == expected(6)


def test_a_tracker_that_is_up_to_date_is_told_nothing(run: Run) -> None:
    train(run, 1, 5)
    assert follow(run.path, "tensorboard") == 14
    run.finish(step=5, tokens=50, seconds=2.5)
    assert follow(run.path, "tensorboard") == 0


def test_tensorboard_shows_text_units_and_the_time_of_training(run: Run) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(run, 1, 2)
    follow(run.path, "tensorboard")
    read = EventAccumulator(str(run.path / FOLDER / "tensorboard"))
    read.Reload()
    assert read.Tensors("sample")[0].tensor_proto.string_val == [b"text of\ntwo lines"]
    assert read.SummaryMetadata("loss").summary_description == "nats/token"
    first, second = read.Scalars("loss")
    assert second.wall_time - first.wall_time == pytest.approx(0.5)


def test_a_line_that_is_being_written_is_read_once_it_is_whole(run: Run) -> None:
    train(run, 1, 3)
    path = run.path / "events.jsonl"
    whole = path.read_bytes()
    tail = Tail(path)
    path.write_bytes(whole[:-20])
    assert [event.step for event, _ in tail.new() if event.name == "odd"] == [1, 2]
    path.write_bytes(whole)
    assert [event.step for event, _ in tail.new() if event.name == "odd"] == [3]
    assert [*tail.new()] == []


def test_two_processes_do_not_tell_one_tracker_of_one_run(run: Run) -> None:
    folder = run.path / FOLDER / "tensorboard"
    folder.mkdir(parents=True)
    lock = Lock(folder / ".lock")
    with pytest.raises(ResourceError, match="is writing this run"):
        follow(run.path, "tensorboard")
    lock.release()


@pytest.mark.parametrize("row", TRACKERS, ids=lambda row: row.name)
def test_a_tracker_that_is_not_installed_is_named_with_what_installs_it(
    row: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_installed([row.name])  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, row.module, None)  # type: ignore[attr-defined]
    with pytest.raises(MissingExtra, match=rf"{row.package} is needed to show runs in .*wenlu\[{row.name}\]"):  # type: ignore[attr-defined]
        check_installed([row.name])  # type: ignore[attr-defined]


def test_an_unknown_tracker_names_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"tensorbord: no tracker; did you mean tensorboard\?"):
        check_installed(["tensorbord"])
