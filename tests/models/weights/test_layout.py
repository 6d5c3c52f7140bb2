"""Model folders: what loads, what is refused and how it is said."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from wenlu.errors import ResourceError, WeightsError
from wenlu.models import FAMILIES, LanguageModel, family
from wenlu.models.weights import load_model, save_model
from wenlu.models.weights.files import write_tensors

LLAMA = family("llama")
CONFIG = LLAMA.config(vocab_size=19, hidden_size=8, intermediate_size=12, num_hidden_layers=2, num_attention_heads=2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_model(tmp_path, LLAMA.build(CONFIG), LLAMA)
    return tmp_path


def edit_config(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def edit_weights(folder: Path, **changes: torch.Tensor | None) -> None:
    path = folder / "model.safetensors"
    tensors = {**load_file(path), **{key.replace("__", "."): value for key, value in changes.items()}}
    save_file({key: tensor.clone() for key, tensor in tensors.items() if tensor is not None}, path)


def refused(folder: Path, message: str) -> None:
    with pytest.raises(WeightsError, match=re.escape(message)) as caught:
        load_model(folder)
    assert caught.value.exit_code == 3


def test_missing_and_unexpected_tensors_are_both_listed(folder: Path) -> None:
    edit_weights(folder, lm_head__weight=None, model__layers__0__self_attn__q_norm__weight=torch.ones(4))
    refused(
        folder,
        "checkpoint does not fit llama: 1 missing ['lm_head.weight'], 1 unexpected "
        "['layers.0.self_attn.q_norm.weight']. Is model_type one of llama?",
    )


def test_a_long_list_is_cut(folder: Path) -> None:
    edit_config(folder, num_hidden_layers=3)
    refused(folder, "'layers.2.mlp.up_proj.weight', 'layers.2.post_attention_layernorm.weight'] and 4 more")


def test_a_wrong_shape_names_both_shapes(folder: Path) -> None:
    edit_config(folder, intermediate_size=14)
    refused(
        folder,
        "layers.0.mlp.gate_proj.weight has shape [12, 8], but config.json asks for [14, 8] (6 tensors differ)",
    )


def test_absurd_sizes_are_refused_before_memory_is_taken(folder: Path) -> None:
    edit_config(folder, intermediate_size=2**24, vocab_size=2**24)
    refused(folder, f"embed_tokens.weight has shape [19, 8], but config.json asks for [{2**24}, 8]")
    edit_config(folder, vocab_size=10**18)
    refused(folder, f"vocab_size: input should be less than or equal to {2**24}, not {10**18}")
    edit_config(folder, vocab_size=19, num_hidden_layers=10**9)
    refused(folder, "num_hidden_layers: input should be less than or equal to 1000, not 1000000000")
    edit_config(folder, num_hidden_layers=-1)
    refused(folder, "num_hidden_layers: input should be greater than or equal to 1, not -1")


def test_whole_numbers_are_no_weights(folder: Path) -> None:
    edit_weights(folder, model__norm__weight=torch.ones(8, dtype=torch.int8))
    refused(folder, "norm.weight holds torch.int8, not floating-point weights")


def test_keys_that_carry_no_weights_of_ours_are_ignored(folder: Path) -> None:
    edit_weights(folder, **{"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(2)})
    load_model(folder)


def test_an_unknown_config_key_is_an_error_with_a_suggestion(folder: Path) -> None:
    edit_config(folder, hiden_act="relu")
    refused(folder, "config.json:\n  hiden_act: unknown key; did you mean hidden_act?")


def test_harmless_config_keys_are_let_through(folder: Path) -> None:
    edit_config(folder, use_cache=True, pretraining_tp=1, torch_dtype="bfloat16", attention_dropout=0.0, head_dim=None)
    load_model(folder)


def test_code_of_the_folder_is_never_run(folder: Path) -> None:
    edit_config(folder, auto_map={"AutoModel": "evil.Model"})
    refused(folder, "auto_map asks to run code from the folder, which Wenlu never does")


def test_an_unknown_model_type_names_the_known_ones(folder: Path) -> None:
    edit_config(folder, model_type="llamma")
    refused(folder, "model_type 'llamma' is no family of Wenlu; did you mean llama?")
    edit_config(folder, model_type=["llama"])
    known = sorted(name for row in FAMILIES for name in row.hf_types or (row.name,))
    refused(folder, f"no model_type; known: {', '.join(known)}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "config.json: not valid JSON"),
        ("[]", "config.json: expected a JSON object, found list"),
        ("[" * 100_000, "config.json: not valid JSON"),
        ('{"a": \ud800}', "config.json: not valid JSON"),
    ],
)
def test_a_broken_config_is_named(folder: Path, text: str, message: str) -> None:
    (folder / "config.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    refused(folder, message)


def test_a_folder_without_config_or_weights_says_which(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    refused(folder, "no weights; expected model.safetensors or model.safetensors.index.json")
    (folder / "config.json").unlink()
    refused(folder, "no config.json; is this a model folder?")


def test_a_pickle_is_refused_with_the_way_to_convert_it(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    refused(folder, "pytorch_model.bin is a pickle, which can run any code when it is opened, so it is not read")
    refused(folder, "safetensors.torch.save_file(torch.load('pytorch_model.bin', weights_only=True)")


def shard(folder: Path) -> Path:
    save_model(folder, load_model(folder)[1], LLAMA, shard_bytes=1000)
    return folder / "model.safetensors.index.json"


def test_shards_are_read_as_one_and_replace_the_single_file(folder: Path) -> None:
    whole = {key: tensor.clone() for key, tensor in load_model(folder)[1].state_dict().items()}
    index = shard(folder)
    files = sorted(path.name for path in folder.glob("*.safetensors"))
    assert files == sorted(set(json.loads(index.read_text())["weight_map"].values()))
    assert len(files) > 2
    assert "model.safetensors" not in files
    for key, tensor in load_model(folder)[1].state_dict().items():
        assert torch.equal(tensor, whole[key])
    save_model(folder, load_model(folder)[1], LLAMA)
    assert [path.name for path in folder.glob("*.safetensors*")] == ["model.safetensors"]


def test_an_index_that_lies_is_refused(folder: Path) -> None:
    index = shard(folder)
    content = json.loads(index.read_text())
    places = content["weight_map"]
    key, name = next(iter(places.items()))

    def with_places(**changes: Any) -> None:
        index.write_text(json.dumps({**content, "weight_map": {**places, **changes}}))

    with_places(**{key: "../outside.safetensors"})
    refused(folder, "'../outside.safetensors' is not the name of a file in the folder")
    with_places(**{key: "/etc/passwd"})
    refused(folder, "'/etc/passwd' is not the name of a file in the folder")
    with_places(**{key: "model-00009-of-00002.safetensors"})
    refused(folder, "model-00009-of-00002.safetensors, named by model.safetensors.index.json, is missing")
    with_places(extra=name)
    refused(folder, "1 tensors are in no file: ['extra']")
    with_places(**{key: 3})
    refused(folder, "no weight_map from tensor names to file names")
    index.write_text(json.dumps({"weight_map": {k: v for k, v in places.items() if k != key}}))
    refused(folder, f"holds {key}, which model.safetensors.index.json places in None")


@given(cut=st.integers(0, 2000))
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_truncated_file_is_refused(folder: Path, cut: int) -> None:
    data = (folder / "model.safetensors").read_bytes()
    short = folder / "short"
    short.mkdir(exist_ok=True)
    (short / "config.json").write_bytes((folder / "config.json").read_bytes())
    (short / "model.safetensors").write_bytes(data[: min(cut, len(data) - 1)])
    refused(short, "not a sound safetensors file")


@pytest.mark.parametrize(
    "change",
    [{"data_offsets": [0, 10**12]}, {"data_offsets": [-4, 28]}, {"shape": [9]}, {"shape": [-8]}, {"dtype": "F99"}],
    ids=str,
)
def test_a_header_that_lies_is_refused(folder: Path, change: dict[str, Any]) -> None:
    path = folder / "model.safetensors"
    data = path.read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + size])
    header["model.norm.weight"].update(change)
    lie = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(lie)) + lie + data[8 + size :])
    refused(folder, "not a sound safetensors file")


def test_a_header_of_absurd_length_is_refused(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(struct.pack("<Q", 2**62) + path.read_bytes()[8:])
    refused(folder, "not a sound safetensors file")


def test_weights_can_be_converted_while_loading(folder: Path) -> None:
    _, model = load_model(folder, dtype=torch.bfloat16)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}


def test_loaded_weights_can_be_trained_without_touching_the_file(folder: Path) -> None:
    before = (folder / "model.safetensors").read_bytes()
    _, model = load_model(folder)
    model(torch.tensor([[1, 2]])).sum().backward()
    torch.optim.SGD(model.parameters(), lr=1.0).step()
    assert (folder / "model.safetensors").read_bytes() == before


def test_a_failed_save_leaves_what_was_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full(*_args: object, **_kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("wenlu.models.weights.files.save_file", full)
    with pytest.raises(ResourceError, match="No space left on device; what was there before is untouched"):
        save_model(folder, LLAMA.build(CONFIG), LLAMA)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_tensor_larger_than_a_shard_gets_its_own(tmp_path: Path) -> None:
    tensors = {name: torch.full((100,), float(i)) for i, name in enumerate("abc")}
    write_tensors(tmp_path, tensors, shard_bytes=10)
    assert len(list(tmp_path.glob("*.safetensors"))) == 3


def test_a_model_of_one_family_does_not_load_as_another(tmp_path: Path) -> None:
    lstm = family("lstm")
    model: LanguageModel = lstm.build(lstm.config(vocab_size=9, hidden_size=4))
    save_model(tmp_path, model, lstm)
    edit_config(tmp_path, model_type="gru")
    refused(tmp_path, "layers.weight_ih_l0 has shape [16, 4], but config.json asks for [12, 4] (4 tensors differ)")


def test_null_is_written_only_where_a_reader_would_put_another_default(tmp_path: Path) -> None:
    mistral = family("mistral")
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = mistral.build(mistral.config(vocab_size=9, sliding_window=None, eos_token_id=3, **sizes))
    save_model(tmp_path, model, mistral)
    content = json.loads((tmp_path / "config.json").read_text())
    assert content["model_type"] == "mistral"
    assert {key for key, value in content.items() if value is None} == {
        "bos_token_id",
        "pad_token_id",
        "sliding_window",
    }
    assert load_model(tmp_path)[1].config == model.config


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.pth", "last.ckpt"])
def test_every_kind_of_pickle_is_refused_with_the_way_to_convert_it(name: str, folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(b"\x80\x04N.")
    way = rf"save_file\(torch.load\('{name}', weights_only=True\), 'model.safetensors'\)"
    with pytest.raises(WeightsError, match=f"{name} is a pickle, .* convert it where you trust its origin: .*{way}"):
        load_model(folder)
