from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from wenlu.cli.runs import runs
from wenlu.errors import UsageError
from wenlu.rundir import Run

app = typer.Typer()
app.command()(runs)


def make_run(folder: Path, name: str, created: str, *, steps: int = 3) -> Run:
    run = Run.create(folder, f'name = "{name}"\n', {"created": created})
    for step in range(1, steps + 1):
        run.log("loss", 9.0 / step, "nats/token", step=step, tokens=step * 100, seconds=step / 2)
    run.log("validation", 2.5, "bits/byte", step=steps, tokens=steps * 100, seconds=steps / 2)
    return run


def output(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_runs_are_listed_newest_first_with_their_state(tmp_path: Path) -> None:
    make_run(tmp_path / "old", "first", "2026-01-01T00:00:00+00:00").close()
    with make_run(tmp_path / "group" / "new", "second", "2026-02-01T00:00:00+00:00", steps=5) as run:
        run.finish(step=5, tokens=500, seconds=2.5)
    running = make_run(tmp_path / "now", "third", "2026-03-01T00:00:00+00:00")
    try:
        rows = json.loads(output(str(tmp_path), "--json"))["runs"]
        words = output(str(tmp_path))
    finally:
        running.close()
    assert [(row["name"], row["state"]) for row in rows] == [
        ("third", "running"),
        ("second", "finished"),
        ("first", "resumable"),
    ]
    assert (rows[1]["steps"], rows[1]["tokens"], rows[1]["loss"], rows[1]["bits_per_byte"]) == (5, 500, 1.8, 2.5)
    assert rows[1]["bytes"] == sum(path.stat().st_size for path in (tmp_path / "group" / "new").iterdir())
    assert [line.split()[1] for line in words.splitlines()] == ["state", "running", "finished", "resumable"]


def test_the_evaluation_counts_more_than_the_last_validation(tmp_path: Path) -> None:
    make_run(tmp_path, "x", "").close()
    (tmp_path / "evaluation.json").write_text('{"bits_per_byte": 1.25}')
    assert json.loads(output(str(tmp_path), "--json"))["bits_per_byte"] == 1.25


def test_stages_decide_whether_a_whole_life_is_finished(tmp_path: Path) -> None:
    with make_run(tmp_path, "x", "") as run:
        run.finish(step=3, tokens=300, seconds=1.5)
    (tmp_path / "stages.json").write_text('{"train": {"state": "done"}, "evaluate": {"state": "started"}}')
    assert json.loads(output(str(tmp_path), "--json"))["state"] == "resumable"
    (tmp_path / "stages.json").write_text('{"train": {"state": "done"}, "evaluate": {"state": "done"}}')
    assert json.loads(output(str(tmp_path), "--json"))["state"] == "finished"


def test_one_run_is_shown_with_the_last_of_all_that_it_logged(tmp_path: Path) -> None:
    with make_run(tmp_path, "x", "2026-01-01T00:00:00+00:00") as run:
        run.log("sample", "a text\nof two lines", "text", step=3, tokens=300, seconds=1.5)
    (tmp_path / "checkpoints" / "step-00000003").mkdir(parents=True)
    words = output(str(tmp_path))
    assert "x  resumable" in words
    assert "loss           3 nats/token  (step 3)" in words
    assert "of two lines" not in words
    assert "checkpoints    step-00000003" in words
    shown = json.loads(output(str(tmp_path), "--json"))
    assert shown["last"]["validation"] == {"step": 3, "value": 2.5, "unit": "bits/byte"}
    assert shown["checkpoints"] == ["step-00000003"]


def test_a_damaged_run_is_listed_with_its_problem(tmp_path: Path) -> None:
    make_run(tmp_path / "bad", "bad", "").close()
    log = tmp_path / "bad" / "events.jsonl"
    log.write_bytes(log.read_bytes().replace(b'"step":2', b'"step":4', 1))
    row = json.loads(output(str(tmp_path), "--json"))["runs"][0]
    assert row["steps"] == 1
    assert "events.jsonl, line 2: does not match its checksum" in row["problem"]


def test_runs_inside_a_run_belong_to_it(tmp_path: Path) -> None:
    make_run(tmp_path / "all", "all", "").close()
    make_run(tmp_path / "all" / "families" / "gru", "gru", "").close()
    assert [row["name"] for row in json.loads(output(str(tmp_path), "--json"))["runs"]] == ["all"]


def test_a_folder_without_runs_says_how_to_make_one(tmp_path: Path) -> None:
    assert "wenlu run recipes/tiny.toml --out" in output(str(tmp_path))


def test_a_folder_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="none: no such folder; name the one that holds your runs"):
        runs(tmp_path / "none")


def test_listing_runs_does_not_wait_for_torch(tmp_path: Path) -> None:
    make_run(tmp_path / "x", "x", "").close()
    code = (
        "import sys; from pathlib import Path; from wenlu.cli.runs import runs; "
        f"runs(Path({str(tmp_path)!r})); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL).returncode == 0
