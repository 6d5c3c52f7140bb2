"""Compare, plot and prune runs, and tell trackers of them, as a user at the command line does."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from typer.testing import CliRunner

from wenlu.cli.app import app
from wenlu.errors import DataError, ResourceError, UsageError
from wenlu.lifecycle.run_plot import Axis
from wenlu.rundir import Run
from wenlu.rundir.pruning import plan_pruning
from wenlu.rundir.pruning import prune as remove

SVG = "{http://www.w3.org/2000/svg}"


def make_run(folder: Path, *, lr: float = 0.1, scale: float = 1.0, finished: bool = True, saved: int = 0) -> Path:
    with Run.create(folder, f'name = "{folder.name}"\n[optimizer]\nlr = {lr}\n', {"created": ""}) as run:
        for step in range(1, 11):
            run.log("loss", scale * 8.0 / step, "nats/token", step=step, tokens=100 * step, seconds=step / 2)
            if step <= saved:
                run.save_checkpoint(step, {"w": torch.ones(1000)}, {}, keep=saved)
        run.log("sample", "text", "text", step=10, tokens=1000, seconds=5.0)
        if finished:
            run.finish(step=10, tokens=1000, seconds=5.0)
    return folder


def output(*words: object) -> str:
    result = CliRunner().invoke(app, ["runs", *map(str, words)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_folder_is_listed_with_and_without_the_word(tmp_path: Path) -> None:
    make_run(tmp_path / "a")
    assert output(tmp_path) == output("list", tmp_path)
    assert json.loads(output("--json", tmp_path)) == json.loads(output(tmp_path, "--json"))


def test_compared_runs_show_the_settings_that_differ_and_every_number(tmp_path: Path) -> None:
    a, b = make_run(tmp_path / "a"), make_run(tmp_path / "b", lr=0.2, scale=2.0)
    scores = {"metrics": [{"name": "bits_per_byte", "value": 1.25, "unit": "bits/byte"}]}
    (b / "evaluation.json").write_text(json.dumps(scores))
    found = json.loads(output("compare", a, b, "--json"))
    assert found["settings"] == {"name": ["a", "b"], "optimizer.lr": ["0.1", "0.2"]}
    assert found["scores"] == [{"name": "bits_per_byte", "unit": "bits/byte", "values": [None, 1.25]}]
    last = {row["name"]: row["values"] for row in found["last"]}
    assert last == {"steps": [10, 10], "tokens": [1000, 1000], "seconds": [5.0, 5.0], "loss": [0.8, 1.6]}
    words = output("compare", a, b)
    assert re.search(r"optimizer\.lr +0\.1 +0\.2", words)
    assert re.search(r"bits_per_byte +– +1\.25 +bits/byte", words)
    assert re.search(r"loss +0\.8 +1\.6 +nats/token", words)


def test_one_run_cannot_be_compared_and_no_run_is_named(tmp_path: Path) -> None:
    a = make_run(tmp_path / "a")
    with pytest.raises(UsageError, match="a: is one run; name two or more to compare"):
        output("compare", a)
    with pytest.raises(DataError, match="none: not a run"):
        output("compare", a, tmp_path / "none")


@pytest.mark.parametrize("suffix", [".svg", ".html"])
def test_a_chart_has_a_line_for_each_run(suffix: str, tmp_path: Path) -> None:
    a, b = make_run(tmp_path / "a"), make_run(tmp_path / "b", scale=2.0)
    out = tmp_path / f"chart{suffix}"
    assert output("plot", a, b, "--out", out) == f"chart  {out}\n"
    text = out.read_text()
    svg = ElementTree.fromstring(text[text.index("<svg") : text.index("</svg>") + 6])
    lines = [line.get("points", "").split() for line in svg.iter(f"{SVG}polyline")]
    assert [len(line) for line in lines] == [10, 10]
    heights = [[float(point.split(",")[1]) for point in line] for line in lines]
    assert heights[0] == sorted(heights[0])  # the loss falls: downwards on the page
    assert heights[1][3] == pytest.approx(heights[0][1], abs=0.2)  # 2 · 8/4 = 8/2
    assert [label.text for label in svg.iter(f"{SVG}text")].count(str(b)) == 1
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")


@pytest.mark.parametrize(("against", "last"), [("step", 10), ("tokens", 1000), ("seconds", 5.0)])
def test_a_chart_s_values_are_those_of_the_events(against: str, last: float, tmp_path: Path) -> None:
    a = make_run(tmp_path / "a")
    shown = json.loads(output("plot", a, "--against", against, "--json"))
    assert shown["runs"][str(a)]["x"][-1] == last
    assert shown["runs"][str(a)]["y"] == [8.0 / step for step in range(1, 11)]


def test_on_logarithmic_axes_a_power_law_is_a_straight_line(tmp_path: Path) -> None:
    a = make_run(tmp_path / "a")
    out = tmp_path / "chart.svg"
    output("plot", a, "--log-x", "--log-y", "--out", out)
    (line,) = ElementTree.parse(out).iter(f"{SVG}polyline")
    points = [tuple(map(float, point.split(","))) for point in line.get("points", "").split()]
    (x0, y0), (x1, y1) = points[0], points[-1]
    for x, y in points:
        assert y == pytest.approx(y0 + (x - x0) * (y1 - y0) / (x1 - x0), abs=0.2)


def test_a_logarithmic_axis_has_its_ticks_at_round_numbers() -> None:
    assert Axis.around(1.0, 100.0, is_log=True).ticks() == [1, 2, 5, 10, 20, 50, 100]
    assert Axis.around(5.3, 6.2, is_log=True).ticks() == pytest.approx([5.4, 5.6, 5.8, 6.0, 6.2])
    assert Axis.around(1.0, 1e6, is_log=True).ticks() == [1, 10, 100, 1e3, 1e4, 1e5, 1e6]


def test_at_the_terminal_a_chart_is_letters(tmp_path: Path) -> None:
    a, b = make_run(tmp_path / "a"), make_run(tmp_path / "b", scale=2.0)
    lines = output("plot", a, b).splitlines()
    assert lines[0] == "loss (nats/token)"
    assert lines[1].split("│")[0].strip() == "16"
    assert lines[1].split("│")[1].startswith("+")
    assert lines[16].endswith("•")
    assert lines[-2:] == [f"        • {a}", f"        + {b}"]


@pytest.mark.parametrize("value", [3.0, 0.0, -2.0])
def test_a_single_point_can_be_drawn(value: float, tmp_path: Path) -> None:
    with Run.create(tmp_path / "a", "", {}) as run:
        run.log("loss", value, "", step=1, tokens=1, seconds=0.0)
    assert "•" in output("plot", tmp_path / "a")
    output("plot", tmp_path / "a", "--out", tmp_path / "chart.svg")


def test_what_cannot_be_drawn_is_said(tmp_path: Path) -> None:
    a = make_run(tmp_path / "a")
    with pytest.raises(UsageError, match=r"a: logged no 'los'; did you mean loss\?"):
        output("plot", a, "--name", "los")
    with pytest.raises(UsageError, match=r"chart\.png: charts are written as \.svg or \.html, not \.png"):
        output("plot", a, "--out", tmp_path / "chart.png")
    with Run.create(tmp_path / "b", "", {}) as run:
        run.log("balance", -1.0, "", step=1, tokens=1, seconds=0.0)
    with pytest.raises(UsageError, match="no value of 'balance' is finite and above zero"):
        output("plot", tmp_path / "b", "--name", "balance", "--log-y")


def checkpoints(run: Path) -> list[str]:
    return sorted(path.name for path in (run / "checkpoints").iterdir())


def test_pruning_shows_first_and_removes_only_when_told(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a", saved=3)
    size = sum(
        file.stat().st_size for name in (1, 2) for file in (run / "checkpoints" / f"step-0000000{name}").iterdir()
    )
    shown = output("prune", tmp_path)
    assert "nothing is removed yet. Remove it with --yes" in shown
    assert checkpoints(run) == ["step-00000001", "step-00000002", "step-00000003"]
    found = json.loads(output("prune", tmp_path, "--yes", "--json"))
    assert found["freed_bytes"] == found["bytes"] == size
    assert checkpoints(run) == ["step-00000003"]
    assert output("prune", tmp_path) == "nothing to remove\n"


def test_the_newest_whole_checkpoint_stays_where_newer_ones_are_damaged(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a", saved=3)
    (run / "checkpoints" / "step-00000003" / "state.json").write_text("{ }")
    output("prune", tmp_path, "--yes")
    assert checkpoints(run) == ["step-00000002", "step-00000003"]
    checkpoint = Run.open(run).newest_checkpoint()
    assert checkpoint is not None
    assert checkpoint.step == 2


def test_a_run_whose_checkpoints_are_all_damaged_is_spared(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a", saved=2)
    for name in checkpoints(run):
        (run / "checkpoints" / name / "manifest.json").write_text("{}")
    found = json.loads(output("prune", tmp_path, "--yes", "--json"))
    assert checkpoints(run) == ["step-00000001", "step-00000002"]
    assert "no whole checkpoint" in found["spared"][0]["reason"]


def test_only_runs_that_are_unfinished_and_old_go_as_a_whole(tmp_path: Path) -> None:
    old, done, young = (tmp_path / name for name in ("old", "done", "young"))
    make_run(old, finished=False)
    make_run(done)
    long_ago = time.time() - 10 * 86_400
    for path in [*old.rglob("*"), *done.rglob("*"), old, done]:
        os.utime(path, (long_ago, long_ago))
    make_run(young, finished=False)
    assert output("prune", tmp_path, "--yes") == "nothing to remove\n"
    output("prune", tmp_path, "--unfinished-days", "7", "--yes")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["done", "young"]


def test_a_run_that_is_locked_is_never_touched(tmp_path: Path) -> None:
    path = make_run(tmp_path / "a", saved=3, finished=False)
    plan = plan_pruning(tmp_path)
    with Run.open(path) as run:
        run.claim()
        found = json.loads(output("prune", tmp_path, "--unfinished-days", "0", "--yes", "--json"))
        assert found["removals"] == []
        assert found["spared"][0]["reason"] == f"process {os.getpid()} is writing it"
        with pytest.raises(ResourceError, match=f"process {os.getpid()} is writing it by now"):
            remove(plan.removals)
    assert len(checkpoints(path)) == 3


def test_a_folder_without_runs_loses_nothing(tmp_path: Path) -> None:
    kept = tmp_path / "checkpoints" / "step-00000001"
    kept.mkdir(parents=True)
    (tmp_path / "config.toml").write_text("")
    assert output("prune", tmp_path, "--unfinished-days", "0", "--yes") == "nothing to remove\n"
    assert kept.exists()
    with pytest.raises(UsageError, match="no such folder"):
        output("prune", tmp_path / "none")


def test_a_finished_run_is_told_to_a_tracker_once(tmp_path: Path) -> None:
    run = make_run(tmp_path / "a")
    assert json.loads(output("track", run, "--to", "tensorboard", "--json"))["events"] == 11
    assert output("track", run, "--to", "tensorboard").startswith("tensorboard was told 0 events")
    with pytest.raises(DataError, match="not a run"):
        output("track", tmp_path)
