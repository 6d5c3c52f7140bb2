"""`--launch`: what starts, what ends, and with which exit code."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.distributed.conftest import PROOF

import wenlu
from wenlu.cli.settings import without_launch
from wenlu.distributed.launch import launch
from wenlu.errors import UsageError
from wenlu.rundir import Run

RECIPE = Path("recipes/tiny.toml")
FAST = ["train.dtype=float32", "train.allocator=as-is", "check=false", "train.checkpoints=30"]


def command(out: Path, *settings: str, launch: str) -> list[str]:
    verb = [sys.executable, "-m", "wenlu", "pretrain", str(RECIPE)]
    return [*verb, *FAST, *settings, "--launch", launch, "--out", str(out)]


def test_an_unknown_launcher_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"--launch 'mpirun -n 2': no launcher 'mpirun'; known: torchrun"):
        launch("mpirun -n 2", [])


def test_options_that_torchrun_does_not_know_are_an_error() -> None:
    with pytest.raises(UsageError, match=r"torchrun does not understand '--frogs 3'"):
        launch("torchrun --frogs 3", ["pretrain"])


@pytest.mark.parametrize(
    "arguments", [["run", "--launch", "torchrun -h", "a.toml"], ["run", "--launch=torchrun", "a.toml"]]
)
def test_launched_processes_do_not_launch_again(arguments: list[str]) -> None:
    assert without_launch(arguments) == ["run", "a.toml"]


def test_the_exit_code_is_that_of_the_process_that_failed(tmp_path: Path) -> None:
    misspelt = command(tmp_path / "run", "train.contxt=8", launch="torchrun --nproc-per-node 1")
    found = subprocess.run(misspelt, capture_output=True, text=True)
    assert found.returncode == 2
    assert "train.contxt: unknown key; did you mean context" in found.stderr


@pytest.mark.skipif(not PROOF, reason="make proof-distributed")
def test_sigterm_to_the_launcher_saves_and_the_same_command_goes_on(tmp_path: Path) -> None:
    """The whole command, as a scheduler would stop it: exit code 75, and the weights of a run that was left alone."""
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    settings = ("train.duration=150 steps", "train.validations=0")
    two = "torchrun --nproc-per-node 2"
    for out in (whole, stopped):
        wenlu.tokenizer(RECIPE, out, [*FAST, *settings])
    subprocess.run(command(whole, *settings, launch=two), check=True, capture_output=True)
    process = subprocess.Popen(command(stopped, *settings, launch=two), stdout=subprocess.DEVNULL)
    while not any((stopped / "checkpoints").glob("step-*")):
        assert process.poll() is None, "ended before it could be stopped"
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=120) == 75
    assert Run.open(stopped).state == "resumable"
    subprocess.run(command(stopped, *settings, launch=two), check=True, capture_output=True)
    names = ("model.safetensors", "config.json")
    assert all((stopped / "model" / name).read_bytes() == (whole / "model" / name).read_bytes() for name in names)
    assert json.loads((stopped / "provenance.json").read_text())["processes"] == 2


@pytest.mark.skipif(not PROOF, reason="make proof-distributed")
def test_a_whole_life_in_several_processes_is_that_of_one(tmp_path: Path) -> None:
    settings = [*FAST, "train.duration=20 steps"]
    wenlu.run(RECIPE, tmp_path / "one", settings)
    arguments = ["run", str(RECIPE), *settings, "--out", str(tmp_path / "two"), "--json"]
    arguments += ["distributed.parallel=fsdp", "--launch=torchrun --nproc-per-node 2"]
    found = subprocess.run(
        [sys.executable, "-m", "wenlu", *arguments], capture_output=True, text=True, check=True, env=dict(os.environ)
    )
    shown = json.loads(found.stdout)  # one object, of the first process alone
    expected = json.loads((tmp_path / "one" / "evaluation.json").read_text())
    assert shown["bits_per_byte"] == pytest.approx(expected["bits_per_byte"], abs=1e-5)
    assert wenlu.load(tmp_path / "two").config == wenlu.load(tmp_path / "one").config
