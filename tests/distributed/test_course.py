"""Several processes take the course of one: losses, weights, order of rows, checkpoints of each for each.

`make test` has two processes and 12 steps, `make proof-distributed` also four, and 50 steps.
"""

from __future__ import annotations

import json
import os
import signal
from functools import partial
from itertools import permutations, product
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.distributed.conftest import PROOF, start, start_alone
from tests.distributed.course import At, carry_over, course, digests, labelled, order, prepare

from wenlu.distributed import LOCAL
from wenlu.errors import Interrupted
from wenlu.rundir import Run

STEPS = 50 if PROOF else 12
MICRO = {"micro": 16}
PLACEMENTS: dict[str, tuple[int, dict[str, Any]]] = {
    "ddp": (2, MICRO),
    "fsdp": (2, {"parallel": "fsdp"}),
    "tensor": (2, {"tensor_parallel": 2}),
}
if PROOF:
    PLACEMENTS |= {
        "ddp-4": (4, {}),
        "fsdp-4": (4, {"parallel": "fsdp", **MICRO}),
        "tensor-ddp": (4, {"tensor_parallel": 2}),
        "tensor-fsdp": (4, {"parallel": "fsdp", "tensor_parallel": 2}),
    }
each_placement = pytest.mark.parametrize("name", PLACEMENTS)
MODELS: dict[str, dict[str, Any]] = {
    "tied": {"model": {"tie_word_embeddings": True}},
    "exact": {"dtype": "float64", "lr": 0.01},
    "rounded": {"dtype": "bfloat16", "ema": 0.5},
    "head": {"head": [], "lr": 0.01},
    "frozen": {"head": ["body.embed_tokens", "layers.0"], "lr": 0.01},
}
SAMPLED = {"fsdp": ("exact", "head", "frozen"), "tensor": ("tied", "exact")}
"""Of the placements other than ddp, which `make test` has of them all."""
OF = {name: tuple(MODELS) if PROOF else SAMPLED.get(name, tuple(MODELS)) for name in PLACEMENTS}
WITHIN = {"tied": 1e-5, "exact": 1e-10, "head": 1e-10, "frozen": 1e-10}

KILL = {"step": 7, "rank": 1, "signal": "SIGKILL", "whom": "self", "marker": "killed"}
STOP = {"step": 7, "rank": 1, "signal": "SIGTERM", "whom": "self", "marker": "stopped", "goes_on": True}


@pytest.fixture(scope="module")
def trained(folder: Path) -> Path:
    """The folder with a run of each placement and of one process.

    Of `lost`, one of two processes is killed after step 7; of `moved`, a single one is stopped after step 3, and one of
    two after step 7. The agent starts all anew once, and what is trained already is then left as it is.
    """
    course(folder, "one", steps=STEPS)
    for model, settings in MODELS.items():
        course(folder, f"one-{model}", steps=STEPS, **settings)
    with pytest.raises(Interrupted):
        course(folder, "moved", steps=STEPS, progress=At(3, partial(os.kill, os.getpid(), signal.SIGINT)))
    for processes in sorted({processes for processes, _ in PLACEMENTS.values()}):
        of_these = {name: settings for name, (count, settings) in PLACEMENTS.items() if count == processes}
        actions: list[dict[str, Any]] = [{"do": "order"}]
        for name, settings in of_these.items():
            actions.append({"do": "train", "name": name, "steps": STEPS, **settings})
            for model in OF[name]:
                others = MODELS[model]
                actions.append({"do": "train", "name": f"{name}-{model}", "steps": STEPS, **settings, **others})
        if processes == 2:
            actions.append({"do": "train", "name": "lost", "steps": STEPS, **MICRO, "at": KILL})
            actions.append({"do": "train", "name": "moved", "steps": STEPS, "parallel": "fsdp", "at": STOP})
        found = start(folder, processes, *actions, restarts=1)
        assert found.returncode == 0, found.stderr
    course(folder, "moved", steps=STEPS)
    return folder


def values(run: Path, name: str) -> torch.Tensor:
    return torch.tensor([event.value for event in Run.open(run).events() if event.name == name], dtype=torch.float64)


@pytest.mark.parametrize(
    ("name", "of", "within"),
    [
        *((name, "", 1e-5) for name in PLACEMENTS),
        *((name, f"-{model}", WITHIN[model]) for name in PLACEMENTS for model in OF[name] if model in WITHIN),
    ],
)
def test_losses_are_those_of_a_single_process(trained: Path, name: str, of: str, within: float) -> None:
    """What float32 rounds grows with the rate and the steps; what float64 leaves shows that nothing else differs."""
    for reading in ("loss", "validation", "gradient_norm"):
        alone, shared = values(trained / f"one{of}", reading), values(trained / f"{name}{of}", reading)
        assert len(alone) == (2 if reading == "validation" else STEPS)
        torch.testing.assert_close(shared, alone, atol=within, rtol=0)


@pytest.mark.parametrize("name", [name for name in PLACEMENTS if "rounded" in OF[name]])
def test_rounded_weights_with_an_average_learn_as_in_a_single_process(trained: Path, name: str) -> None:
    for reading in ("loss", "validation"):
        alone, shared = (values(trained / f"{run}-rounded", reading) for run in ("one", name))
        torch.testing.assert_close(shared, alone, atol=0.02, rtol=0.02)


@each_placement
def test_the_model_is_whole_at_the_end(trained: Path, name: str) -> None:
    checkpoint = Run.open(trained / name).newest_checkpoint()
    alone = Run.open(trained / "one").newest_checkpoint()
    assert checkpoint is not None
    assert alone is not None
    assert checkpoint.shapes.keys() - {f"random.{rank}" for rank in range(4)} == alone.shapes.keys()
    kept = json.loads((trained / name / "kept.json").read_text())
    assert kept.keys() == json.loads((trained / "one" / "kept.json").read_text()).keys()
    for key, tensor in alone.tensors.items():
        if key != "random":
            torch.testing.assert_close(checkpoint.tensors[key], tensor, atol=2e-4, rtol=1e-3)


@pytest.mark.parametrize("name", [name for name in PLACEMENTS if "frozen" in OF[name]])
def test_weights_that_are_frozen_stay_as_they_are(trained: Path, name: str) -> None:
    before = digests(labelled(())[1]())
    frozen = [key for key in before if "layers.0." in key or key == "body.lm_head.decoder.weight"]  # the embedding
    of = {run: json.loads((trained / run / "kept.json").read_text()) for run in (f"{name}-head", f"{name}-frozen")}
    assert len(frozen) > 10
    assert all(of[f"{name}-frozen"][key] == before[key] for key in frozen)
    assert all(of[f"{name}-head"][key] != before[key] for key in frozen if not key.endswith("k_proj.bias"))
    assert of[f"{name}-frozen"]["task_head.classifier.weight"] != before["task_head.classifier.weight"]


def test_rows_are_read_in_one_order_by_any_number_of_processes(trained: Path) -> None:
    alone = order(trained, LOCAL)
    for processes in {processes for processes, _ in PLACEMENTS.values()}:
        assert (trained / f"order-{processes}").read_text() == alone


def test_a_checkpoint_of_any_placement_is_read_by_any_other(trained: Path) -> None:
    """Bit for bit: read as the other holds it, written again, and compared as whole tensors."""
    everyone = {"one": (1, {}), **PLACEMENTS}
    for processes in sorted({count for count, _ in everyone.values()}):
        readers = {name: settings for name, (count, settings) in everyone.items() if count == processes}
        actions = [
            {"do": "carry over", "source": source, "target": f"{source}-by-{reader}", **_placing(settings)}
            for source, (reader, settings) in product(everyone, readers.items())
            if source != reader
        ]
        if processes == 1:
            for action in actions:
                carry_over(trained, LOCAL, action["source"], action["target"])
        else:
            found = start(trained, processes, *actions)
            assert found.returncode == 0, found.stderr
    for source, reader in permutations(everyone, 2):
        before = Run.open(trained / source).newest_checkpoint()
        after = Run.open(trained / f"{source}-by-{reader}").newest_checkpoint()
        assert before is not None
        assert after is not None
        assert after.state == before.state
        for name, tensor in before.tensors.items():
            if not name.startswith("random"):
                assert torch.equal(after.tensors[name], tensor), (source, reader, name)


def test_a_run_goes_on_with_other_numbers_of_processes(trained: Path) -> None:
    """1 → 2 → 1: stopped by SIGINT alone, by SIGTERM to one of two, which then all stop, and finished alone."""
    alone, moved = (values(trained / name, "loss") for name in ("one", "moved"))
    torch.testing.assert_close(moved, alone, atol=1e-5, rtol=0)
    steps = {path.name for path in (trained / "moved" / "checkpoints").iterdir()}
    assert {"step-00000003", "step-00000007"} <= steps


def test_the_loss_of_a_process_costs_what_came_after_the_last_checkpoint(trained: Path) -> None:
    """The agent starts all anew, and they end in the weights of a run that nothing happened to, bit for bit."""
    assert (trained / "killed").exists()
    kept, undisturbed = ((trained / name / "kept.json").read_text() for name in ("lost", "ddp"))
    assert kept == undisturbed
    assert values(trained / "lost", "loss").tolist() == values(trained / "ddp", "loss").tolist()


def test_those_who_are_left_say_that_one_is_lost(tmp_path: Path) -> None:
    """Without an agent, which may end them before they speak."""
    prepare(tmp_path)
    said = start_alone(tmp_path, 2, {"do": "train", "name": "lost", "steps": STEPS, "at": KILL})[0]
    assert "process 0 of 2: another process ended, or did not answer within 60 s" in said
    assert "torchrun --max-restarts N repeats it by itself" in said


def _placing(settings: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key != "micro"}
