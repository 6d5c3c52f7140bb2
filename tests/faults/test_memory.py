"""Where memory runs out, a step is done again with fewer rows a forward pass, and gives the same gradients.

Run as a program, this file is the process whose memory is limited.
"""

from __future__ import annotations

import json
import math
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch
from torch import Tensor

from wenlu.corpus.packing import Windows
from wenlu.corpus.shard_writer import write_tokens
from wenlu.errors import ResourceError
from wenlu.models import LanguageModel, family
from wenlu.progress import QUIET, Progress
from wenlu.rundir import Run
from wenlu.tasks import Batch, CausalLM, Loss
from wenlu.tokenizers import TokenizerConfig, train_tokenizer
from wenlu.training import AdamWConfig, ScheduleConfig, TrainConfig, TrainData, TrainState, footprint, memory, train
from wenlu.training.batches import Batches
from wenlu.training.footprint import fitted
from wenlu.training.memory import OutOfMemory, Watermark, free_bytes
from wenlu.training.train import accumulate

ADAMW = AdamWConfig(lr=0.01)
CPU = "[enforce fail at alloc_cpu.cpp:121] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate"
ERRORS: list[Callable[[], Exception]] = [
    lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    lambda: RuntimeError(CPU),
    lambda: RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 8589934592 bytes."),
    lambda: RuntimeError("MPS backend out of memory (MPS allocated: 9.00 GB)"),
    MemoryError,
]

NewModel = Callable[..., LanguageModel]
NewRun = Callable[[str], Run]


class Short(CausalLM):
    """Runs out of memory in certain calls, before or after the forward pass, or in the backward pass."""

    def __init__(self, calls: range, error: Callable[[], Exception], place: str = "forward") -> None:
        super().__init__()
        self.calls, self.error, self.place, self.count = calls, error, place, 0

    def loss(self, model: LanguageModel, batch: Batch) -> Loss:
        self.count += 1
        noise = 1.0 + 1e-3 * torch.rand(())
        loss = super().loss(model, batch)
        if self.count - 1 in self.calls:
            if self.place == "forward":
                raise self.error()
            model.get_parameter("embed_tokens.weight").register_hook(self.fail)
        return Loss(loss.sum * noise, loss.count)

    def fail(self, _: Tensor) -> None:
        if self.count - 1 in self.calls:
            raise self.error()


@pytest.fixture
def micro(config: TrainConfig) -> TrainConfig:
    """16 rows a step, 4 a forward pass."""
    return config.model_copy(update={"global_batch_tokens": 256, "micro_batch_tokens": 64})


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("place", ["forward", "backward"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_a_step_is_done_again_from_its_beginning(
    error: Callable[[], Exception],
    place: str,
    dtype: torch.dtype,
    micro: TrainConfig,
    new_model: NewModel,
    data: TrainData,
) -> None:
    """Bit for bit as if it had been begun so, random numbers included."""
    batches = Batches(data.train, 16, seed=0)
    torch.manual_seed(1)
    state = TrainState(new_model(dtype), ADAMW)
    torch.manual_seed(1)
    totals = accumulate(state, Short(range(2, 3), error, place), batches, micro)
    halved = TrainState(new_model(dtype), ADAMW)
    torch.manual_seed(1)
    expected = accumulate(halved, Short(range(0), error), batches, micro.model_copy(update={"micro_batch_tokens": 32}))
    assert state.most_rows == 2
    assert totals == expected
    pairs = zip(state.masters.gradients(), halved.masters.gradients(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert [news.name for news in state.news] == ["rows_per_forward"]


def test_the_loss_of_a_halved_step_is_that_of_the_whole_one(
    micro: TrainConfig, new_model: NewModel, data: TrainData
) -> None:
    batches = Batches(data.train, 16, seed=0)
    whole = accumulate(TrainState(new_model(torch.float32), ADAMW), CausalLM(), batches, micro)
    state = TrainState(new_model(torch.float32), ADAMW)
    state.most_rows = 1
    parted = accumulate(state, CausalLM(), batches, micro)
    assert parted.mean == pytest.approx(whole.mean, rel=1e-6)
    assert (parted.count, parted.tokens) == (whole.count, whole.tokens)


def test_an_error_of_another_kind_is_not_taken_for_want_of_memory(
    micro: TrainConfig, new_model: NewModel, data: TrainData
) -> None:
    task = Short(range(1), lambda: RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        accumulate(TrainState(new_model(), ADAMW), task, Batches(data.train, 16, seed=0), micro)


def go(
    config: TrainConfig, model: LanguageModel, data: TrainData, run: Run, task: CausalLM, **parts: Any
) -> TrainState:
    schedule = ScheduleConfig(warmup_steps=2)
    return train(config, ADAMW, schedule, model=model, data=data, run=run, task=task, seed=1, **parts)


def test_memory_that_runs_out_for_good_leaves_a_checkpoint_that_the_same_call_goes_on_from(
    config: TrainConfig, new_model: NewModel, data: TrainData, new_run: NewRun
) -> None:
    whole, model, run = new_model(), new_model(), new_run("short")
    config = config.model_copy(update={"validations": 0, "micro_batch_tokens": 16, "checkpoints": 1})
    go(config, whole, data, new_run("whole"), Short(range(0), MemoryError))
    with pytest.raises(OutOfMemory, match=r"memory ran out at step 6 with one row a forward pass \(DefaultCPU"):
        go(config, new_model(), data, run, Short(range(22, 99), ERRORS[2]))
    checkpoint = run.newest_checkpoint()
    assert checkpoint is not None
    assert checkpoint.step == 5
    go(config, model, data, run, Short(range(0), MemoryError))
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), model.parameters(), strict=True))


def test_a_run_that_shrank_says_so_and_resumes_as_it_was(
    config: TrainConfig, new_model: NewModel, data: TrainData, new_run: NewRun
) -> None:
    run, warnings = new_run("a"), []

    class Listening(Progress):
        def warn(self, message: str) -> None:
            warnings.append(message)

    go(
        config.model_copy(update={"validations": 0}),
        new_model(),
        data,
        run,
        Short(range(5, 6), ERRORS[0]),
        progress=Listening(),
    )
    assert warnings == [
        "memory is short (CUDA out of memory. Tried to allocate 2.00 GiB): "
        "2 rows a forward pass from now on, as many a step as before"
    ]
    assert [(event.step, event.value) for event in run.events() if event.name == "rows_per_forward"] == [(6, 2)]
    state, checkpoint = TrainState(new_model(), ADAMW), run.newest_checkpoint()
    assert checkpoint is not None
    state.restore(checkpoint.tensors, checkpoint.state)
    assert state.most_rows == 2


# What the machine says


def pretend(
    root: Path, patch: pytest.MonkeyPatch, *, rss: int, peak: int, available: int = 10_000, groups: str = "0::/\n"
) -> None:
    """A /proc and a /sys/fs/cgroup with these sizes, in MB."""
    (root / "proc/self").mkdir(parents=True, exist_ok=True)
    (root / "cgroup").mkdir(exist_ok=True)
    (root / "proc/meminfo").write_text(f"MemTotal: {20_000 << 10} kB\nMemAvailable: {available << 10} kB\n")
    status = f"Name:\tpython\nVmSize: {rss << 10} kB\nVmHWM: {peak << 10} kB\nVmRSS: {rss << 10} kB\n"
    (root / "proc/self/status").write_text(status)
    (root / "proc/self/cgroup").write_text(groups)
    patch.setattr(memory, "PROC", root / "proc")
    patch.setattr(memory, "CGROUPS", root / "cgroup")


def group(folder: Path, *, limit: int | str, usage: int, cache: int, version: int = 2) -> None:
    names = ("memory.max", "memory.current", "file")
    names = names if version == 2 else ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_cache")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / names[0]).write_text(f"{limit << 20 if isinstance(limit, int) else limit}\n")
    (folder / names[1]).write_text(f"{usage << 20}\n")
    (folder / "memory.stat").write_text(f"anon 1\n{names[2]} {cache << 20}\n")


def test_a_machine_with_room_is_not_near_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(tmp_path, monkeypatch, rss=1000, peak=1000)
    mark = Watermark()
    pretend(tmp_path, monkeypatch, rss=1000, peak=9000)
    assert not mark.is_near(4)


def test_the_peak_of_a_step_tells_what_the_next_one_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(tmp_path, monkeypatch, rss=1000, peak=1000)
    mark = Watermark()
    pretend(tmp_path, monkeypatch, rss=1000, peak=9000, available=7000)
    assert mark.is_near(4), "8,000 MB more are needed"
    assert not mark.is_near(2), "4,000 MB more are needed"


def test_a_peak_from_before_training_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(tmp_path, monkeypatch, rss=1000, peak=9000)
    mark = Watermark()
    pretend(tmp_path, monkeypatch, rss=1000, peak=9000, available=2000)
    assert not mark.is_near(4)


def test_less_than_the_reserve_is_near_whatever_the_step_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(tmp_path, monkeypatch, rss=1000, peak=1000, available=399)
    assert Watermark().is_near(1), "2 % of 20,000 MB"


@pytest.mark.parametrize("version", [1, 2])
def test_the_limit_of_a_control_group_counts_and_its_pages_of_files_do_not(
    version: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "0::/jobs/mine\n" if version == 2 else "7:cpu:/jobs/mine\n5:memory:/jobs/mine\n"
    root = tmp_path / ("cgroup/jobs" if version == 2 else "cgroup/memory/jobs")
    pretend(tmp_path, monkeypatch, rss=1000, peak=1000, groups=name)
    group(root, limit=3000, usage=2900, cache=500, version=version)
    group(root / "mine", limit="max" if version == 2 else 1 << 43, usage=1000, cache=0, version=version)
    assert free_bytes(torch.device("cpu")) == 600 << 20, "of the group around it"
    assert not Watermark().is_near(1)
    group(root, limit=3000, usage=2950, cache=0, version=version)
    assert Watermark().is_near(1)


def test_near_the_limit_a_run_takes_fewer_rows_and_then_stops_with_a_checkpoint(
    config: TrainConfig, new_model: NewModel, data: TrainData, new_run: NewRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, steps = new_run("a"), []

    def is_near(self: Watermark, rows: int) -> bool:
        steps.append(rows)
        return True

    monkeypatch.setattr(Watermark, "is_near", is_near)
    with pytest.raises(OutOfMemory, match=r"at step 4 with one row a forward pass \(near the limit"):
        go(config, new_model(), data, run, CausalLM())
    assert steps == [4, 2, 1]
    checkpoint = run.newest_checkpoint()
    assert checkpoint is not None
    assert checkpoint.step == 3


# The estimate before the first step


@pytest.mark.parametrize(("name", "states"), [("adamw", 2.0), ("sgd", 1.0), ("lion", 1.0), ("schedule-free", 3.0)])
def test_what_the_optimizer_will_remember_is_known_before_it_does(
    name: str, states: float, new_model: NewModel
) -> None:
    from wenlu.training.optimizers import read_optimizer

    model = new_model(torch.float32)
    weights = sum(weight.nbytes for weight in model.parameters())
    estimate = footprint._optimizer_bytes(read_optimizer({"name": name}), model)
    assert estimate == pytest.approx(states * weights, rel=0.05)


def test_rows_are_chosen_so_that_they_fit(
    config: TrainConfig, new_model: NewModel, data: TrainData, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = new_model()
    config = config.model_copy(update={"global_batch_tokens": 16 * 12})
    need = footprint.footprint(config, ADAMW, model, CausalLM(), data.train, free=1 << 40)
    assert need.row > 0
    monkeypatch.setattr(footprint, "SHARD_BYTES", 0)
    for rows, chosen in [(12, 12), (11, 6), (6, 6), (5, 4), (1, 1)]:
        monkeypatch.setattr(footprint, "free_bytes", lambda _, rows=rows: need.total(rows))
        assert fitted(config, ADAMW, model, CausalLM(), data.train, QUIET).micro_batch_tokens == 16 * chosen
    monkeypatch.setattr(footprint, "free_bytes", lambda _: need.total(1) - 1)
    with pytest.raises(ResourceError, match=r"needs at least 0\.00 GB of memory.*activations of one row of 16"):
        fitted(config, ADAMW, model, CausalLM(), data.train, QUIET)


def test_the_estimate_changes_neither_model_nor_random_numbers(
    config: TrainConfig, new_model: NewModel, data: TrainData
) -> None:
    model, random = new_model(), torch.get_rng_state()
    before = [weight.detach().clone() for weight in model.parameters()]
    random = torch.get_rng_state()
    fitted(config, ADAMW, model, CausalLM(), data.train, QUIET)
    assert torch.equal(random, torch.get_rng_state())
    assert all(torch.equal(a, b) and b.grad is None for a, b in zip(before, model.parameters(), strict=True))


# A real limit


def test_a_process_with_too_little_memory_shrinks_its_forward_passes() -> None:
    """Limited by RLIMIT_AS to about half of what the whole batch takes."""
    done = subprocess.run([sys.executable, __file__], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["rows"] < 64
    assert found["loss"] == pytest.approx(found["whole"], rel=1e-6)
    assert "allocate memory" in found["why"]


def limited() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    texts = [f"{n} times {n * n}\n" * 40 for n in range(100)]
    tokenizer = train_tokenizer(TokenizerConfig(kind="char", vocab_size=20), texts)
    sizes = {"hidden_size": 64, "intermediate_size": 256, "num_hidden_layers": 4, "num_attention_heads": 2}
    llama = family("llama")
    model = llama.build(llama.config(vocab_size=tokenizer.vocab_size, **sizes), dtype=torch.float32)
    with TemporaryDirectory() as folder:
        rows = Windows(write_tokens(texts, tokenizer, Path(folder) / "tokens"), 256)
        config = TrainConfig(context=256, global_batch_tokens=64 * 256)
        need = footprint.footprint(config, ADAMW, model, CausalLM(), rows, free=1 << 40)
        state, batches = TrainState(model, ADAMW), Batches(rows, 64, seed=0)
        now = memory._fields(Path("/proc/self/status"))["VmSize"]
        soft, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (now + need.fixed + 32 * need.row, hard))
        totals = accumulate(state, CausalLM(), batches, config)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        whole = accumulate(TrainState(model, ADAMW), CausalLM(), batches, config)
    assert math.isfinite(totals.mean)
    found = {"rows": state.most_rows, "loss": totals.mean, "whole": whole.mean, "why": state.news[0].unit}
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    limited()
