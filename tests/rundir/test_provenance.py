from __future__ import annotations

import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import torch

import wenlu
from wenlu.rundir.provenance import masked, provenance


def test_provenance_is_json_and_tells_where_a_run_comes_from() -> None:
    found = provenance(
        ["wenlu", "run", "a.toml"], {"data": 1}, {"a.txt": "ab" * 32}, now=datetime(2026, 1, 2, tzinfo=UTC)
    )
    assert json.loads(json.dumps(found)) == found
    assert found["created"] == "2026-01-02T00:00:00+00:00"
    assert found["command"] == ["wenlu", "run", "a.toml"]
    assert found["seeds"] == {"data": 1}
    assert found["data"] == {"a.txt": "ab" * 32}
    assert found["wenlu"] == wenlu.__version__
    assert found["libraries"]["torch"] == torch.__version__
    assert found["hardware"]["memory_bytes"] > 2**28
    assert found["hardware"]["cores"] >= 1


@pytest.mark.parametrize(
    ("argument", "shown"),
    [
        ("hub.token=abc", "hub.token=***"),
        ("--api-key=abc", "--api-key=***"),
        ("OPENAI_API_KEY=abc", "OPENAI_API_KEY=***"),
        ("store.password=p=q", "store.password=***"),
        ("hf_AbCdEfGhIjKlMnOp", "***"),
        ("note=sk-abcdefgh1234", "note=***"),
        ("data.train=https://me:pw@example.org/a.txt", "data.train=https://***@example.org/a.txt"),
        ("https://example.org/a?sig=xyz&page=2", "https://example.org/a?sig=***&page=2"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
    ],
)
def test_secrets_are_masked(argument: str, shown: str) -> None:
    assert masked([argument]) == [shown]


def test_the_value_after_a_secret_option_is_masked() -> None:
    assert masked(["wenlu", "--token", "abc", "run"]) == ["wenlu", "--token", "***", "run"]


@pytest.mark.parametrize(
    "argument",
    ["train.global_batch_tokens=4096", "tokenizer.kind=bpe", "optimizer.lr=1e-3", "author=Li", "keyboard=qwerty"],
)
def test_ordinary_settings_are_not_masked(argument: str) -> None:
    assert masked([argument]) == [argument]


def test_the_home_folder_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/li")
    assert masked(["/home/li/bin/wenlu", "a=/home/li", "/home/lili/x"]) == ["~/bin/wenlu", "a=~", "/home/lili/x"]


ASK = "import json; from wenlu.rundir.provenance import commit; print(json.dumps(commit()))"


def commit_seen_by(source: Path) -> dict[str, object] | None:
    """`commit()` of a copy of the package."""
    told = subprocess.run(
        [sys.executable, "-c", ASK], env={"PYTHONPATH": str(source), "PATH": "/usr/bin:/bin"}, capture_output=True
    )
    assert told.returncode == 0, told.stderr.decode()
    found: dict[str, object] | None = json.loads(told.stdout)
    return found


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_the_commit_is_that_of_our_checkout_and_never_of_a_repository_around_it(tmp_path: Path) -> None:
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    for part in ("rundir", "errors.py", "progress.py", "__init__.py"):
        source = Path(wenlu.__file__).parent / part
        target = tmp_path / "wenlu" / part
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            target.parent.mkdir(exist_ok=True)
            shutil.copy(source, target)
    assert commit_seen_by(tmp_path) is None
    git(tmp_path, "init", "-q")
    (tmp_path / ".gitignore").write_text("__pycache__\n")
    git(tmp_path, "add", ".gitignore")
    git(tmp_path, "commit", "-qm", "somebody else's")
    assert commit_seen_by(tmp_path) is None
    git(tmp_path, "add", "wenlu")
    git(tmp_path, "commit", "-qm", "ours")
    assert commit_seen_by(tmp_path) == {"id": git(tmp_path, "rev-parse", "HEAD"), "dirty": False}
    with (tmp_path / "wenlu" / "errors.py").open("a") as file:
        file.write("# changed\n")
    found = commit_seen_by(tmp_path)
    assert found is not None
    assert found["dirty"] is True
