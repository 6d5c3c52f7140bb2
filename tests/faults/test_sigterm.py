"""SIGTERM in any phase of a life ends it with exit code 75, and the same command finishes it with the same model.

`make test` takes three cases, `make proof-faults` every phase, and those of a step with a second signal at once too.
Run as a program, this file is the command that stops itself.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

PROOF = os.environ.get("WENLU_PROOF") == "1"
PHASES = {
    "start-up": ("wenlu.lifecycle.verbs:_begin", 1),
    "data preparation": ("wenlu.corpus.writer:HashedFile.write_record", 20),
    "tokenizer training": ("wenlu.lifecycle.stages:train_tokenizer", 1),
    "encoding": ("wenlu.corpus.shard_writer:_Writer.add", 1),
    "probe": ("wenlu.training.footprint:_activations", 1),
    "forward": ("wenlu.tasks.causal_lm:CausalLM.loss", 9),
    "backward": ("torch.autograd:backward", 9),
    "optimizer": ("wenlu.training.optimizers.optimizer:Optimizer.step", 9),
    "last step": ("wenlu.training.optimizers.optimizer:Optimizer.step", 12),
    "validation": ("wenlu.training.train:validate", 1),
    "saving": ("wenlu.rundir.checkpoint:_write", 2),
    "model folder": ("wenlu.lifecycle.training:write_model_folder", 1),
    "evaluation": ("wenlu.lifecycle.stages:evaluate_run", 1),
    "report": ("wenlu.lifecycle.stages:write_report", 1),
}
STEP = ("forward", "backward", "optimizer", "saving")
CASES = [*((phase, 1) for phase in PHASES), *((phase, 2) for phase in STEP)]
SAMPLE = [("data preparation", 1), ("last step", 1), ("saving", 2)]
SETTINGS = [
    "data.train={path}",
    "train.duration=12 steps",
    "train.context=32",
    "train.global_batch_tokens=128",
    "train.validations=2",
    "train.checkpoints=3",
    "train.allocator=as-is",
    "check=false",
    "train.threads=1",
    "train.dtype=float32",
    "train.start=random",
    "tokenizer.vocab_size=300",
    "evaluate.resamples=100",
    "generate.max_new_tokens=4",
]


def serve() -> None:
    """For each line on stdin, a list of the phase, the number of signals and the run: the exit code of the command."""
    import torch._dynamo  # noqa: F401  (what the first step of an optimizer would load, in each of them)

    from wenlu.cli.app import main

    for name, _ in PHASES.values():
        importlib.import_module(name.partition(":")[0])
    for line in sys.stdin:
        phase, signals, path, out = json.loads(line)
        child = os.fork()
        if child == 0:
            if phase:
                stop_in(phase, signals)
            settings = [setting.format(path=path) for setting in SETTINGS]
            sys.argv = ["wenlu", "run", "recipes/tiny.toml", *settings, "--out", out]
            os.dup2(os.open(f"{out}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND), 1)
            os.dup2(1, 2)
            code: Any = 1
            try:
                main()
                code = 0
            except SystemExit as end:
                code = end.code or 0
            finally:
                sys.stderr.flush()
                os._exit(code)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n")
        sys.stdout.flush()


def place_of(phase: str) -> tuple[Any, str]:
    """The module or class that has the phase's function, and its name there."""
    module, _, path = PHASES[phase][0].partition(":")
    *owners, name = path.split(".")
    return functools.reduce(getattr, owners, importlib.import_module(module)), name


def stop_in(phase: str, signals: int) -> None:
    """Let the process signal itself when the phase's function is called for the given time."""
    (owner, name), when, calls = place_of(phase), PHASES[phase][1], 0
    function = getattr(owner, name)

    @functools.wraps(function)
    def stopping(*args: Any, **settings: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == when:
            for _ in range(signals):
                os.kill(os.getpid(), signal.SIGTERM)
        return function(*args, **settings)

    setattr(owner, name, stopping)


Command = Callable[[str, int, Path], int]


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    texts = tmp_path_factory.mktemp("texts") / "texts.jsonl"
    lines = (f"the cat number {n} sat on {n % 7} mats, and {n * n} dogs did not. " * 4 for n in range(60))
    texts.write_text("".join(json.dumps({"text": line}) + "\n" for line in lines))
    with subprocess.Popen(
        [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None

        def run(phase: str, signals: int, out: Path) -> int:
            assert server.stdin is not None
            assert server.stdout is not None
            server.stdin.write(json.dumps([phase, signals, str(texts), str(out)]) + "\n")
            server.stdin.flush()
            return int(server.stdout.readline())

        yield run
        server.stdin.close()


@pytest.fixture(scope="module")
def whole(command: Command, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "run"
    assert command("", 0, out) == 0, Path(f"{out}.log").read_text()
    return out


@pytest.mark.parametrize(("phase", "signals"), CASES if PROOF else SAMPLE)
def test_sigterm_ends_with_75_and_the_same_command_goes_on_to_the_same_model(
    phase: str, signals: int, command: Command, whole: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    log = Path(f"{out}.log")
    assert command(phase, signals, out) == 75, log.read_text()
    assert "the same command goes on from there" in " ".join(log.read_text().split())
    assert command("", 0, out) == 0, log.read_text()
    for name in ("model/model.safetensors", "tokenizer/tokenizer.json", "data/train.jsonl"):
        assert (out / name).read_bytes() == (whole / name).read_bytes(), name
    hidden = [path.name for path in out.rglob(".*") if path.name != ".lock"]
    assert hidden == [], "nothing half written stays"


def test_every_phase_has_a_function_that_is_still_there() -> None:
    assert all(callable(getattr(*place_of(phase))) for phase in PHASES)


if __name__ == "__main__":
    serve()
