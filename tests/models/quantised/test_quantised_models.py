"""Models with quantised maps: products, gradients, folders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from wenlu.errors import WeightsError
from wenlu.models import FAMILIES, Ability, Family, LanguageModel, family
from wenlu.models.layers.linear import Linear
from wenlu.models.quantised import (
    GridConfig,
    QuantisedLinear,
    dequantised,
    quantisable,
    quantise_linears,
    quantised_layers,
    weight_bytes,
)
from wenlu.models.weights import load_model, save_model

LLAMA = family("llama")
CONFIG = LLAMA.config(
    vocab_size=19,
    hidden_size=8,
    intermediate_size=11,
    num_hidden_layers=2,
    num_attention_heads=2,
    initializer_range=0.3,
)
SIZES: dict[str, Any] = {"vocab_size": 19, "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2}
SIZES |= {"intermediate_size": 12, "max_position_embeddings": 32, "initializer_range": 0.3, "head_dim": 4}
IDS = torch.arange(10).reshape(1, 10)


def tiny(chosen: Family = LLAMA) -> LanguageModel:
    torch.manual_seed(0)
    return chosen.build(CONFIG if chosen is LLAMA else _config(chosen)).eval()


def _config(chosen: Family) -> Any:
    known = chosen.config.model_fields
    return chosen.config(**{key: value for key, value in SIZES.items() if key in known})


def answer(model: LanguageModel) -> torch.Tensor:
    with torch.no_grad():
        return model(IDS) if not hasattr(model, "encoder") else model(IDS, decoder_input_ids=IDS)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_a_product_is_that_of_the_rounded_weights(bits: Any, symmetric: bool, bias: bool) -> None:
    plain = Linear(11, 5, bias=bias).double()
    layer = QuantisedLinear.of(plain, GridConfig(bits=bits, group_size=4, symmetric=symmetric))
    x = torch.randn(2, 3, 11, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(layer(x), nn.functional.linear(x, layer.dequantised(torch.float64), plain.bias))
    assert torch.autograd.gradcheck(layer, x)


def test_what_is_computed_has_the_type_of_the_input() -> None:
    layer = QuantisedLinear.of(Linear(8, 5), GridConfig()).to(torch.bfloat16)
    assert layer.scales.dtype == torch.float16
    assert layer(torch.ones(1, 8, dtype=torch.bfloat16)).dtype == torch.bfloat16


def test_only_what_is_not_frozen_gets_a_gradient() -> None:
    layer = QuantisedLinear.of(Linear(8, 5), GridConfig())
    assert [name for name, each in layer.named_parameters() if each.requires_grad] == []
    x = torch.randn(3, 8, requires_grad=True)
    layer(x).sum().backward()
    torch.testing.assert_close(x.grad, layer.dequantised().sum(0).expand(3, 8))


def test_quantised_maps_are_those_inside_the_layers() -> None:
    model = tiny()
    names = quantise_linears(model, GridConfig())
    assert len(names) == 2 * 7
    assert set(quantised_layers(model)) == set(names)
    assert type(model.lm_head) is nn.Linear


def test_a_model_with_eight_bits_is_near_and_small() -> None:
    model = tiny()
    before, bytes_before = answer(model), weight_bytes(model)
    quantise_linears(model, GridConfig(bits=8, group_size="row"))
    apart = (answer(model) - before).abs().max()
    assert 0 < apart < 0.05 * before.abs().max()
    assert weight_bytes(model) < 0.6 * bytes_before


@pytest.mark.parametrize("chosen", FAMILIES, ids=lambda each: each.name)
def test_a_quantised_model_is_the_same_after_its_folder(chosen: Family, tmp_path: Path) -> None:
    model = tiny(chosen)
    if not quantisable(model):
        pytest.skip(f"{chosen.name} has no linear maps of ours")
    quantise_linears(model, GridConfig(bits=4, group_size=4, symmetric=False))
    save_model(tmp_path, model, chosen)
    _, again = load_model(tmp_path)
    mine, theirs = model.state_dict(), again.state_dict()
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[key], theirs[key]) for key in mine)
    assert set(quantised_layers(again)) == set(quantised_layers(model))
    if Ability.ENCODER_DECODER not in chosen.abilities:
        assert torch.equal(answer(again), answer(model))


def test_plain_maps_of_the_same_weights_answer_alike() -> None:
    model = tiny()
    quantise_linears(model, GridConfig())
    plain = dequantised(model)
    assert not quantised_layers(plain)
    torch.testing.assert_close(answer(plain), answer(model))


def test_a_type_asked_for_leaves_codes_and_scales(tmp_path: Path) -> None:
    model = tiny()
    quantise_linears(model, GridConfig())
    save_model(tmp_path, model, LLAMA)
    _, again = load_model(tmp_path, dtype=torch.bfloat16)
    layer = next(iter(quantised_layers(again).values()))
    assert (layer.codes.dtype, layer.scales.dtype) == (torch.uint8, torch.float16)
    assert answer(again).dtype == torch.bfloat16


def test_a_name_that_is_no_map_is_refused() -> None:
    with pytest.raises(WeightsError, match=r"no linear map of Llama; did you mean layers\.0\.self_attn\.q_proj"):
        quantise_linears(tiny(), GridConfig(), ["layers.0.self_attn.q_prj"])


def test_a_tied_head_is_refused() -> None:
    model = LLAMA.build(CONFIG.model_copy(update={"tie_word_embeddings": True}))
    with pytest.raises(WeightsError, match=r"lm_head shares its weight with embed_tokens, so it stays as it is"):
        quantise_linears(model, GridConfig(), ["lm_head"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    model = tiny()
    quantise_linears(model, GridConfig())
    save_model(tmp_path, model, LLAMA)
    return tmp_path


def test_a_missing_tensor_of_a_quantised_map_is_named(folder: Path) -> None:
    path = folder / "model.safetensors"
    tensors = load_file(path)
    del tensors["layers.0.mlp.up_proj.scales"]
    save_file(tensors, path)
    with pytest.raises(WeightsError, match=r"1 missing \['layers\.0\.mlp\.up_proj\.scales'\]"):
        load_model(folder)


def test_codes_of_another_type_are_refused(folder: Path) -> None:
    path = folder / "model.safetensors"
    tensors = load_file(path)
    tensors["layers.0.mlp.up_proj.codes"] = tensors["layers.0.mlp.up_proj.codes"].float()
    save_file(tensors, path)
    with pytest.raises(
        WeightsError, match=r"codes holds torch\.float32, but quantization_config asks for torch\.uint8"
    ):
        load_model(folder)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"quant_method": "gptq", "bits": 4}, "quantization_config is of 'gptq', and Wenlu reads only what it wrote"),
        ({"quant_method": "wenlu"}, "should hold quant_method and grids"),
        ({"quant_method": "wenlu", "grids": [{"bits": 4, "names": "all"}]}, "names should be a list of texts"),
        ({"quant_method": "wenlu", "grids": [{"bits": 3, "names": []}]}, "bits: input should be 4 or 8"),
        ({"quant_method": "wenlu", "grids": [{"names": ["embed_tokens"]}]}, "'embed_tokens' is no linear map"),
    ],
)
def test_a_config_without_a_meaning_is_refused(folder: Path, said: Any, message: str) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "quantization_config": said}))
    with pytest.raises(WeightsError, match=message):
        load_model(folder)
