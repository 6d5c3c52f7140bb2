"""Encoder–decoders answer as Hugging Face's do with the same weights, in both directions of a file.

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
from wenlu.models import FAMILIES, Family
from wenlu.models.layers.encoder_decoder import TransformerEncoderDecoder
from wenlu.models.weights import load_model, save_model
from wenlu.models.weights.rules import Stored, apply_rules

PROOF = os.environ.get("WENLU_PROOF") == "1"
VOCAB = 41
T5 = {
    "plain": {},
    "one head": {"num_heads": 1, "d_model": 13, "num_layers": 1},
    "odd heads": {"num_heads": 5, "d_kv": 6, "d_model": 25},
    "wide heads": {"d_kv": 20, "feed_forward_proj": "gelu"},
    "deeper encoder": {"num_layers": 4, "num_decoder_layers": 1},
    "deeper decoder": {"num_layers": 1, "num_decoder_layers": 4, "feed_forward_proj": "gated-relu"},
    "few buckets": {"relative_attention_num_buckets": 4, "relative_attention_max_distance": 7},
    "odd halves of buckets": {"relative_attention_num_buckets": 10, "relative_attention_max_distance": 30},
    "many buckets": {"relative_attention_num_buckets": 40, "relative_attention_max_distance": 64},
    "gated": {"feed_forward_proj": "gated-gelu", "layer_norm_epsilon": 1e-3},
    "gated silu": {"feed_forward_proj": "gated-silu", "num_decoder_layers": 3},
    "v1.1": {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False},
    "v1.1, odd heads": {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False, "num_heads": 3, "d_kv": 7},
    "untied relu": {"tie_word_embeddings": False, "num_decoder_layers": 1},
}
BART: dict[str, dict[str, Any]] = {
    "plain": {},
    "one head": {
        "d_model": 13,
        "encoder_attention_heads": 1,
        "decoder_attention_heads": 1,
        "encoder_layers": 1,
    },
    "odd heads": {"d_model": 35, "encoder_attention_heads": 5, "decoder_attention_heads": 7},
    "deeper encoder": {"encoder_layers": 4, "decoder_layers": 1},
    "deeper decoder": {"encoder_layers": 1, "decoder_layers": 4, "decoder_ffn_dim": 20},
    "scaled": {"scale_embedding": True},
    "untied": {"tie_word_embeddings": False},
    "relu": {"activation_function": "relu", "encoder_ffn_dim": 60},
    "swish": {"activation_function": "swish", "decoder_layers": 3},
    "tanh gelu": {"activation_function": "gelu_new", "max_position_embeddings": 40, "scale_embedding": True},
}
SEPARATE = {"share_encoder_decoder_embeddings": False}
MARIAN: dict[str, dict[str, Any]] = {
    **{name: case for name, case in BART.items() if name != "tanh gelu"},
    "separate embeddings": SEPARATE,
    "separate vocabularies": {**SEPARATE, "decoder_vocab_size": 53, "scale_embedding": True},
    "separate and untied": {**SEPARATE, "decoder_vocab_size": 47, "tie_word_embeddings": False},
}
CASES: dict[str, dict[str, dict[str, Any]]] = {
    "bart": BART,
    "marian": MARIAN,
    "t5": T5,
    "mt5": {k: v | {"tie_word_embeddings": False} for k, v in T5.items()},
}
SIZES: dict[str, dict[str, Any]] = {
    "t5": {"d_model": 24, "d_kv": 6, "d_ff": 44, "num_layers": 2, "num_heads": 4, "pad_token_id": 0},
}
SIZES["mt5"] = SIZES["t5"]
SIZES["bart"] = {
    "d_model": 24,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_ffn_dim": 44,
    "decoder_ffn_dim": 40,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 3,
    "max_position_embeddings": 50,
    "init_std": 0.2,
    "decoder_start_token_id": 2,
    "eos_token_id": 2,
    "forced_eos_token_id": None,
}
SIZES["marian"] = SIZES["bart"] | {
    "activation_function": "swish",
    "pad_token_id": VOCAB - 1,
    "decoder_start_token_id": VOCAB - 1,
    "eos_token_id": 0,
}


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


def theirs(kind: str, case: dict[str, Any], folder: Path) -> transformers.PreTrainedModel:
    """A random model of transformers, saved to `folder`; its biases and norms are random too."""
    torch.manual_seed(5)
    settings = {"vocab_size": VOCAB, "decoder_start_token_id": 0, **SIZES[kind], **case}
    config = transformers.AutoConfig.for_model(kind, **json.loads(json.dumps(settings)))
    model = transformers.AutoModelForSeq2SeqLM.from_config(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:  # not sinusoids
                vectors, matrices = (0.3, 0.1) if "t5" in kind else (0.3, 0.2)
                parameter.add_((vectors if parameter.ndim == 1 else matrices) * torch.randn_like(parameter))
        if "t5" in kind:  # whose embeddings have the deviation 1
            model.get_parameter("shared.weight").mul_(0.1)
        if "final_logits_bias" in dict(model.named_buffers()):
            model.final_logits_bias.normal_(std=0.3)
        if case.get("tie_word_embeddings") is False:
            is_shared = getattr(config, "share_encoder_decoder_embeddings", True)
            if "t5" not in kind and is_shared:  # which then unties the embeddings too
                shared = model.get_parameter("model.shared.weight")
                for stack in ("encoder", "decoder"):
                    model.get_submodule(f"model.{stack}.embed_tokens").weight = nn.Parameter(shared.clone())
            model.lm_head.weight = nn.Parameter(0.3 * torch.randn_like(model.lm_head.weight))
    model.save_pretrained(folder)
    return model


def ours(folder: Path, dtype: torch.dtype | None = None) -> TransformerEncoderDecoder:
    _, model = load_model(folder, dtype=dtype)
    assert isinstance(model, TransformerEncoderDecoder)
    return model


def ids(rows: int = 2, length: int = 40, seed: int = 1) -> Tensor:
    """Without the tokens that pad, begin or end."""
    return torch.randint(4, VOCAB - 1, (rows, length), generator=torch.Generator().manual_seed(seed))


class ExactNorm(nn.Module):
    """The oracle's norm, which casts to fp32 whatever it is given, in the dtype of its input."""

    def __init__(self, norm: Any) -> None:
        super().__init__()
        self.weight, self.eps = norm.weight, norm.variance_epsilon

    def forward(self, x: Tensor) -> Tensor:
        return rms_norm(x, self.weight, self.eps)


def exact(model: transformers.PreTrainedModel) -> transformers.PreTrainedModel:
    for name, module in list(model.named_modules()):
        if type(module).__name__ in ("T5LayerNorm", "MT5LayerNorm"):
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, ExactNorm(module))
    return model.double()


@cases(0)
def test_logits_differ_by_less_than_1e_4_in_fp32(kind: str, case: dict[str, Any], tmp_path: Path) -> None:
    reference = theirs(kind, case, tmp_path)
    source, target = ids(), ids(2, 33, seed=2)
    with torch.no_grad():
        expected = reference(input_ids=source, decoder_input_ids=target).logits
        assert (ours(tmp_path)(source, decoder_input_ids=target) - expected).abs().max() < 1e-4


@cases()
def test_logits_differ_by_less_than_1e_9_in_fp64(kind: str, case: dict[str, Any], tmp_path: Path) -> None:
    reference = exact(theirs(kind, case, tmp_path))
    model = ours(tmp_path, torch.float64)
    source, target = ids(), ids(2, 33, seed=2)
    expected = reference(input_ids=source, decoder_input_ids=target).logits
    assert (model(source, decoder_input_ids=target) - expected).abs().max() < 1e-9  # with gradients: our own attention
    with torch.no_grad():
        assert (model(source, decoder_input_ids=target) - expected).abs().max() < 1e-9  # without: torch's


@cases(1)
def test_every_layer_passes_on_the_same_hidden_states(kind: str, case: dict[str, Any], tmp_path: Path) -> None:
    reference = exact(theirs(kind, case, tmp_path))
    model = ours(tmp_path, torch.float64)
    seen: dict[str, list[Tensor]] = {"encoder": [], "decoder": []}
    for name, found in seen.items():
        for layer in model.get_submodule(f"{name}.layers").children():
            layer.register_forward_hook(lambda _module, _inputs, output, found=found: found.append(output))
    model.encoder.register_forward_hook(lambda _module, _inputs, output: seen["encoder"].append(output))
    source, target = ids(), ids(2, 33, seed=2)
    final = model.hidden(source, decoder_input_ids=target)
    output = reference(input_ids=source, decoder_input_ids=target, output_hidden_states=True)
    for name, last in (("encoder", seen["encoder"].pop()), ("decoder", final)):
        expected = output[f"{name}_hidden_states"]
        assert len(expected) == len(seen[name]) + 1
        for index, hidden in enumerate([*seen[name][:-1], last], start=1):
            assert (hidden - expected[index]).abs().max() < 1e-9, f"{name} layer {index}"


@cases(0)
def test_thirty_two_greedy_tokens_are_equal(kind: str, case: dict[str, Any], tmp_path: Path) -> None:
    """Each token at most once, as a random model would else soon stand still."""
    reference = theirs(kind, case, tmp_path)
    model, source = ours(tmp_path), ids(3, 12)
    mask = torch.ones_like(source)
    mask[1, 7:] = 0
    mask[2, :4] = 0 if "t5" in kind else 1  # on the left, where the oracle's table of positions would be shifted
    expected = reference.generate(
        source,
        attention_mask=mask,
        max_new_tokens=32,
        do_sample=False,
        num_beams=1,
        no_repeat_ngram_size=1,
        eos_token_id=None,
        use_cache=False,  # theirs has as many layers as the encoder
    )
    start = model.config.decoder_start_token_id
    assert start is not None
    found, state = torch.full((3, 1), start), model.init_state(3)
    with torch.no_grad():
        for step in range(32):
            first = {"input_ids": source, "attention_mask": mask} if step == 0 else {"input_ids": None}
            logits = model(**first, decoder_input_ids=found[:, -1:], state=state)[:, -1]
            best = logits.scatter(1, found, -torch.inf).argmax(dim=-1, keepdim=True)
            found = torch.cat((found, best), dim=1)
    assert torch.equal(found, expected)


@cases(2)
def test_gradients_of_all_weights_are_equal(kind: str, case: dict[str, Any], tmp_path: Path) -> None:
    reference = exact(theirs(kind, case, tmp_path))
    model = ours(tmp_path, torch.float64)
    source, target = ids(), ids(2, 33, seed=2)
    reference(input_ids=source, decoder_input_ids=target).logits.cos().sum().backward()
    model(source, decoder_input_ids=target).cos().sum().backward()
    gradients = {name: Stored.of(each.grad) for name, each in reference.named_parameters() if each.grad is not None}
    if (
        "model.shared.weight" in dict(reference.named_parameters()) and "model.shared.weight" not in gradients
    ):  # two matrices there, one of ours
        both = [gradients.pop(f"model.{stack}.embed_tokens.weight").read() for stack in ("encoder", "decoder")]
        gradients["model.shared.weight"] = Stored.of(both[0] + both[1])
    expected = apply_rules(family(kind).rules, gradients, model.config)
    for name, parameter in model.named_parameters():
        if name != "lm_head.bias":  # which transformers does not train
            torch.testing.assert_close(parameter.grad, expected[name].read(), rtol=1e-8, atol=1e-8)


@cases(1)
def test_transformers_loads_what_we_save(kind: str, case: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "ours").mkdir()
    first = theirs(kind, case, tmp_path / "theirs")
    model = ours(tmp_path / "theirs")
    save_model(tmp_path / "ours", model, family(kind), shard_bytes=4000)
    assert len(list((tmp_path / "ours").glob("*.safetensors"))) > 1
    reference, report = transformers.AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert type(reference) is type(first)
    assert not any(report.values()), report
    source, target = ids(), ids(2, 33, seed=2)
    with torch.no_grad():
        expected = first(input_ids=source, decoder_input_ids=target).logits
        assert (reference(input_ids=source, decoder_input_ids=target).logits - expected).abs().max() < 1e-4
        found = model(source, decoder_input_ids=target)
        assert (found - expected).abs().max() < 1e-4
        assert torch.equal(ours(tmp_path / "ours")(source, decoder_input_ids=target), found)


@every_kind
def test_padding_on_either_side_answers_as_transformers_does_alone(kind: str, tmp_path: Path) -> None:
    reference = theirs(kind, {}, tmp_path)
    model, texts, target = ours(tmp_path), [ids(1, 20)[0], ids(1, 9)[0]], ids(2, 7, seed=2)
    with torch.no_grad():
        expected = [
            reference(input_ids=text[None], decoder_input_ids=target[[row]]).logits[0] for row, text in enumerate(texts)
        ]
        for pad in (lambda n: (20 - n, 0), lambda n: (0, 20 - n)):
            rows = torch.stack([nn.functional.pad(text, pad(len(text))) for text in texts])
            mask = torch.stack([nn.functional.pad(torch.ones_like(text), pad(len(text))) for text in texts])
            found = model(rows, attention_mask=mask, decoder_input_ids=target)
            for index, alone in enumerate(expected):
                assert (found[index] - alone).abs().max() < 1e-4
