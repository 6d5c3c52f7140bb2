"""Causal Transformers answer as Hugging Face's do with the same weights, in both directions of a file.

`make test` compares every case in float64, and in one of the other ways or two; `make proof-parity` in all.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn

from wenlu.kernels.norms import reference as rms_norm
from wenlu.models import FAMILIES, Family, LanguageModel
from wenlu.models.weights import load_model, save_model
from wenlu.models.weights.rules import Stored, apply_rules

PROOF = os.environ.get("WENLU_PROOF") == "1"
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500.0,
    "factor": 4.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
LINEAR = {"rope_type": "linear", "rope_theta": 10000.0, "factor": 3.0}
DYNAMIC = {"rope_type": "dynamic", "rope_theta": 1000.0, "factor": 2.5}
YARN = {"rope_type": "yarn", "rope_theta": 1000.0, "factor": 4.0, "original_max_position_embeddings": 16}
LONGROPE = {
    "rope_type": "longrope",
    "rope_theta": 100.0,
    "short_factor": [1.0, 1.1, 1.3, 1.7],
    "long_factor": [1.0, 2.0, 3.5, 6.0],
    "original_max_position_embeddings": 16,
}
ODD = {"num_attention_heads": 5, "num_key_value_heads": 5, "hidden_size": 50}
ODD_GROUPS = {"num_attention_heads": 9, "num_key_value_heads": 3, "hidden_size": 36}
ONE_KEY_HEAD = {"num_attention_heads": 4, "num_key_value_heads": 1}
TIED = {"tie_word_embeddings": True, "num_key_value_heads": 2}
SLIDING = {"use_sliding_window": True, "sliding_window": 7, "max_window_layers": 1}


def rope(settings: dict[str, Any], **others: Any) -> dict[str, Any]:
    return {"rope_parameters": settings, "max_position_embeddings": 64, **others}


CASES: dict[str, dict[str, dict[str, Any]]] = {
    "gpt2": {
        "plain": {},
        "odd heads": {"n_head": 5, "n_embd": 50},
        "one head": {"n_head": 1, "n_embd": 9},
        "untied": {"tie_word_embeddings": False},
        "narrow": {"n_inner": 12},
        "relu": {"activation_function": "relu", "layer_norm_epsilon": 1e-3},
        "exact gelu": {"activation_function": "gelu", "n_positions": 40},
        "unscaled": {"scale_attn_weights": False},
        "scaled by layer": {"scale_attn_by_inverse_layer_idx": True, "reorder_and_upcast_attn": True},
    },
    "llama": {
        "plain": {},
        "grouped": {"num_attention_heads": 6, "num_key_value_heads": 2, "hidden_size": 24},
        "multi-query": ONE_KEY_HEAD,
        "odd heads": ODD,
        "odd groups": ODD_GROUPS,
        "wide heads": {"head_dim": 22},
        "tied": TIED,
        "biases": {"attention_bias": True, "mlp_bias": True},
        "gelu": {"hidden_act": "gelu_pytorch_tanh", "rms_norm_eps": 1e-3},
        "relu2": {"hidden_act": "relu2"},
        "other base": rope({"rope_type": "default", "rope_theta": 97.0}),
        "linear": rope(LINEAR),
        "llama3": rope(LLAMA3, head_dim=16, num_key_value_heads=2),
        "dynamic": rope(DYNAMIC, max_position_embeddings=16),
        "dynamic, unreached": rope(DYNAMIC),
        "yarn": rope(YARN),
        "yarn, all settings": rope(
            YARN
            | {
                "beta_fast": 8.0,
                "beta_slow": 0.5,
                "truncate": False,
                "mscale": 0.7,
                "mscale_all_dim": 1.3,
                "factor": 9.0,
            },
            head_dim=32,
        ),
        "yarn, given factor": rope(YARN | {"attention_factor": 0.8}),
        "longrope": rope(LONGROPE),
        "longrope, unreached": rope(LONGROPE | {"original_max_position_embeddings": 60, "factor": 3.0}),
        "longrope, given factor": rope(LONGROPE | {"attention_factor": 1.2}),
    },
    "mistral": {
        "plain": {"num_key_value_heads": 4},
        "no window": {"sliding_window": None, "num_key_value_heads": 2},
        "window": {"sliding_window": 5, "num_key_value_heads": 2},
        "window of two": {"sliding_window": 2, **ONE_KEY_HEAD},
        "odd heads": {**ODD, "sliding_window": 7},
        "odd groups": ODD_GROUPS,
        "wide heads": {"head_dim": 22, "sliding_window": 3, "num_key_value_heads": 2},
        "tied": {**TIED, "sliding_window": 39},
        "yarn": rope(YARN, sliding_window=20, num_key_value_heads=4),
    },
    "qwen2": {
        "plain": {"num_key_value_heads": 4},
        "multi-query": ONE_KEY_HEAD,
        "odd heads": ODD,
        "odd groups": ODD_GROUPS,
        "tied": TIED,
        "unused window": {"sliding_window": 3, "num_key_value_heads": 2},
        "window": {**SLIDING, "num_key_value_heads": 2},
        "layer types": {
            **SLIDING,
            "num_key_value_heads": 4,
            "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
        },
        "yarn": rope(YARN, num_key_value_heads=2),
        "dynamic": rope(DYNAMIC, max_position_embeddings=16, num_key_value_heads=4),
    },
    "qwen3": {
        "plain": {"num_key_value_heads": 4},
        "multi-query": ONE_KEY_HEAD,
        "odd heads": {**ODD, "head_dim": 6},
        "odd groups": {**ODD_GROUPS, "head_dim": 4},
        "tied": TIED,
        "biases": {"attention_bias": True, "num_key_value_heads": 2},
        "window": {**SLIDING, "num_key_value_heads": 2},
        "wide heads": {"head_dim": 24, "num_key_value_heads": 4, "rms_norm_eps": 1e-3},
        "yarn": rope(YARN, num_key_value_heads=2),
        "linear": rope(LINEAR, num_key_value_heads=4),
    },
    "gemma3_text": {
        "plain": {},
        "short window": {"sliding_window": 3},
        "one layer": {"num_hidden_layers": 1, "sliding_window": 5},
        "odd heads": {**ODD, "head_dim": 6},
        "odd groups": {**ODD_GROUPS, "head_dim": 4},
        "untied": {"tie_word_embeddings": False},
        "biases": {"attention_bias": True},
        "other scale": {"query_pre_attn_scalar": 3, "head_dim": 14},
        "capped": {"final_logit_softcapping": 2.0},
        "global only": {"layer_types": ["full_attention"] * 4},
        "linear": {
            "rope_parameters": {
                "full_attention": LINEAR,
                "sliding_attention": {"rope_type": "default", "rope_theta": 50.0},
            }
        },
    },
    "phi3": {
        "plain": {},
        "grouped": {"num_key_value_heads": 2},
        "multi-query": ONE_KEY_HEAD,
        "odd heads": ODD,
        "odd groups": ODD_GROUPS,
        "tied": TIED,
        "window": {"sliding_window": 5},
        "partial": rope({"rope_type": "default", "rope_theta": 100.0, "partial_rotary_factor": 0.5}),
        "longrope": rope(LONGROPE, original_max_position_embeddings=16),
        "longrope, unreached": rope(LONGROPE, original_max_position_embeddings=48),
        "longrope, partial": rope(
            LONGROPE | {"partial_rotary_factor": 0.5}, original_max_position_embeddings=16, hidden_size=64
        ),
    },
}
SIZES: dict[str, dict[str, Any]] = {
    "gpt2": {"n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 64},
    "gemma3_text": {
        "hidden_size": 32,
        "intermediate_size": 44,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 10,
        "query_pre_attn_scalar": 10,
        "sliding_window": 16,
        "layer_types": None,
        "sliding_window_pattern": 2,
    },
    "qwen3": {"head_dim": 10},
}
LLAMA_SIZES = {"hidden_size": 32, "intermediate_size": 44, "num_hidden_layers": 3, "num_attention_heads": 4}


def cases(place: int | None = None, *words: str) -> pytest.MarkDecorator:
    """Every case of every kind; with a `place`, `make test` takes each third from there, and what `words` name."""
    return pytest.mark.parametrize(
        ("kind", "case"),
        [
            pytest.param(kind, case, id=f"{kind}: {name}")
            for kind, each in CASES.items()
            for number, (name, case) in enumerate(each.items())
            if PROOF or place is None or number % 3 == place or any(word in name for word in words)
        ],
    )


every_kind = pytest.mark.parametrize("kind", CASES)


@pytest.fixture(autouse=True)
def _quiet() -> None:
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()


def family(kind: str) -> Family:
    return next(row for row in FAMILIES if kind in row.hf_types)


def theirs(kind: str, case: dict[str, Any], folder: Path, **options: Any) -> transformers.PreTrainedModel:
    """A random model of transformers, saved to `folder`; its biases and norms are random too."""
    torch.manual_seed(5)
    sizes = SIZES.get(kind, {}) if kind in ("gpt2", "gemma3_text") else {**LLAMA_SIZES, **SIZES.get(kind, {})}
    settings = {
        "vocab_size": 41,
        "initializer_range": 0.2,
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": None,
        **sizes,
        **case,
    }
    config = transformers.AutoConfig.for_model(kind, **json.loads(json.dumps(settings)))
    model = transformers.AutoModelForCausalLM.from_config(config, **options).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.3 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    return model


def ours(folder: Path, dtype: torch.dtype | None = None) -> LanguageModel:
    return load_model(folder, dtype=dtype)[1]


def ids(rows: int = 2, length: int = 40) -> Tensor:
    return torch.randint(0, 41, (rows, length), generator=torch.Generator().manual_seed(1))


class ExactNorm(nn.Module):
    """The oracle's norm, which casts to fp32 whatever it is given, in the dtype of its input."""

    def __init__(self, norm: Any) -> None:
        super().__init__()
        self.weight = norm.weight
        self.offset = float("Gemma" in type(norm).__name__)
        self.eps = norm.eps if self.offset else norm.variance_epsilon

    def forward(self, x: Tensor) -> Tensor:
        return rms_norm(x, self.offset + self.weight, self.eps)


def exact(model: transformers.PreTrainedModel) -> transformers.PreTrainedModel:
    for name, module in list(model.named_modules()):
        if type(module).__name__.endswith("RMSNorm"):
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, ExactNorm(module))
    return model.double()


@cases(0)
def test_logits_differ_by_less_than_1e_4_in_fp32(kind: str, case: dict[str, Any], tmp_path: Path) -> None:
    reference = theirs(kind, case, tmp_path)
    with torch.no_grad():
        assert (ours(tmp_path)(ids()) - reference(ids()).logits).abs().max() < 1e-4


@cases()
def test_logits_differ_by_less_than_1e_9_in_fp64(kind: str, case: dict[str, Any], tmp_path: Path) -> None:
    reference = exact(theirs(kind, case, tmp_path))
    model = ours(tmp_path, torch.float64)
    expected = reference(ids()).logits
    assert (model(ids()) - expected).abs().max() < 1e-9  # with gradients: our own attention
    with torch.no_grad():
        assert (model(ids()) - expected).abs().max() < 1e-9  # without: torch's


@cases(1)
def test_every_layer_passes_on_the_same_hidden_states(kind: str, case: dict[str, Any], tmp_path: Path) -> None:
    reference = exact(theirs(kind, case, tmp_path))
    model = ours(tmp_path, torch.float64)
    seen: list[Tensor] = []
    for layer in model.get_submodule("layers").children():
        layer.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    final = model.hidden(ids())
    expected = reference(ids(), output_hidden_states=True).hidden_states
    for index, hidden in enumerate([*seen[:-1], final], start=1):
        assert (hidden - expected[index]).abs().max() < 1e-9, f"layer {index}"


@cases(0, "dynamic", "longrope")
def test_thirty_two_greedy_tokens_are_equal(kind: str, case: dict[str, Any], tmp_path: Path) -> None:
    """Also where `dynamic` or `longrope` turns differently once the text has grown."""
    reference = theirs(kind, case, tmp_path)
    model = ours(tmp_path)
    prompt = ids(2, 5)
    expected = reference.generate(prompt, max_new_tokens=32, do_sample=False, attention_mask=torch.ones_like(prompt))
    state, new, found = model.init_state(2), prompt, [prompt]
    with torch.no_grad():
        for _ in range(32):
            new = model(new, state=state)[:, -1:].argmax(dim=-1)
            found.append(new)
    assert torch.equal(torch.cat(found, dim=1), expected)


@cases(2)
def test_gradients_of_all_weights_are_equal(kind: str, case: dict[str, Any], tmp_path: Path) -> None:
    reference = exact(theirs(kind, case, tmp_path))
    model = ours(tmp_path, torch.float64)
    reference(ids()).logits.cos().sum().backward()
    model(ids()).cos().sum().backward()
    gradients = {name: Stored.of(each.grad) for name, each in reference.named_parameters()}
    expected = apply_rules(family(kind).rules, gradients, model.config)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name].read(), rtol=1e-8, atol=1e-8)


@cases(1)
def test_transformers_loads_what_we_save(kind: str, case: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "ours").mkdir()
    first = theirs(kind, case, tmp_path / "theirs")
    model = ours(tmp_path / "theirs")
    save_model(tmp_path / "ours", model, family(kind), shard_bytes=4000)
    assert len(list((tmp_path / "ours").glob("*.safetensors"))) > 1
    reference, report = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert type(reference) is type(first)
    assert not any(report.values()), report
    with torch.no_grad():
        assert (model(ids()) - reference(ids()).logits).abs().max() < 1e-4
        assert torch.equal(ours(tmp_path / "ours")(ids()), model(ids()))


@every_kind
def test_padding_on_either_side_answers_as_transformers_does_alone(kind: str, tmp_path: Path) -> None:
    case = {"rope_parameters": LONGROPE, "original_max_position_embeddings": 16} if kind == "phi3" else {}
    case |= {"sliding_window": 4} if kind in ("mistral", "gemma3_text") else {}
    case |= SLIDING if kind in ("qwen2", "qwen3") else {}
    case |= {} if kind in ("gpt2", "gemma3_text") else {"num_key_value_heads": 2}
    reference = theirs(kind, case, tmp_path)
    model, texts = ours(tmp_path), [ids(1, 20)[0], ids(1, 9)[0]]
    with torch.no_grad():
        expected = [reference(text[None]).logits[0] for text in texts]
        for pad in (lambda n: (20 - n, 0), lambda n: (0, 20 - n)):
            rows = torch.stack([nn.functional.pad(text, pad(len(text))) for text in texts])
            mask = torch.stack([nn.functional.pad(torch.ones_like(text), pad(len(text))) for text in texts])
            found = model(rows, attention_mask=mask)
            for index, alone in enumerate(expected):
                assert (found[index, mask[index].bool()] - alone).abs().max() < 1e-4


@every_kind
def test_given_positions_are_those_of_transformers(kind: str, tmp_path: Path) -> None:
    reference = theirs(kind, {} if kind == "gpt2" else {"num_key_value_heads": 2}, tmp_path)
    positions = torch.tensor([[3, 4, 5, 9, 10, 30]])
    with torch.no_grad():
        expected = reference(ids(1, 6), position_ids=positions).logits
        assert (ours(tmp_path)(ids(1, 6), positions=positions) - expected).abs().max() < 1e-4


def test_capped_scores_are_those_of_transformers(tmp_path: Path) -> None:
    """Whose Gemma 3 does not pass its setting on; its attention caps when told to."""
    reference = theirs("gemma3_text", {"attn_logit_softcapping": 1.5}, tmp_path, attn_implementation="eager")
    with torch.no_grad():
        expected = reference(ids(), softcap=1.5).logits
        assert (ours(tmp_path)(ids()) - expected).abs().max() < 1e-4
        assert (reference(ids()).logits - expected).abs().max() > 1e-2
