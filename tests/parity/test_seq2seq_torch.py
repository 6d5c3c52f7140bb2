"""Encoder–decoders without a Hugging Face type answer as torch's modules do with the same weights."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from wenlu.models import LanguageModel, family

VOCAB = 29
TRANSFORMER = family("transformer")
CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "one head": {"hidden_size": 7, "num_attention_heads": 1},
    "odd heads": {"hidden_size": 35, "num_attention_heads": 5},
    "deeper encoder": {"num_hidden_layers": 4, "num_decoder_layers": 1},
    "deeper decoder": {"num_hidden_layers": 1, "num_decoder_layers": 4},
    "untied": {"tie_word_embeddings": False},
    "unscaled": {"scale_embedding": False, "num_decoder_layers": 3},
    "gelu": {"hidden_act": "gelu"},
    "wide": {"intermediate_size": 100, "hidden_act": "silu"},
}
cases = pytest.mark.parametrize("case", CASES.values(), ids=CASES)


def ids(rows: int, length: int, seed: int) -> Tensor:
    return torch.randint(0, VOCAB, (rows, length), generator=torch.Generator().manual_seed(seed))


def ours(case: dict[str, Any]) -> LanguageModel:
    """With random biases and norms too."""
    torch.manual_seed(4)
    sizes = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "initializer_range": 0.3}
    model = TRANSFORMER.build(TRANSFORMER.config(vocab_size=VOCAB, **sizes | case), dtype=torch.float64).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.3 * torch.randn_like(parameter))
    return model


def theirs(model: LanguageModel) -> nn.Transformer:
    """torch's module with the weights of `model`; without the norm that it adds after each stack."""
    config: Any = model.config
    activation = {"relu": nn.functional.relu, "gelu": nn.functional.gelu, "silu": nn.functional.silu}
    sizes = {
        "d_model": config.hidden_size,
        "nhead": config.num_attention_heads,
        "dim_feedforward": config.intermediate_size,
        "activation": activation[config.hidden_act],
        "batch_first": True,
        "dropout": 0.0,
    }
    encoder = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(**sizes), config.num_hidden_layers, norm=None, enable_nested_tensor=False
    )
    decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(**sizes), config.num_decoder_layers, norm=None)
    reference = nn.Transformer(
        sizes["d_model"], sizes["nhead"], custom_encoder=encoder, custom_decoder=decoder, batch_first=True
    ).double()
    names = {
        "self_attn.o_proj": "self_attn.out_proj",
        "cross_attn.o_proj": "multihead_attn.out_proj",
        "mlp.up_proj": "linear1",
        "mlp.down_proj": "linear2",
        "attention_norm": "norm1",
        "cross_attention_norm": "norm2",
    }
    weights = {}
    for stack, last in (("encoder", "norm2"), ("decoder", "norm3")):
        for index in range(len(model.get_submodule(f"{stack}.layers"))):
            layer = model.get_submodule(f"{stack}.layers.{index}")
            here = {our: their for our, their in names.items() if dict(layer.named_modules()).get(our) is not None}
            for our, their in {**here, "mlp_norm": last}.items():
                for kind, tensor in layer.get_submodule(our).named_parameters():
                    weights[f"{stack}.layers.{index}.{their}.{kind}"] = tensor
            for our, their in (("self_attn", "self_attn"), ("cross_attn", "multihead_attn")):
                if hasattr(layer, our):
                    for kind in ("weight", "bias"):
                        parts = [layer.get_parameter(f"{our}.{name}_proj.{kind}") for name in "qkv"]
                        weights[f"{stack}.layers.{index}.{their}.in_proj_{kind}"] = torch.cat(parts)
    reference.load_state_dict(weights)
    return reference.eval()


def embedded(model: LanguageModel, tokens: Tensor) -> Tensor:
    """By the formulas of the paper, one number at a time."""
    config: Any = model.config
    size = config.hidden_size
    x = model.get_parameter("embed_tokens.weight")[tokens] * (math.sqrt(size) if config.scale_embedding else 1.0)
    waves = torch.zeros(tokens.size(1), size, dtype=torch.float64)
    for place in range(tokens.size(1)):
        for column in range(size):
            angle = place / 10_000 ** (column // 2 * 2 / size)
            waves[place, column] = math.cos(angle) if column % 2 else math.sin(angle)
    return x + waves.float().double()


@cases
def test_logits_are_those_of_torch_with_the_same_weights(case: dict[str, Any]) -> None:
    model, source, target = ours(case), ids(2, 11, 1), ids(2, 7, 2)
    ahead = torch.ones(7, 7, dtype=torch.bool).triu(1)
    hidden = theirs(model)(embedded(model, source), embedded(model, target), tgt_mask=ahead)
    expected = hidden @ model.get_parameter("lm_head.weight").T
    assert (model(source, decoder_input_ids=target) - expected).abs().max() < 1e-9
    with torch.no_grad():
        assert (model(source, decoder_input_ids=target) - expected).abs().max() < 1e-9


@cases
def test_every_layer_passes_on_the_same_hidden_states(case: dict[str, Any]) -> None:
    model, source, target = ours(case), ids(2, 11, 1), ids(2, 7, 2)
    reference = theirs(model)
    seen: list[list[Tensor]] = [[], []]
    for which, found in zip((model, reference), seen, strict=True):
        for stack in ("encoder", "decoder"):
            for layer in which.get_submodule(f"{stack}.layers").children():
                layer.register_forward_hook(lambda _module, _inputs, output, found=found: found.append(output))
    model(source, decoder_input_ids=target)
    ahead = torch.ones(7, 7, dtype=torch.bool).triu(1)
    reference(embedded(model, source), embedded(model, target), tgt_mask=ahead)
    assert len(seen[0]) == len(seen[1]) > 1
    for a, b in zip(*seen, strict=True):
        assert (a - b).abs().max() < 1e-9


@cases
def test_padded_sources_are_read_as_torch_reads_them(case: dict[str, Any]) -> None:
    model, source, target = ours(case), ids(3, 11, 1), ids(3, 7, 2)
    mask = torch.ones_like(source)
    mask[1, 6:], mask[2, 1:] = 0, 0
    padding = {"src_key_padding_mask": mask == 0, "memory_key_padding_mask": mask == 0}
    ahead = torch.ones(7, 7, dtype=torch.bool).triu(1)
    hidden = theirs(model)(embedded(model, source), embedded(model, target), tgt_mask=ahead, **padding)
    expected = hidden @ model.get_parameter("lm_head.weight").T
    found = model(source, attention_mask=mask, decoder_input_ids=target)
    assert (found - expected).abs().max() < 1e-9


@cases
def test_thirty_two_greedy_tokens_are_equal(case: dict[str, Any]) -> None:
    """Each token at most once in 28 of them, as a random model would else soon stand still."""
    model, source = ours(case), ids(2, 9, 3)
    reference = theirs(model)
    greedy = cached = torch.zeros(2, 1, dtype=torch.int64)
    state = model.init_state(2)
    with torch.no_grad():
        for step in range(32):
            ahead = torch.ones(step + 1, step + 1, dtype=torch.bool).triu(1)
            hidden = reference(embedded(model, source), embedded(model, greedy), tgt_mask=ahead)[:, -1]
            logits = hidden @ model.get_parameter("lm_head.weight").T
            greedy = torch.cat((greedy, best_new(logits, greedy)), dim=1)
            logits = model(None if step else source, decoder_input_ids=cached[:, -1:], state=state)[:, -1]
            cached = torch.cat((cached, best_new(logits, cached)), dim=1)
    assert torch.equal(cached, greedy)


def best_new(logits: Tensor, before: Tensor) -> Tensor:
    """(B, 1): the likeliest token that is not among the last 27."""
    return logits.scatter(1, before[:, -27:], -torch.inf).argmax(dim=-1, keepdim=True)
