"""A model and its tokenizer as one GGUF file, in the layout that llama.cpp reads."""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import numpy as np
import torch
from torch import Tensor

from wenlu.errors import MissingExtra, WeightsError
from wenlu.models.weights.gguf.architecture import Architecture
from wenlu.models.weights.gguf.architectures import ARCHITECTURES
from wenlu.models.weights.gguf.header import ALIGNMENT, MAGIC
from wenlu.models.weights.gguf.kinds import KINDS, Kind
from wenlu.models.weights.gguf.load import END_OF_TURN
from wenlu.models.weights.rules import Entries, Stored, invert_rules
from wenlu.rundir.atomic import failed_to_write, sync_folder, temporary_name
from wenlu.tokenizers import Tokenizer
from wenlu.tokenizers.gguf import metadata_of

if TYPE_CHECKING:
    from wenlu.models.family import Family, LanguageModel, ModelConfig

FileType = Literal["f32", "f16", "bf16", "q8_0"]
VERSION = 3
_FILE_TYPES: dict[FileType, tuple[str, int]] = {
    "f32": ("F32", 0),
    "f16": ("F16", 1),
    "bf16": ("BF16", 32),
    "q8_0": ("Q8_0", 7),
}
"""The type of matrices, and its number in `general.file_type`."""
_ALWAYS_F32 = frozenset({"position_embd.weight"})


def write_gguf(
    path: Path,
    model: LanguageModel,
    family: Family,
    tokenizer: Tokenizer,
    *,
    type: FileType = "f16",
    chat_template: str | None = None,
    end_of_turn_id: int | None = None,
) -> None:
    """Write a GGUF file that llama.cpp and `wenlu.load` read; what was at `path` is whole until then.

    Matrices get the given type, vectors (norms, biases) stay in float32. A matrix whose rows are no multiple of 32
    cannot be Q8_0 and becomes F16.

    Args:
        chat_template: in place of the tokenizer's own.
        end_of_turn_id: a token that ends an answer, beside the tokenizer's end.

    Raises:
        WeightsError: the family or the tokenizer has no form in GGUF.
        MissingExtra: "q8_0" without the gguf package.
        ResourceError: the disk refused it.
    """
    architecture = architecture_of(family)
    kind_name, file_type = _FILE_TYPES[type]
    _check_fixed(architecture, model.config)
    keys, extra = architecture.write(model.config)
    settings = {key: getattr(model.config, field) for key, field in architecture.keys.items()}
    entries = {name: Stored.of(tensor.detach()) for name, tensor in model.state_dict().items()}
    entries = {**extra, **invert_rules(architecture.rules, entries, model.config)}
    metadata = {
        "general.architecture": architecture.name,
        "general.type": "model",
        "general.file_type": file_type,
        "general.quantization_version": 2,
        **{f"{architecture.name}.{key}": value for key, value in {**settings, **keys}.items() if value is not None},
        **metadata_of(tokenizer, vocab_size=model.config.vocab_size, chat_template=chat_template),
    }
    if end_of_turn_id is not None:
        metadata[END_OF_TURN] = end_of_turn_id
    by_name = {kind.name: kind for kind in KINDS.values()}
    kinds = {name: by_name[_kind_name(name, item, kind_name)] for name, item in entries.items()}
    if kind_name == "Q8_0":
        _require_gguf(path)
    _write(path, metadata, entries, kinds)


def architecture_of(family: Family) -> Architecture:
    """The row of a family; raises WeightsError where GGUF has none."""
    for row in ARCHITECTURES:
        if row.family == family.name:
            return row
    known = ", ".join(row.family for row in ARCHITECTURES)
    raise WeightsError(f"a model of family {family.name} has no form in GGUF; families that have one: {known}")


def _check_fixed(architecture: Architecture, config: ModelConfig) -> None:
    for name, meant in architecture.fixed.items():
        value = getattr(config, name)
        if value != meant:
            raise WeightsError(f"{name} is {value!r}: GGUF has no place for it and means {meant!r}")


def _kind_name(name: str, item: Stored, wanted: str) -> str:
    if len(item.shape) < 2 or name in _ALWAYS_F32:
        return "F32"
    return "F16" if wanted == "Q8_0" and item.shape[-1] % 32 else wanted


def _write(path: Path, metadata: Mapping[str, Any], entries: Entries, kinds: Mapping[str, Kind]) -> None:
    beside = temporary_name(path)
    try:
        with beside.open("xb") as file:
            file.write(_head(metadata, entries, kinds))
            for name, item in entries.items():
                _pad(file)
                file.write(_bytes(item.read(), kinds[name]))
            _pad(file)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise failed_to_write(path, error) from error
    finally:
        beside.unlink(missing_ok=True)


def _head(metadata: Mapping[str, Any], entries: Entries, kinds: Mapping[str, Kind]) -> bytes:
    head = bytearray(MAGIC + struct.pack("<IQQ", VERSION, len(entries), len(metadata)))
    for key, value in metadata.items():
        head += _text(key) + _value(key, value)
    sizes = [_size(item, kinds[name]) for name, item in entries.items()]
    for (name, item), start in zip(entries.items(), accumulate(map(_aligned, sizes), initial=0), strict=False):
        dimensions = struct.pack(f"<I{len(item.shape)}Q", len(item.shape), *item.shape[::-1])
        head += _text(name) + dimensions + struct.pack("<IQ", kinds[name].number, start)
    return bytes(head)


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _value(key: str, value: Any) -> bytes:
    """Type and content of a metadata value: lengths as unsigned, scores and thetas as float, as llama.cpp expects."""
    match value:
        case bool():
            return struct.pack("<I?", 7, value)
        case int():
            return struct.pack("<II", 4, value)
        case float():
            return struct.pack("<If", 6, value)
        case str():
            return struct.pack("<I", 8) + _text(value)
        case [str(), *_]:
            return struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(_text, value))
        case [bool(), *_]:
            return struct.pack(f"<IIQ{len(value)}?", 9, 7, len(value), *value)
        case [int(), *_]:
            return struct.pack(f"<IIQ{len(value)}i", 9, 5, len(value), *value)
        case [float(), *_]:
            return struct.pack(f"<IIQ{len(value)}f", 9, 6, len(value), *value)
    raise AssertionError(f"{key}: {value!r} has no type in GGUF that we write")


def _bytes(tensor: Tensor, kind: Kind) -> memoryview:
    tensor = tensor.to("cpu").contiguous()
    if kind.dtype is not None:
        return tensor.to(kind.dtype).view(torch.uint8).numpy().data
    from gguf import GGMLQuantizationType
    from gguf.quants import quantize

    blocks: np.ndarray[Any, Any] = quantize(tensor.float().numpy(), GGMLQuantizationType(kind.number))
    return np.ascontiguousarray(blocks).data


def _size(item: Stored, kind: Kind) -> int:
    return int(np.prod(item.shape, dtype=np.int64)) // kind.block * kind.block_bytes


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


def _pad(file: BinaryIO) -> None:
    file.write(bytes(_aligned(file.tell()) - file.tell()))


def _require_gguf(path: Path) -> None:
    try:
        import gguf  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtra("gguf", extra="gguf", purpose=f"write {path} as q8_0") from error
