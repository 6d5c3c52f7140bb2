"""What cannot be shared is refused before anything is trained, with what to try."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.distributed.course import prepare

import wenlu
from wenlu.config import Duration
from wenlu.corpus.packing import Windows
from wenlu.corpus.shards import TokenData
from wenlu.distributed import DistributedConfig, World, from_environment
from wenlu.errors import UsageError
from wenlu.models import LanguageModel, family
from wenlu.models.parallel import gathered_units, tensor_parallel_plan
from wenlu.tasks import CausalLM
from wenlu.training import AdamWConfig, TrainConfig, TrainData, choose_threads, placed, resolve_duration
from wenlu.training.batches import Batches
from wenlu.training.optimizers import read_optimizer

TWO = World(rank=0, size=2, local_size=2)


def model(name: str = "llama", **settings: Any) -> LanguageModel:
    row = family(name)
    sizes = {"vocab_size": 11, "hidden_size": 12, "intermediate_size": 20, "num_hidden_layers": 1, **settings}
    if "num_attention_heads" in row.config.model_fields:
        sizes = {"num_attention_heads": 3, **sizes}
    return row.build(row.config(**{key: value for key, value in sizes.items() if key in row.config.model_fields}))


@pytest.mark.parametrize(
    ("settings", "optimizer", "message"),
    [
        ({"parallel": "fsdp"}, "muon", r'distributed\.parallel="fsdp": muon moves whole matrices.*"adamw"'),
        ({"tensor_parallel": 2}, "adafactor", r"distributed\.tensor_parallel=2: adafactor moves whole matrices"),
        ({"tensor_parallel": 2}, "adamw", r"q_proj has 3 heads, not a multiple of it; choose a divisor"),
        ({"tensor_parallel": 3}, "adamw", r"down_proj|gate_proj has 20 inner values, not a multiple of it"),
    ],
)
def test_what_cannot_be_cut_is_refused(settings: dict[str, Any], optimizer: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        placed(model(), DistributedConfig(**settings), read_optimizer({"name": optimizer}), TWO, seed=0)


@pytest.mark.parametrize("name", ["gru", "t5", "lstm_encoder_decoder"])
def test_families_without_heads_of_their_own_share_no_products(name: str) -> None:
    sizes = {"num_decoder_layers": 1, "embedding_size": 8, "attention_size": 4, "head_dim": 4}
    with pytest.raises(UsageError, match=r"tensor_parallel=2: \w+ cannot be shared by its heads; remove it"):
        tensor_parallel_plan(model(name, **sizes), 2)


def test_tensor_parallel_divides_the_processes() -> None:
    with pytest.raises(UsageError, match="tensor_parallel=3 does not divide the 2 processes"):
        placed(model(intermediate_size=21), DistributedConfig(tensor_parallel=3), AdamWConfig(), TWO, seed=0)


def test_a_task_of_two_models_is_not_parted() -> None:
    both = model()
    both.other = model()
    with pytest.raises(UsageError, match='parallel="fsdp" cannot part a task of several models; choose "ddp"'):
        gathered_units(both)


def test_two_encoders_are_not_parted() -> None:
    with pytest.raises(UsageError, match='parallel="fsdp" cannot part two encoders side by side; choose "ddp"'):
        gathered_units(model("siglip"))


def test_rows_of_a_step_are_shared_equally(tmp_path: Path) -> None:
    prepare(tmp_path)
    source = Windows(TokenData.open(tmp_path / "tokens"), 16)
    with pytest.raises(UsageError, match=r"the 7 rows of a step cannot be shared equally by 2 processes; make it"):
        Batches(source, 7, 0, share=(0, 2))
    whole = Batches(source, 6, 0)
    thirds = [Batches(source, 6, 0, share=(part, 3)) for part in range(3)]
    for step in range(5):
        read = [draw.places for batches in thirds for draw in batches.micro(step, 4)]
        assert np.array_equal(np.concatenate(read), whole.rows(step))


def test_a_time_is_measured_by_a_single_process(tmp_path: Path) -> None:
    prepare(tmp_path)
    data = TrainData(Windows(TokenData.open(tmp_path / "tokens"), 16), None)
    config = TrainConfig(duration=Duration(60, "seconds"), context=16, global_batch_tokens=64)
    with pytest.raises(UsageError, match=r"a single process measures how many steps that is, and this run has 2; give"):
        resolve_duration(config, AdamWConfig(), model(), CausalLM(), data, 0, processes=2)


@pytest.mark.parametrize(("verb", "recipe"), [("data", "tiny"), ("tokenizer", "tiny"), ("run", "architectures")])
def test_what_is_for_one_process_says_so(
    verb: str, recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    assert from_environment() == World(1, 2, 1, 2)
    with pytest.raises(UsageError, match=r"2 processes were started, and .* is for one; run the command without"):
        getattr(wenlu, verb)(Path(f"recipes/{recipe}.toml"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_variables_that_are_no_numbers_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "first")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="RANK=first WORLD_SIZE=2: not numbers; start several processes with torchrun"):
        from_environment()


def test_processes_of_one_machine_share_its_processors() -> None:
    config = TrainConfig()
    alone = choose_threads(config)
    assert choose_threads(config, 2) == max(1, alone // 2)
    assert choose_threads(config, 10**6) == 1
    assert choose_threads(config.model_copy(update={"threads": 7}), 2) == 7
