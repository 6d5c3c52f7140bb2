"""Llama answers as Hugging Face's does with the same weights, in both directions of a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from wenlu.kernels.rms_norm import reference as rms_norm
from wenlu.models.llama import FAMILY, Llama
from wenlu.models.weights import load_model, save_model

LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "grouped": {"num_attention_heads": 6, "num_key_value_heads": 2, "hidden_size": 24},
    "multi-query": {"num_attention_heads": 4, "num_key_value_heads": 1},
    "odd heads": {"num_attention_heads": 5, "num_key_value_heads": 5, "hidden_size": 50},
    "odd groups": {"num_attention_heads": 9, "num_key_value_heads": 3, "hidden_size": 36},
    "wide heads": {"head_dim": 22},
    "tied": {"tie_word_embeddings": True, "num_key_value_heads": 2},
    "biases": {"attention_bias": True, "mlp_bias": True},
    "gelu": {"hidden_act": "gelu_pytorch_tanh", "rms_norm_eps": 1e-3},
    "relu2": {"hidden_act": "relu2"},
    "other base": {"rope_parameters": {"rope_type": "default", "rope_theta": 97.0}},
    "linear": {"rope_parameters": {"rope_type": "linear", "rope_theta": 10000.0, "factor": 3.0}},
    "llama3": {"rope_parameters": LLAMA3, "head_dim": 16, "num_key_value_heads": 2},
}
cases = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


@pytest.fixture(autouse=True)
def _quiet() -> None:
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()


def theirs(case: dict[str, Any], folder: Path) -> transformers.LlamaForCausalLM:
    """A random model of transformers, saved to `folder`; its biases and norms are random too."""
    settings = {
        "vocab_size": 41,
        "hidden_size": 32,
        "intermediate_size": 44,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "initializer_range": 0.2,
        "bos_token_id": None,
        "eos_token_id": None,
    }
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**{**settings, **case})).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.3 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    return model


def ours(folder: Path, dtype: torch.dtype | None = None) -> Llama:
    _, model = load_model(folder, dtype=dtype)
    assert isinstance(model, Llama)
    return model


def ids(rows: int = 2, length: int = 40) -> Tensor:
    return torch.randint(0, 41, (rows, length), generator=torch.Generator().manual_seed(1))


class ExactNorm(nn.Module):
    """The oracle's norm, which casts to fp32 whatever it is given, in the dtype of its input."""

    def __init__(self, norm: LlamaRMSNorm) -> None:
        super().__init__()
        self.weight, self.eps = norm.weight, norm.variance_epsilon

    def forward(self, x: Tensor) -> Tensor:
        return rms_norm(x, self.weight, self.eps)


def exact(model: transformers.LlamaForCausalLM) -> transformers.LlamaForCausalLM:
    for name, module in list(model.named_modules()):
        if isinstance(module, LlamaRMSNorm):
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, ExactNorm(module))
    return model.double()


@cases
def test_logits_differ_by_less_than_1e_4_in_fp32(case: dict[str, Any], tmp_path: Path) -> None:
    reference = theirs(case, tmp_path)
    with torch.no_grad():
        assert (ours(tmp_path)(ids()) - reference(ids()).logits).abs().max() < 1e-4


@cases
def test_logits_differ_by_less_than_1e_9_in_fp64(case: dict[str, Any], tmp_path: Path) -> None:
    reference = exact(theirs(case, tmp_path))
    model = ours(tmp_path, torch.float64)
    expected = reference(ids()).logits
    assert (model(ids()) - expected).abs().max() < 1e-9  # with gradients: our own attention
    with torch.no_grad():
        assert (model(ids()) - expected).abs().max() < 1e-9  # without: torch's


@cases
def test_every_layer_passes_on_the_same_hidden_states(case: dict[str, Any], tmp_path: Path) -> None:
    reference = exact(theirs(case, tmp_path))
    model = ours(tmp_path, torch.float64)
    seen: list[Tensor] = []
    for layer in model.layers:
        layer.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    final = model.hidden(ids())
    expected = reference(ids(), output_hidden_states=True).hidden_states
    for index, hidden in enumerate([*seen[:-1], final], start=1):
        assert (hidden - expected[index]).abs().max() < 1e-9, f"layer {index}"


@cases
def test_thirty_two_greedy_tokens_are_equal(case: dict[str, Any], tmp_path: Path) -> None:
    reference = theirs(case, tmp_path)
    model = ours(tmp_path)
    prompt = ids(2, 5)
    expected = reference.generate(prompt, max_new_tokens=32, do_sample=False, attention_mask=torch.ones_like(prompt))
    state, new, found = model.init_state(2), prompt, [prompt]
    with torch.no_grad():
        for _ in range(32):
            new = model(new, state=state)[:, -1:].argmax(dim=-1)
            found.append(new)
    assert torch.equal(torch.cat(found, dim=1), expected)


@cases
def test_gradients_of_all_weights_are_equal(case: dict[str, Any], tmp_path: Path) -> None:
    reference = exact(theirs(case, tmp_path))
    model = ours(tmp_path, torch.float64)
    reference(ids()).logits.cos().sum().backward()
    model(ids()).cos().sum().backward()
    expected = {name.removeprefix("model."): each.grad for name, each in reference.named_parameters()}
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name], rtol=1e-8, atol=1e-8)


@cases
def test_transformers_loads_what_we_save(case: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "ours").mkdir()
    theirs(case, tmp_path / "theirs")
    model = ours(tmp_path / "theirs")
    save_model(tmp_path / "ours", model, FAMILY, shard_bytes=4000)
    reference, report = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not any(report.values()), report
    with torch.no_grad():
        assert (model(ids()) - reference(ids()).logits).abs().max() < 1e-4


def test_left_padding_answers_as_in_transformers(tmp_path: Path) -> None:
    reference = theirs({}, tmp_path)
    mask = torch.ones(2, 12, dtype=torch.int64)
    mask[1, :5] = 0
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    with torch.no_grad():
        expected = reference(ids(2, 12), attention_mask=mask, position_ids=positions).logits
        found = ours(tmp_path)(ids(2, 12), attention_mask=mask)
    assert (found - expected)[mask.bool()].abs().max() < 1e-4


def test_given_positions_are_those_of_transformers(tmp_path: Path) -> None:
    reference = theirs({}, tmp_path)
    positions = torch.tensor([[3, 4, 5, 9, 10, 30]])
    with torch.no_grad():
        expected = reference(ids(1, 6), position_ids=positions).logits
        assert (ours(tmp_path)(ids(1, 6), positions=positions) - expected).abs().max() < 1e-4


@pytest.mark.parametrize("key", ["rope_type", "type"])
def test_configs_of_transformers_4_are_read_as_transformers_reads_them(key: str, tmp_path: Path) -> None:
    reference = theirs({"rope_parameters": {"rope_type": "linear", "rope_theta": 77.0, "factor": 2.0}}, tmp_path)
    path = tmp_path / "config.json"
    content = json.loads(path.read_text())
    del content["rope_parameters"]
    content |= {"rope_theta": 77.0, "rope_scaling": {key: "linear", "factor": 2.0}, "torch_dtype": "float32"}
    path.write_text(json.dumps(content))
    with torch.no_grad():
        assert (ours(tmp_path)(ids()) - reference(ids()).logits).abs().max() < 1e-4
