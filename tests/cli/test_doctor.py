from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
import torch
import typer
from typer.testing import CliRunner

import wenlu
from wenlu.cli.doctor import EXTRAS, advice, doctor, examine, extra_state

app = typer.Typer()
app.command()(doctor)

PROJECT = Path(__file__).parents[2] / "pyproject.toml"


def test_the_extras_are_those_of_the_package() -> None:
    declared = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    names = {extra: tuple(re.split(r"[<>=!~;\[ ]", line)[0] for line in lines) for extra, lines in declared.items()}
    assert names.pop("all") == ("wenlu",)
    assert names == EXTRAS


def test_the_examination_is_json_and_true_of_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WENLU_CACHE", str(tmp_path))
    (tmp_path / "file").write_bytes(b"12345")
    result = CliRunner().invoke(app, ["--json"], catch_exceptions=False)
    found = json.loads(result.stdout)
    assert found["wenlu"] == wenlu.__version__
    assert found["libraries"]["torch"] == torch.__version__
    assert found["cache"] == {"folder": str(tmp_path), "bytes": 5}
    assert found["disk"]["free_bytes"] > 0
    assert found["extras"].keys() == EXTRAS.keys()


def test_the_words_name_every_part(capsys: pytest.CaptureFixture[str]) -> None:
    doctor()
    words = capsys.readouterr().out
    assert words.startswith(f"wenlu      {wenlu.__version__}")
    starts = {line.split()[0] for line in words.splitlines() if not line.startswith(" ")}
    assert starts >= {"python", "processor", "memory", "disk", "cache", "locale", "allocator", "extra"}


def test_a_missing_extra_comes_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EXTRAS, "report", ("torch", "no-such-package"))
    assert extra_state("report") == {
        "installed": False,
        "missing": ["no-such-package"],
        "command": "pip install 'wenlu[report]'",
    }


def test_advice_names_what_to_change() -> None:
    found = examine()
    found["locale"] = {"language": "C", "output": "ascii"}
    found["disk"] = {"folder": ".", "free_bytes": 10**9}
    found["hardware"] = {"gpus": [], "instructions": ["avx2"]}
    found["allocator"] = {"tunables_active": False, "glibc": None}
    assert advice(found) == [
        "output is ascii, so Chinese may not print; set PYTHONUTF8=1",
        "1.0 GB free here; checkpoints may not fit",
        "this processor has no bf16 instructions, so training in fp32 is the faster one here",
        "not glibc: training allocates with the system's defaults, which may be slower",
    ]
