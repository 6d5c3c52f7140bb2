"""A model folder that lies is refused with a WeightsError: its config, its index, its safetensors headers."""

from __future__ import annotations

import contextlib
import json
import os
import re
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wenlu.errors import WeightsError
from wenlu.models import family
from wenlu.models.weights import load_model, read_config, save_model

EXAMPLES = 20_000 if os.environ.get("WENLU_PROOF") == "1" else 150
LLAMA = family("llama")
SIZES: dict[str, Any] = {
    "vocab_size": 11,
    "hidden_size": 8,
    "intermediate_size": 12,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound")
    save_model(folder, LLAMA.build(LLAMA.config(**SIZES)), LLAMA)
    return folder


def refused(folder: Path, message: str) -> None:
    with pytest.raises(WeightsError, match=re.escape(message)) as error:
        load_model(folder)
    assert str(folder) in str(error.value)


def with_config(sound: Path, folder: Path, **changes: Any) -> Path:
    content = json.loads((sound / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**content, **changes}))
    (folder / "model.safetensors").write_bytes((sound / "model.safetensors").read_bytes())
    return folder


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"auto_map": {"AutoModel": "code.Model"}},
            "auto_map asks to run code from the folder, which Wenlu never does",
        ),
        ({"vocab_size": 2**40}, "vocab_size: input should be less than or equal to 16777216"),
        ({"hidden_size": 10**400}, "hidden_size"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers: input should be less than or equal to 1000"),
        ({"num_hidden_layers": -1}, "num_hidden_layers: input should be greater than or equal to 1"),
        ({"hidden_size": -8}, "hidden_size: input should be greater than or equal to 1"),
        ({"num_attention_heads": 0}, "num_attention_heads"),
        ({"head_dim": 2**24}, "but config.json asks for [33554432, 8]"),
        ({"vocab_size": 2**24}, "but config.json asks for [16777216, 8]"),
        ({"intermediate_size": 2**24, "hidden_size": 2**24}, "but config.json asks for"),
        ({"rms_norm_eps": float("nan")}, "rms_norm_eps"),
        ({"rope_theta": -1}, "rope_theta"),
        ({"rope_scaling": [1]}, "rope_scaling [1]"),
        ({"unheard_of": 1}, "unheard_of: unknown key"),
        ({"model_type": {"a": 1}}, "no model_type"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_config_that_asks_for_the_absurd_is_refused(
    sound: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    refused(with_config(sound, tmp_path, **changes), message)


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{", b"\xff\xfe", b"[" * 100_000, b'{"vocab_size": ' + b"9" * 10_000 + b"}", b'{"model_type": 1}'],
    ids=["empty", "list", "open", "bytes", "deep", "endless number", "number"],
)
def test_a_config_that_is_no_object_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(content)
    refused(tmp_path, "config.json")


@pytest.mark.parametrize("name", ["../out.safetensors", "/etc/passwd", "..", ".", "", "sub/x.safetensors"])
def test_an_index_does_not_lead_out_of_the_folder(name: str, sound: Path, tmp_path: Path) -> None:
    with_config(sound, tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path.parent / "out.safetensors")
    index = {"weight_map": {"model.norm.weight": name}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    refused(tmp_path, f"{name!r} is not the name of a file in the folder")


def header(content: Any, *, length: int | None = None, data: int = 32) -> bytes:
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + bytes(data)


def entry(**changes: Any) -> dict[str, Any]:
    return {"model.norm.weight": {"dtype": "F32", "shape": [8], "data_offsets": [0, 32], **changes}}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 7,
        header({}, length=2**63),
        header({}, length=10**9),
        header(b"\xff\xfe"),
        header(b"[" * 1000),
        header([]),
        header(entry(data_offsets=[0, 2**62])),
        header(entry(data_offsets=[32, 0])),
        header(entry(data_offsets=[8, 40])),
        header(entry(shape=[2**62, 2**62])),
        header(entry(shape=[-8])),
        header(entry(shape=[9])),
        header(entry(dtype="F31")),
        header(entry(), data=0),
        header(entry(), data=4096),
        header({**entry(), "b": {"dtype": "F32", "shape": [8], "data_offsets": [16, 48]}}, data=48),
        header({"model.norm.weight": 3}),
    ],
)
def test_a_safetensors_header_that_lies_is_refused(content: bytes, sound: Path, tmp_path: Path) -> None:
    with_config(sound, tmp_path)
    (tmp_path / "model.safetensors").write_bytes(content)
    refused(tmp_path, "model.safetensors: not a sound safetensors file")


damage = st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=8), st.integers(0, 8)), min_size=1, max_size=3)


def damaged(content: bytes, changes: list[tuple[float, bytes, int]]) -> bytes:
    for share, new, dropped in changes:
        place = int(share * len(content))
        content = content[:place] + new + content[place + dropped :]
    return content


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
@settings(max_examples=EXAMPLES, derandomize=True)
@given(changes=damage)
def test_a_damaged_folder_loads_or_is_refused(
    name: str, sound: Path, tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[float, bytes, int]]
) -> None:
    folder = tmp_path_factory.getbasetemp() / "damaged"
    folder.mkdir(exist_ok=True)
    with_config(sound, folder)
    (folder / name).write_bytes(damaged((folder / name).read_bytes(), changes))
    with contextlib.suppress(WeightsError):
        load_model(folder)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=EXAMPLES, derandomize=True)
@given(changes=st.dictionaries(st.sampled_from([*LLAMA.config.model_fields, "rope_scaling", "rope_theta"]), values))
def test_any_value_of_a_setting_is_taken_or_refused(
    sound: Path, tmp_path_factory: pytest.TempPathFactory, changes: dict[str, Any]
) -> None:
    folder = tmp_path_factory.getbasetemp() / "any"
    folder.mkdir(exist_ok=True)
    with_config(sound, folder, **changes)
    with contextlib.suppress(WeightsError):
        read_config(folder)
