"""Adapters beside linear maps: what they add, how they are chosen, merged and taken off again."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from wenlu.errors import ConfigError, UsageError
from wenlu.models import FAMILIES, Ability, LanguageModel, family
from wenlu.models.adapters import (
    AdapterConfig,
    Form,
    adapter_in_use,
    adapter_names,
    adapters_named,
    attach,
    chosen,
    detach,
    draw,
    freeze_base,
    merge,
    merged_model,
    targets_in,
    unmerge,
    use_adapter,
    view_of,
)
from wenlu.models.layers.linear import Linear, side_by_side

SIZES = {"hidden_size": 24, "intermediate_size": 20, "num_hidden_layers": 2, "num_attention_heads": 2}
FORMS = {
    "lora": Form(4, 8.0),
    "rslora": Form(4, 8.0, is_stabilised=True),
    "dora": Form(4, 8.0, is_dora=True),
}
IDS = torch.arange(12).reshape(2, 6)


def tiny(name: str = "llama", **settings: Any) -> LanguageModel:
    row = family(name)
    known = row.config.model_fields
    sizes = {key: value for key, value in SIZES.items() if key in known}
    torch.manual_seed(0)
    return row.build(row.config(vocab_size=31, initializer_range=0.3, **{**sizes, **settings})).eval()  # type: ignore[arg-type]


def moved(model: nn.Module, form: Form, name: str = "default", seed: int = 1) -> None:
    """Attach an adapter whose weights are drawn, as if it were trained."""
    torch.manual_seed(seed)
    parts = draw(model, chosen(model, "all-linear"), form)
    for part in parts.values():
        nn.init.normal_(part.lora_B, std=0.2)
        if part.lora_magnitude_vector is not None:
            with torch.no_grad():
                part.lora_magnitude_vector.mul_(torch.rand_like(part.lora_magnitude_vector) + 0.5)
    attach(model, parts, name)


def answer(model: LanguageModel) -> Tensor:
    with torch.no_grad():
        if Ability.ENCODER_DECODER in next(row for row in FAMILIES if row.model is type(model)).abilities:
            return model(IDS, decoder_input_ids=IDS)  # type: ignore[no-any-return]
        return model(IDS)  # type: ignore[no-any-return]


ADAPTABLE = [row for row in FAMILIES if row.name not in ("rnn", "lstm", "gru")]


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("name", [row.name for row in ADAPTABLE])
def test_a_new_adapter_changes_no_bit_of_any_family(name: str, form: Form) -> None:
    model = tiny(name)
    before = answer(model)
    attach(model, draw(model, chosen(model, "all-linear"), form))
    assert torch.equal(answer(model), before)


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_an_adapted_map_computes_the_formula_of_the_paper(form: Form) -> None:
    linear = Linear(6, 5).double()
    x = torch.randn(3, 2, 6, dtype=torch.float64)
    parts = draw(nn.ModuleDict({"q_proj": linear}), ["q_proj"], form)
    part = parts["q_proj"]
    nn.init.normal_(part.lora_B)
    model = nn.ModuleDict({"q_proj": linear})
    attach(model, parts)
    scale = 8 / 2 if form.is_stabilised else 8 / 4
    whole = linear.weight + scale * part.lora_B @ part.lora_A
    if form.is_dora:
        nn.init.uniform_(part.lora_magnitude_vector, 0.5, 2)  # type: ignore[arg-type]
        whole = part.lora_magnitude_vector[:, None] * whole / whole.norm(dim=1, keepdim=True)  # type: ignore[index]
    torch.testing.assert_close(linear(x), x @ whole.T + linear.bias, rtol=1e-12, atol=1e-12)


def test_no_gradient_goes_through_the_length_of_dora_nor_into_the_base() -> None:
    linear = Linear(6, 5, bias=False).double()
    model = nn.ModuleDict({"q_proj": linear})
    moved(model, FORMS["dora"])
    freeze_base(model)
    part = adapters_named(model, "default")["q_proj"]
    x = torch.randn(4, 6, dtype=torch.float64)
    linear(x).square().sum().backward()
    assert linear.weight.grad is None
    b = part.lora_B.detach().requires_grad_()
    assert part.lora_magnitude_vector is not None
    lengths = (linear.weight + 2 * part.lora_B @ part.lora_A).norm(dim=1).detach()
    ratio = (part.lora_magnitude_vector / lengths).detach()
    (x @ (ratio[:, None] * (linear.weight.detach() + 2 * b @ part.lora_A.detach())).T).square().sum().backward()
    torch.testing.assert_close(part.lora_B.grad, b.grad, rtol=1e-10, atol=1e-10)


def test_the_frozen_base_costs_no_gradient_of_its_weight() -> None:
    """Of N rows, M outputs, K inputs and rank R: 2 N M K for the map, as much for the gradient of its input, and three
    times 2 N R (M + K) for the adapter."""
    rows, outputs, inputs, rank = 7, 6, 5, 2
    model = nn.ModuleDict({"q_proj": Linear(inputs, outputs)})
    moved(model, Form(rank, 4.0))
    freeze_base(model)
    x = torch.randn(rows, inputs, requires_grad=True)
    with FlopCounterMode(display=False) as counter:
        model["q_proj"](x).sum().backward()
    assert counter.get_total_flops() == 2 * 2 * rows * outputs * inputs + 3 * 2 * rows * rank * (outputs + inputs)


def test_maps_side_by_side_are_answered_with_their_adapters() -> None:
    maps = nn.ModuleDict({name: Linear(24, 24) for name in ("q_proj", "k_proj")})
    moved(maps, FORMS["lora"])
    x = torch.randn(2, 3, 24)
    together = side_by_side(x, *maps.values())
    for mine, each in zip(together, maps.values(), strict=True):
        assert torch.equal(mine, each(x))
        assert not torch.equal(mine, nn.functional.linear(x, each.weight, each.bias))  # type: ignore[arg-type]


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("name", ["llama", "gpt2", "bert", "t5"])
def test_merging_changes_no_logit_by_more_than_rounding_and_unmerging_is_exact(name: str, form: Form) -> None:
    model = tiny(name)
    base = answer(model)
    moved(model, form)
    adapted = answer(model)
    assert (adapted - base).abs().max() > 1e-2
    alone = merged_model(model)
    assert not adapter_names(alone)
    assert (answer(alone) - adapted).abs().max() < 1e-5
    merge(model, "default")
    assert adapter_in_use(model) is None
    assert (answer(model) - adapted).abs().max() < 1e-5
    assert unmerge(model) == 0
    assert torch.equal(answer(model), base)
    use_adapter(model, "default")
    assert torch.equal(answer(model), adapted)


def test_unmerging_without_the_kept_weights_says_its_error() -> None:
    model = tiny()
    before = {name: target.weight.detach().clone() for name, target in targets_in(model).items()}
    moved(model, FORMS["lora"])
    merge(model, "default", keep=False)
    error = unmerge(model)
    apart = max(
        float((target.weight.detach() - before[name]).abs().max()) for name, target in targets_in(model).items()
    )
    assert 0 < apart <= error < 1e-5
    dora = tiny()
    moved(dora, FORMS["dora"])
    merge(dora, "default", keep=False)
    with pytest.raises(UsageError, match="DoRA was merged with keep=False, so its base is lost"):
        unmerge(dora)


def test_adapters_take_turns_on_one_base() -> None:
    model = tiny()
    base = answer(model)
    moved(model, FORMS["lora"], "polite", seed=1)
    polite = answer(model)
    moved(model, FORMS["dora"], "brief", seed=2)
    brief = answer(model)
    assert adapter_names(model) == ("polite", "brief")
    for name, expected in (("polite", polite), (None, base), ("brief", brief), ("polite", polite)):
        use_adapter(model, name)
        assert adapter_in_use(model) == name
        assert torch.equal(answer(model), expected)
    detach(model, "polite")
    assert torch.equal(answer(model), base)
    detach(model, "brief")
    assert not any(module._forward_hooks for module in model.modules())
    assert not any("lora" in name for name in model.state_dict())


def test_two_loras_merge_and_two_of_which_one_is_dora_do_not() -> None:
    model = tiny()
    moved(model, FORMS["lora"], "a", seed=1)
    moved(model, FORMS["lora"], "b", seed=2)
    moved(model, FORMS["dora"], "c", seed=3)
    merge(model, "a")
    merge(model, "b")
    weight = targets_in(model)["layers.0.self_attn.q_proj"]
    parts = [adapters_named(model, name)["layers.0.self_attn.q_proj"] for name in ("a", "b")]
    with pytest.raises(UsageError, match="'c' cannot be merged beside 'a': with DoRA"):
        merge(model, "c")
    after = weight.weight.detach().clone()
    unmerge(model)
    torch.testing.assert_close(after, weight.weight + parts[0].delta() + parts[1].delta())
    merge(model, "c")
    with pytest.raises(UsageError, match="'a' cannot be merged beside 'c'"):
        merge(model, "a")
    with pytest.raises(UsageError, match="'c' is merged already"):
        merge(model, "c")
    with pytest.raises(UsageError, match="'c' is merged; unmerge it"):
        detach(model, "c")


def test_merging_a_tied_head_leaves_the_embedding_as_it_was() -> None:
    model = tiny(tie_word_embeddings=True)
    assert model.get_parameter("lm_head.weight") is model.get_parameter("embed_tokens.weight")
    torch.manual_seed(3)
    parts = draw(model, chosen(model, ["lm_head"]), FORMS["lora"])
    nn.init.normal_(parts["lm_head"].lora_B)
    attach(model, parts)
    adapted, table = answer(model), model.get_parameter("embed_tokens.weight").detach().clone()
    whole = merged_model(model)
    assert torch.equal(whole.get_parameter("embed_tokens.weight"), table)
    assert not whole.config.tie_word_embeddings  # type: ignore[attr-defined]
    assert (answer(whole) - adapted).abs().max() < 1e-4
    assert model.config.tie_word_embeddings  # type: ignore[attr-defined]
    merge(model, "default")
    assert torch.equal(model.get_parameter("embed_tokens.weight"), table)
    unmerge(model)
    assert model.get_parameter("lm_head.weight") is model.get_parameter("embed_tokens.weight")


def test_views_share_weights_and_have_adapters_of_their_own() -> None:
    model = tiny()
    base = answer(model)
    one, other = view_of(model), view_of(model)
    moved(one, FORMS["lora"], seed=1)
    moved(other, FORMS["lora"], seed=2)
    assert one.get_parameter("norm.weight") is model.get_parameter("norm.weight")
    assert torch.equal(answer(model), base)
    assert not torch.equal(answer(one), answer(other))
    apart = copy.deepcopy(one)
    with torch.no_grad():
        for part in adapters_named(apart, "default").values():
            part.lora_B.zero_()
    assert torch.equal(answer(apart), base)
    assert not torch.equal(answer(one), base)


def test_a_bfloat16_base_has_float32_adapters() -> None:
    row = family("llama")
    model = row.build(row.config(vocab_size=31, **SIZES), dtype=torch.bfloat16).eval()  # type: ignore[arg-type]
    moved(model, FORMS["dora"])
    part = adapters_named(model, "default")["layers.0.mlp.up_proj"]
    assert (part.lora_A.dtype, part.lora_B.dtype) == (torch.float32, torch.float32)
    assert answer(model).dtype == torch.bfloat16


def test_targets_are_found_by_the_end_of_their_name() -> None:
    model = tiny()
    assert chosen(model, ["q_proj"]) == ("layers.0.self_attn.q_proj", "layers.1.self_attn.q_proj")
    assert chosen(model, ["layers.1.mlp.up_proj"]) == ("layers.1.mlp.up_proj",)
    assert len(chosen(model, "all-linear")) == 2 * 7
    assert not any("head" in name for name in chosen(tiny("bert"), "all-linear"))
    with pytest.raises(
        ConfigError, match=r"adapter.targets: 'q_prj' is no linear map of this model; did you mean q_proj"
    ):
        chosen(model, ["q_prj"])
    with pytest.raises(ConfigError, match="LSTM has no linear maps but its head; choose a base that is a Transformer"):
        chosen(family("lstm").build(family("lstm").config(vocab_size=31, hidden_size=8)), "all-linear")


def test_names_that_are_taken_or_cannot_be_are_told() -> None:
    model = tiny()
    moved(model, FORMS["lora"])
    with pytest.raises(UsageError, match="there is an adapter 'default' already"):
        moved(model, FORMS["lora"])
    for name in ("a.b", "keys", ""):
        with pytest.raises(UsageError, match="cannot name an adapter"):
            moved(model, FORMS["lora"], name)
    with pytest.raises(UsageError, match="no adapter 'polit'"):
        use_adapter(model, "polit")


def test_the_scale_is_alpha_over_the_rank_or_over_its_root() -> None:
    assert AdapterConfig(rank=16, alpha=32).form.scale == 2
    assert AdapterConfig(kind="rslora", rank=16, alpha=32).form.scale == 8
