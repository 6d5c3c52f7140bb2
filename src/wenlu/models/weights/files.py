"""Tensors on disk: safetensors files, one or several with an index; never pickle.

Reading maps files into memory: a tensor's pages are fetched when they are first touched, and no second copy is
made. Names, shapes and types come from the header alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from wenlu.errors import ResourceError, WeightsError
from wenlu.models.weights.rules import Entries, Stored
from wenlu.rundir.atomic import failed_to_write, sync_folder, temporary_name, write_text

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
CONFIG = "config.json"
ASSEMBLED = "assembled_config.json"
"""Where the settings stand of a model that an adapter's folder and its base make together. Not as config.json: with one
transformers takes the folder for a whole model."""
_PICKLES = ("pytorch_model*.bin", "*.pt", "*.pth", "*.ckpt")
_TYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


def read_tensors(folder: Path) -> Entries:
    """Every tensor of a model folder by its name there; raises WeightsError where there are none."""
    if (folder / SINGLE).exists():
        return read_file(folder / SINGLE)
    if (folder / INDEX).exists():
        return _read_shards(folder, folder / INDEX)
    pickles = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
    if pickles:
        raise WeightsError(
            f"{folder}: {pickles[0]} is a pickle, which can run any code when it is opened, so it is not read; "
            f"convert it where you trust its origin: "
            f"safetensors.torch.save_file(torch.load({pickles[0]!r}, weights_only=True), {SINGLE!r})"
        )
    raise WeightsError(f"{folder}: no weights; expected {SINGLE} or {INDEX}")


def read_file(path: Path) -> Entries:
    """The tensors of one safetensors file, mapped into memory."""
    try:
        file = safe_open(path, framework="pt")
    except SafetensorError as error:
        raise WeightsError(f"{path}: not a sound safetensors file ({error}); fetch or write it again") from error
    except PermissionError as error:
        raise ResourceError(f"{path}: no permission to read it") from error
    return {key: _stored(file, path, key) for key in file.keys()}  # type: ignore[no-untyped-call]  # noqa: SIM118


def config_path(folder: Path) -> Path:
    """Where the settings of the folder's model stand, or should."""
    return folder / ASSEMBLED if (folder / ASSEMBLED).is_file() else folder / CONFIG


def write_tensors(folder: Path, tensors: Mapping[str, Tensor], *, shard_bytes: int = 5_000_000_000) -> None:
    """Write `tensors` as one file, or as several of at most `shard_bytes` (one tensor at least) with an index.

    Files are written beside their place and moved into it; a file that was there is whole until then.
    """
    shards: list[dict[str, Tensor]] = [{}]
    room = shard_bytes
    for name, tensor in tensors.items():
        size = tensor.nbytes
        if size > room and shards[-1]:
            shards.append({})
            room = shard_bytes
        shards[-1][name] = tensor.contiguous()
        room -= size
    if len(shards) == 1:
        _write(folder / SINGLE, shards[0])
        _remove_other_weights(folder, {SINGLE})
        return
    names = [f"model-{i:05d}-of-{len(shards):05d}.safetensors" for i in range(1, len(shards) + 1)]
    for name, shard in zip(names, shards, strict=True):
        _write(folder / name, shard)
    index = {
        "metadata": {"total_size": sum(tensor.nbytes for tensor in tensors.values())},
        "weight_map": {key: name for name, shard in zip(names, shards, strict=True) for key in shard},
    }
    write_text(folder / INDEX, json.dumps(index, indent=2) + "\n")
    _remove_other_weights(folder, {INDEX, *names})


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object; raises WeightsError that names the file and the place of a mistake."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise WeightsError(f"{path.parent}: no {path.name}; is this a model folder?") from error
    except PermissionError as error:
        raise ResourceError(f"{path}: no permission to read it") from error
    except (ValueError, RecursionError) as error:  # ValueError: also bytes that are no text, and endless numbers
        raise WeightsError(f"{path}: not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise WeightsError(f"{path}: expected a JSON object, found {type(content).__name__}")
    return content


def some(names: list[str], count: int = 5) -> str:
    """The first names of a list that may be long, for a message."""
    return f"{names[:count]}" + (f" and {len(names) - count} more" if len(names) > count else "")


def _write(path: Path, tensors: dict[str, Tensor]) -> None:
    beside = temporary_name(path)
    try:
        save_file(tensors, beside, metadata={"format": "pt"})
        beside.replace(path)
        sync_folder(path.parent)
    except SafetensorError as error:  # how the library reports what the disk refused
        raise failed_to_write(path, OSError(str(error))) from error
    except OSError as error:
        raise failed_to_write(path, error) from error
    finally:
        beside.unlink(missing_ok=True)


def _remove_other_weights(folder: Path, keep: set[str]) -> None:
    """What an earlier model left, which the new index or file no longer speaks of."""
    for path in [folder / SINGLE, folder / INDEX, *folder.glob("model-*-of-*.safetensors")]:
        if path.name not in keep:
            path.unlink(missing_ok=True)


def _stored(file: Any, path: Path, key: str) -> Stored:
    header = file.get_slice(key)
    kind = header.get_dtype()
    if kind not in _TYPES:
        raise WeightsError(f"{path}: {key} has type {kind}; known: {', '.join(_TYPES)}")
    return Stored(tuple(header.get_shape()), _TYPES[kind], lambda: file.get_tensor(key))


def _read_shards(folder: Path, index: Path) -> Entries:
    places = read_json(index).get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(name, str) for name in places.values()):
        raise WeightsError(f"{index}: no weight_map from tensor names to file names")
    result: Entries = {}
    names = sorted(set(places.values()))
    for name in names:
        if not name or name == ".." or Path(name).name != name:
            raise WeightsError(f"{index}: {name!r} is not the name of a file in the folder")
        if not (folder / name).exists():
            raise WeightsError(f"{folder}: {name}, named by {index.name}, is missing; fetch the model again")
    for name in names:
        for key, item in read_file(folder / name).items():
            if places.get(key) != name:
                raise WeightsError(f"{folder / name}: holds {key}, which {index.name} places in {places.get(key)}")
            result[key] = item
    if absent := sorted(set(places) - set(result)):
        raise WeightsError(f"{index}: {len(absent)} tensors are in no file: {some(absent)}")
    return result
