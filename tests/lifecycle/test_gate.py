"""The parity gate: an artefact that is not the model any more is caught, whatever was done to it; healthy ones pass.

The artefacts are folders that another program could have written: what is planted is in the files.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from typer.testing import CliRunner

import wenlu
from wenlu.cli.app import app
from wenlu.errors import ParityError
from wenlu.lifecycle import export as exporting
from wenlu.lifecycle.model_folder import write_bundle
from wenlu.lifecycle.parity import ParitySettings, compare
from wenlu.lifecycle.parity_side import side_of
from wenlu.lifecycle.parity_texts import TEXTS
from wenlu.models import family
from wenlu.models.adapters import Form, attach, chosen, draw, merged_model
from wenlu.models.quantised import GridConfig, quantise_linears
from wenlu.tokenizers import Tokenizer, TokenizerConfig, train_tokenizer, with_chat_template
from wenlu.tokenizers.default_chat import ROLE_TOKENS

Tensors = dict[str, Tensor]
SIZES = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 2}


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    settings = TokenizerConfig(vocab_size=320, min_frequency=1, extra_special_tokens=ROLE_TOKENS)
    return with_chat_template(train_tokenizer(settings, TEXTS * 2))


@pytest.fixture(scope="module")
def model(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chat model with biases and a tied head."""
    torch.manual_seed(1)
    qwen2, end = family("qwen2"), tokenizer.eos_id
    settings = {**SIZES, "vocab_size": tokenizer.vocab_size, "tie_word_embeddings": True, "initializer_range": 0.3}
    built = qwen2.build(qwen2.config(**settings, eos_token_id=end)).eval()  # type: ignore[arg-type]
    with torch.no_grad():
        for name, weight in built.named_parameters():
            if name.endswith("bias"):
                weight.normal_(0, 0.5)
    folder = tmp_path_factory.mktemp("gate") / "model"
    folder.mkdir()
    bundle = wenlu.Bundle(built, tokenizer, None, built.config, folder, {"eos_token_id": end})
    write_bundle(folder, bundle, name="model", run=None, language="en")
    return folder


def weights(change: Callable[[Tensors], None]) -> Callable[[Path], None]:
    def plant(folder: Path) -> None:
        path = folder / "model.safetensors"
        tensors = load_file(path)
        change(tensors)
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path, metadata={"format": "pt"})

    return plant


def settings(file: str, **values: Any) -> Callable[[Path], None]:
    def plant(folder: Path) -> None:
        path = folder / file
        path.write_text(json.dumps({**json.loads(path.read_text()), **values}))

    return plant


def transposed_scale(tensors: Tensors) -> None:
    """A square map that is scaled by its columns where its rows were meant."""
    scale = torch.linspace(0.5, 2.0, 32)
    name = "model.layers.1.self_attn.o_proj.weight"
    tensors[name] = tensors[name] / scale[:, None] * scale[None, :]


def lost_bias(tensors: Tensors) -> None:
    tensors["model.layers.2.self_attn.q_proj.bias"].zero_()


def swapped_layers(tensors: Tensors) -> None:
    for name in [name for name in tensors if name.startswith("model.layers.0.")]:
        other = name.replace("layers.0.", "layers.1.")
        tensors[name], tensors[other] = tensors[other], tensors[name]


def shifted_rope(tensors: Tensors) -> None:
    """Keys whose pairs of dimensions turn at the pace of the next pair."""
    for name in [name for name in tensors if ".k_proj." in name]:
        tensors[name] = tensors[name].roll(1, 0)


def truncated_vocabulary(folder: Path) -> None:
    """The last learnt piece is spelt in two."""
    path = folder / "tokenizer.json"
    document = json.loads(path.read_text())
    document["model"]["merges"] = document["model"]["merges"][:-20]
    path.write_text(json.dumps(document))


def wrong_template(folder: Path) -> None:
    """A line break after each role, as other models have it."""
    path = folder / "chat_template.jinja"
    path.write_text(path.read_text().replace("|>", "|>\n"))


def stale_head(folder: Path) -> None:
    """A head of its own, as it was before the embedding it is tied to was trained."""
    settings("config.json", tie_word_embeddings=False)(folder)

    def untie(tensors: Tensors) -> None:
        head = tensors["model.embed_tokens.weight"].clone()
        head[:40] *= 0.9
        tensors["lm_head.weight"] = head

    weights(untie)(folder)


FAULTS: dict[str, tuple[Callable[[Path], None], str]] = {
    "wrong template": (wrong_template, "same_template"),
    "transposed scale": (weights(transposed_scale), "max_difference"),
    "lost bias": (weights(lost_bias), "max_difference"),
    "rope off by one": (weights(shifted_rope), "max_difference"),
    "another base of rope": (
        settings("config.json", rope_parameters={"rope_type": "default", "rope_theta": 10_500.0}),
        "max_difference",
    ),
    "truncated vocabulary": (truncated_vocabulary, "same_ids"),
    "stale tied head": (stale_head, "max_difference"),
    "two layers swapped": (weights(swapped_layers), "max_difference"),
    "wrong end": (settings("generation_config.json", eos_token_id=5), "same_ends"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_caught_by_what_it_breaks(name: str, model: Path, tmp_path: Path) -> None:
    plant, failed = FAULTS[name]
    artefact = tmp_path / "artefact"
    shutil.copytree(model, artefact)
    plant(artefact)
    found = wenlu.parity(str(model), str(artefact))
    assert failed in found.failed
    assert CliRunner().invoke(app, ["parity", str(model), str(artefact)]).exit_code == 1


def test_a_lost_zero_point_of_four_bits_is_caught_and_the_healthy_ones_pass(model: Path, tmp_path: Path) -> None:
    bundle, folder = wenlu.load(model), tmp_path / "four-bits"
    quantise_linears(bundle.model, GridConfig(bits=4, group_size=8, symmetric=False))
    folder.mkdir()
    write_bundle(folder, bundle, name="four-bits", run=None, language="en")
    assert wenlu.parity(str(model), str(folder), ["parity.dtype=int4"]).equal

    def lose(tensors: Tensors) -> None:
        name = next(name for name in tensors if name.endswith("layers.1.mlp.down_proj.zeros"))
        tensors[name].zero_()

    weights(lose)(folder)
    found = wenlu.parity(str(model), str(folder), ["parity.dtype=int4"])
    assert {"mean_kl_nats", "top1_agreement"} & set(found.failed)


def test_a_missing_adapter_is_caught_and_a_merged_one_passes(model: Path) -> None:
    adapted, base = wenlu.load(model), wenlu.load(model)
    torch.manual_seed(3)
    drawn = draw(adapted.model, chosen(adapted.model, ["q_proj"]), Form(rank=2, alpha=4))
    for adapter in drawn.values():
        torch.nn.init.normal_(adapter.lora_B, std=0.2)
    attach(adapted.model, drawn)
    merged = replace(adapted, model=merged_model(adapted.model))
    whole = side_of(adapted, "adapted")
    assert compare(whole, side_of(merged, "merged"), TEXTS, ParitySettings()).equal
    assert "max_difference" in compare(whole, side_of(base, "base"), TEXTS, ParitySettings()).failed


@pytest.mark.parametrize("overrides", [["format=hf"], ["format=gguf", "dtype=float32"], ["format=onnx"]])
def test_a_healthy_artefact_passes_and_keeps_its_verdict(overrides: list[str], model: Path, tmp_path: Path) -> None:
    exporting.export(model, tmp_path / "out", overrides)
    told = json.loads((tmp_path / "out" / "parity.json").read_text())
    assert (told["verdict"], told["equal"], told["failed"]) == ("passed", True, [])
    assert (told["same_template"], told["same_ends"]) == (True, True)


def test_what_fails_gets_no_name_unless_it_is_accepted(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = exporting.write_bundle

    def damaged(folder: Path, *rest: Any, **settings: Any) -> None:
        write(folder, *rest, **settings)
        weights(swapped_layers)(folder)

    monkeypatch.setattr(exporting, "write_bundle", damaged)
    with pytest.raises(ParityError, match=r"max_difference = .*accept_divergence=true keeps it all the same"):
        exporting.export(model, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    exporting.export(model, tmp_path / "out", ["accept_divergence=true"])
    told = json.loads((tmp_path / "out" / "parity.json").read_text())
    assert told["verdict"] == "accepted in spite of what failed"
    assert "max_difference" in told["failed"]
