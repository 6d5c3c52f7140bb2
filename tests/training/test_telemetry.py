from __future__ import annotations

import math
from collections.abc import Callable
from mmap import PAGESIZE, mmap
from pathlib import Path

import pytest
import torch

from wenlu.config import Duration
from wenlu.models import FAMILIES, Ability, Family, LanguageModel, family
from wenlu.models.layers.seeing import SeeingDecoder
from wenlu.rundir import Run
from wenlu.tasks import CausalLM
from wenlu.training import AdamWConfig, ScheduleConfig, TrainConfig, TrainData, TrainState, train
from wenlu.training.energy import EnergyMeter
from wenlu.training.flops import flops_per_token
from wenlu.training.gradient_norms import GROUPS, gradient_norms, parts_of
from wenlu.training.hardware import matrix_product_speed
from wenlu.training.memory import memory_use

NewModel = Callable[[], LanguageModel]
NewRun = Callable[[str], Run]
CPU = torch.device("cpu")
SIZES = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4}


@pytest.fixture
def events(config: TrainConfig, new_model: NewModel, data: TrainData, new_run: NewRun) -> dict[str, list[object]]:
    """By name, of a run of 12 steps; with the unit of each name under `unit NAME`."""
    run = new_run("a")
    arguments = {"model": new_model(), "task": CausalLM(), "data": data, "run": run, "seed": 1}
    train(config, AdamWConfig(lr=0.01), ScheduleConfig(warmup_steps=2), **arguments)  # type: ignore[arg-type]
    found: dict[str, list[object]] = {}
    for event in run.events():
        found.setdefault(event.name, []).append(event.value)
        found[f"unit {event.name}"] = [event.unit]
    return found


def test_every_step_of_a_short_run_tells_all_that_can_be_measured(events: dict[str, list[object]]) -> None:
    for name in ("loss", "learning_rate", "gradient_norm", "speed", "mfu", "memory", "memory_peak", "epoch", "row"):
        assert len(events[name]) == 12, name
    assert events["unit memory"] == ["bytes"]
    assert 1e7 < events["memory"][-1] <= events["memory_peak"][-1]  # type: ignore[operator]


def test_utilisation_is_speed_times_work_over_the_peak_that_was_measured_once(
    events: dict[str, list[object]], new_model: NewModel
) -> None:
    (peak,) = events["peak_flops"]
    work = flops_per_token(new_model(), 16)
    expected = [speed * work / peak for speed in events["speed"]]  # type: ignore[operator]
    assert events["mfu"] == pytest.approx(expected)
    assert events["unit peak_flops"] == [f"FLOP/s, {matrix_product_speed(torch.float64, CPU)[1]}"]


def test_norms_of_the_parts_add_up_to_the_norm_of_the_whole(events: dict[str, list[object]]) -> None:
    parts = [name for name in events if name.startswith("gradient_norm.")]
    assert set(parts) == {f"gradient_norm.{part}" for part in ("embeddings", "layers.0", "layers.1", "norms", "head")}
    squares = zip(*(events[name] for name in parts), strict=True)
    assert [math.hypot(*each) for each in squares] == pytest.approx(events["gradient_norm"])  # type: ignore[arg-type]


def test_the_place_in_the_data_follows_from_the_rows_read(events: dict[str, list[object]], data: TrainData) -> None:
    places = zip(events["epoch"], events["row"], strict=True)
    count = len(data.train)
    assert [epoch * count + row for epoch, row in places] == [4 * step for step in range(1, 13)]  # type: ignore[operator]


def test_telemetry_of_a_long_run_is_thinned(
    config: TrainConfig, new_model: NewModel, data: TrainData, new_run: NewRun
) -> None:
    run = new_run("a")
    few = config.model_copy(update={"duration": Duration(401, "steps"), "validations": 0, "checkpoints": 0})
    arguments = {"model": new_model(), "task": CausalLM(), "data": data, "run": run, "seed": 1}
    train(few, AdamWConfig(lr=0.01), ScheduleConfig(), **arguments)  # type: ignore[arg-type]
    names = [event.name for event in run.events()]
    assert names.count("loss") == 401
    assert names.count("gradient_norm.head") == names.count("memory") == 200


def test_a_decoder_s_work_is_worked_out_by_hand() -> None:
    """Llama: q and o are 32 × 32, k and v 32 × 16, three matrices of 32 × 64 a layer, and a head of 32 × 100."""
    llama = family("llama")
    config = llama.config(vocab_size=100, num_key_value_heads=2, **SIZES)
    layer = 2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 64
    attention = 12 * 3 * 4 * 8 * (1 + 2 + 3 + 4 + 5) / 5  # 12 a head, its size and a position seen, on average
    assert flops_per_token(llama.outline(config), 5) == 6 * (3 * layer + 32 * 100) + attention


def test_a_tied_head_is_work_and_a_looked_up_table_is_not() -> None:
    gpt2 = family("gpt2")
    sizes = {"n_embd": 32, "n_layer": 1, "n_head": 4, "n_positions": 64}
    tied, untied = (
        gpt2.outline(gpt2.config(vocab_size=100, tie_word_embeddings=tie, **sizes)) for tie in (True, False)
    )
    assert flops_per_token(tied, 8) == flops_per_token(untied, 8) == 6 * (12 * 32 * 32 + 3200) + 12 * 32 * 4.5


def test_a_window_bounds_what_attention_costs() -> None:
    mistral = family("mistral")
    costs = [
        flops_per_token(mistral.outline(mistral.config(vocab_size=100, sliding_window=window, **SIZES)), 4)
        for window in (None, 2)
    ]
    assert costs[0] - costs[1] == 12 * 3 * 32 * ((1 + 2 + 3 + 4) - (1 + 2 + 2 + 2)) / 4


@pytest.mark.parametrize("row", [row for row in FAMILIES if Ability.CAUSAL in row.abilities], ids=lambda row: row.name)
def test_the_work_of_every_causal_family_is_that_of_its_matrices(row: Family) -> None:
    """All weights of two dimensions take part in a product, but those that are looked up or read pictures."""
    model = row.outline(row.config(vocab_size=100, **row.proportions))
    for part in model.picture_parts if isinstance(model, SeeingDecoder) else ():
        model.get_submodule(part).requires_grad_(False)
    looked_up = {id(module.weight) for module in model.modules() if isinstance(module, torch.nn.Embedding)}
    looked_up -= {id(model.get_parameter("lm_head.weight"))}
    matrices = sum(w.numel() for w in model.parameters() if w.requires_grad and w.ndim == 2 and id(w) not in looked_up)
    assert flops_per_token(model, 1) == pytest.approx(6 * matrices, rel=0.02)
    assert flops_per_token(model, 1) >= 6 * matrices


def test_deep_stacks_are_told_in_groups_that_hold_every_layer_once() -> None:
    names = [f"{stack}.layers.{number}.mlp.up_proj.weight" for stack in ("encoder", "decoder") for number in range(30)]
    parts = parts_of(names)
    groups = [part for part in dict.fromkeys(parts.values()) if part.startswith("decoder.")]
    assert groups[:2] == ["decoder.layers.0-2", "decoder.layers.3-5"]
    assert len(groups) <= GROUPS
    assert parts["encoder.layers.29.mlp.up_proj.weight"] == "encoder.layers.27-29"


def test_weights_without_a_gradient_have_a_norm_of_zero(new_model: NewModel) -> None:
    state = TrainState(new_model(), AdamWConfig(lr=0.01))
    state.model.lm_head.weight.grad = torch.full_like(state.model.lm_head.weight, 2.0)  # type: ignore[union-attr]
    norms = gradient_norms(state.masters.parameters, count=2)
    assert norms["head"] == pytest.approx(math.sqrt(state.model.lm_head.weight.numel()))  # type: ignore[arg-type]
    assert norms["layers.0"] == 0.0


def test_measuring_the_peak_draws_no_random_numbers() -> None:
    before = torch.get_rng_state()
    speed, conditions = matrix_product_speed(torch.float32, CPU)
    assert speed > 1e8
    assert conditions.startswith("float32, ")
    assert torch.equal(torch.get_rng_state(), before)


def test_memory_grows_by_what_is_held() -> None:
    before = memory_use(CPU)
    with mmap(-1, 64 << 20) as held:  # from the system itself: an allocator may have as much in store
        for start in range(0, len(held), PAGESIZE):
            held[start] = 1
        after = memory_use(CPU)
    assert after["memory"] - before["memory"] > 0.9 * (64 << 20)


def test_energy_is_the_sum_over_packages_across_a_counter_s_end(tmp_path: Path) -> None:
    def write(package: str, energy: int) -> None:
        folder = tmp_path / package
        folder.mkdir(exist_ok=True)
        (folder / "energy_uj").write_text(f"{energy}\n")
        (folder / "max_energy_range_uj").write_text("9999999\n")

    write("intel-rapl:0", 9_000_000)
    write("intel-rapl:1", 500_000)
    write("intel-rapl:0:0", 77)
    meter = EnergyMeter(tmp_path)
    write("intel-rapl:0", 1_000_000)  # 2 J later: 10 J hold in the counter
    write("intel-rapl:1", 1_000_000)
    write("intel-rapl:0:0", 99_999)
    assert meter.since_last() == pytest.approx(2.5)
    assert meter.since_last() == 0.0


def test_energy_that_cannot_be_read_is_absent(tmp_path: Path) -> None:
    assert EnergyMeter(tmp_path / "none").since_last() is None
