"""Checkpoints that exist only whole, are verified before use, and never replace a good one by a bad one.

    step-00002000/
        tensors-00001.safetensors …   shards; of several processes each writes its own
        state.json                    what is not a tensor: step, random states, fingerprints
        manifest.json                 sizes, BLAKE2b digests, shapes and dtypes; written last

Which checkpoint is the latest is computed from the folder, never stored.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from hashlib import blake2b, file_digest
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save as to_safetensors
from torch import Tensor

from wenlu import __version__
from wenlu.errors import Diverged, ResourceError, WeightsError
from wenlu.progress import QUIET, Progress
from wenlu.rundir.atomic import (
    atomic_folder,
    failed_to_write,
    remove_leftovers,
    sync_folder,
    temporary_name,
    write_synced,
)
from wenlu.rundir.parts import Part, whole

SHARD_BYTES = 256 << 20
"""A shard is copied once in memory before it is written; a larger tensor is a shard of its own."""

ROOM = 2.2
"""Free space asked for before a save, in sizes of the checkpoint."""

Written = Mapping[str, Mapping[str, Any]]
"""What a manifest says of some files and of the tensors in them; JSON."""

_REPLACED = ".replaced"
_NAME = re.compile(rf"step-(\d{{8,}})({re.escape(_REPLACED)})?")
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_VERSION = 2


@dataclass(frozen=True)
class Stored:
    """A block of a tensor, and the file that holds it."""

    file: str
    part: Part


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint whose files were found whole.

    Attributes:
        state: what `save` was given as state.
        stored: the blocks of each tensor.
        passed_over: one line for each newer checkpoint that was found damaged.
    """

    path: Path
    step: int
    state: Mapping[str, Any]
    shards: tuple[str, ...]
    stored: Mapping[str, tuple[Stored, ...]]
    passed_over: tuple[str, ...] = ()

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of the whole tensors, by name."""
        return {name: blocks[0].part.whole for name, blocks in self.stored.items()}

    @property
    def tensors(self) -> dict[str, Tensor]:
        """All tensors by name, on the CPU, bit for bit as they were saved; read from the disk at each call."""
        return self.read({name: whole(shape) for name, shape in self.shapes.items()})

    def read(self, wanted: Mapping[str, Part]) -> dict[str, Tensor]:
        """Blocks of tensors, put together from whatever blocks they were saved in."""
        with ExitStack() as stack:
            files = {name: stack.enter_context(safe_open(self.path / name, framework="pt")) for name in self.shards}
            return {name: _assembled(files, name, self.stored[name], part) for name, part in wanted.items()}


def save(
    folder: Path,
    step: int,
    tensors: Mapping[str, Tensor],
    state: Mapping[str, Any],
    *,
    keep: int = 2,
    progress: Progress = QUIET,
) -> Checkpoint:
    """Write the checkpoint of `step` into `folder`, then remove all but the newest `keep` up to it.

    The caller is the only writer of `folder`. Checkpoints of later steps are removed too: they belong to a
    course that was given up.

    Raises:
        Diverged: a tensor or `state` holds nan or infinity; nothing is written.
        ResourceError: the disk refused; the earlier checkpoints are untouched.
    """
    refuse_non_finite(step, tensors)
    with opened(folder, step, size=sum(tensor.nbytes for tensor in tensors.values())) as temporary:
        write_manifest(temporary, step, state, [write_tensors(temporary, tensors)])
    return close(folder, step, keep=keep, progress=progress)


@contextmanager
def opened(folder: Path, step: int, *, size: int) -> Iterator[Path]:
    """A temporary folder for the checkpoint of `step`, of `size` bytes; at the end of the block it gets its name.

    Raises ResourceError where the disk refuses; the earlier checkpoints are untouched.
    """
    final = folder / f"step-{step:08d}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder)
        _ask_for_room(folder, step, size)
    except OSError as error:
        raise failed_to_write(final, error) from error
    with atomic_folder(final) as temporary:
        yield temporary
        if final.exists():  # its step was saved before and came out damaged, or the run goes through it again
            final.rename(_out_of_the_way(final))


def close(folder: Path, step: int, *, keep: int = 2, progress: Progress = QUIET) -> Checkpoint:
    """Read back the checkpoint of `step`, then remove what it makes superfluous."""
    final = folder / f"step-{step:08d}"
    saved = _verify(final)
    if not isinstance(saved, Checkpoint):
        raise ResourceError(f"{final}: reads back other than it was written ({saved}); check the disk")
    _prune(folder, step, keep, progress)
    return saved


def newest_good(folder: Path, *, up_to: int | None = None, progress: Progress = QUIET) -> Checkpoint | None:
    """The newest checkpoint in `folder` whose every file has its size and digest; None where there is no checkpoint.

    Of steps up to `up_to`, if given.

    Warns of each newer one that is damaged. Raises WeightsError where all are damaged, so that hours of training
    are not silently begun anew.
    """
    passed_over: list[str] = []
    for step, path in _listing(folder):
        if up_to is not None and step > up_to:
            continue
        found = _verify(path)
        if isinstance(found, Checkpoint):
            return replace(found, passed_over=tuple(passed_over))
        passed_over.append(f"{path.name}: {found}")
        progress.warn(f"checkpoint {path} is damaged and passed over: {found}")
    if passed_over:
        raise WeightsError(
            f"{folder}: no whole checkpoint ({'; '.join(passed_over)}); "
            "restore one from a copy, or remove the folder to start from step 0"
        )
    return None


def _listing(folder: Path) -> list[tuple[int, Path]]:
    """Step and path of each checkpoint, newest first; one that was replaced comes after its replacement."""
    if not folder.is_dir():
        return []
    named = [(match, path) for path in folder.iterdir() if (match := _NAME.fullmatch(path.name))]
    named.sort(key=lambda pair: (int(pair[0].group(1)), pair[0].group(2) is None), reverse=True)
    return [(int(match.group(1)), path) for match, path in named]


def write_tensors(
    folder: Path, tensors: Mapping[str, Tensor], parts: Mapping[str, Part] | None = None, *, prefix: str = ""
) -> Written:
    """Write shards, each durable, into the folder of a checkpoint; `parts` says which are blocks of larger tensors.

    Several processes may write into one folder under different prefixes. Raises OSError.
    """
    files: dict[str, Any] = {}
    blocks: dict[str, Any] = {}
    for number, shard in enumerate(_shards(tensors), start=1):
        name = f"{prefix}tensors-{number:05d}.safetensors"
        for key, tensor in shard.items():
            part = (parts or {}).get(key) or whole(tuple(tensor.shape))
            dtype = str(tensor.dtype).removeprefix("torch.")
            blocks[key] = {"shape": list(part.whole), "dtype": dtype, "blocks": [_block(name, part)]}
        files[name] = _write(folder / name, to_safetensors(shard))
    return {"files": files, "tensors": blocks}


def write_manifest(folder: Path, step: int, state: Mapping[str, Any], written: Sequence[Written]) -> None:
    """Write what makes the files of a folder a checkpoint, last; `written` is what `write_tensors` gave.

    Raises Diverged where `state` holds nan or infinity, OSError where the disk refuses.
    """
    state_json = _state_json(step, state)
    files: dict[str, Any] = {name: facts for each in written for name, facts in each["files"].items()}
    tensors: dict[str, Any] = {}
    for each in written:
        for name, facts in each["tensors"].items():
            if name in tensors:
                tensors[name]["blocks"] += facts["blocks"]
            else:
                tensors[name] = facts
    files["state.json"] = _write(folder / "state.json", state_json)
    manifest = {"version": _VERSION, "wenlu": __version__, "step": step, "files": files, "tensors": tensors}
    manifest["blake2b"] = _digest(_canonical(manifest))
    write_synced(folder / "manifest.json", json.dumps(manifest, indent=1).encode())
    sync_folder(folder)


def _write(path: Path, data: bytes) -> dict[str, Any]:
    write_synced(path, data)
    return {"bytes": len(data), "blake2b": _digest(data)}


def _block(file: str, part: Part) -> dict[str, Any]:
    return {"file": file, "offset": list(part.offset), "shape": list(part.shape)}


def _shards(tensors: Mapping[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    shard: dict[str, Tensor] = {}
    size = 0
    for name, tensor in tensors.items():
        if shard and size + tensor.nbytes > SHARD_BYTES:
            yield shard
            shard, size = {}, 0
        shard[name] = _own_storage(tensor, shard)
        size += tensor.nbytes
    if shard:
        yield shard


def _own_storage(tensor: Tensor, others: Mapping[str, Tensor]) -> Tensor:
    """The tensor on the CPU, contiguous, and sharing no memory with `others` (tied weights are written twice)."""
    tensor = tensor.detach().to("cpu").contiguous()
    start = tensor.untyped_storage().data_ptr()
    shared = any(other.untyped_storage().data_ptr() == start for other in others.values())
    return tensor.clone() if shared else tensor


def read_manifest(path: Path) -> Checkpoint:
    """A checkpoint whose files another process has verified; raises WeightsError where it is none."""
    found = _verify(path, files=False)
    if not isinstance(found, Checkpoint):
        raise WeightsError(f"{path}: {found}; do all machines see the same run directory?")
    return found


def _verify(path: Path, *, files: bool = True) -> Checkpoint | str:
    """The checkpoint, or what is wrong with it; with `files`, all their digests are compared."""
    try:
        manifest = json.loads((path / "manifest.json").read_bytes())
        digest = manifest.pop("blake2b")
        if _digest(_canonical(manifest)) != digest:
            return "manifest.json does not match its digest"
        if manifest["version"] != _VERSION:
            return f"written in format {manifest['version']}, this version reads {_VERSION}"
        if f"step-{manifest['step']:08d}" != path.name.removesuffix(_REPLACED):
            return f"holds step {manifest['step']}"
        for name, expected in manifest["files"].items() if files else ():
            if problem := _problem(path, name, expected):
                return problem
        state = json.loads((path / "state.json").read_bytes())
        shards = tuple(name for name in manifest["files"] if name.endswith(".safetensors"))
        return Checkpoint(path, manifest["step"], state, shards, _stored(manifest))
    except FileNotFoundError as error:
        return f"{Path(error.filename).name} is missing"
    except (ValueError, KeyError, TypeError, AttributeError):
        return "manifest.json is not a manifest"
    except OSError as error:
        return f"{Path(error.filename or path).name}: {error.strerror}"


def _stored(manifest: Mapping[str, Any]) -> dict[str, tuple[Stored, ...]]:
    return {
        name: tuple(
            Stored(block["file"], Part(tuple(facts["shape"]), tuple(block["offset"]), tuple(block["shape"])))
            for block in facts["blocks"]
        )
        for name, facts in manifest["tensors"].items()
    }


def _assembled(files: Mapping[str, Any], name: str, stored: Sequence[Stored], wanted: Part) -> Tensor:
    """The wanted block of a tensor from the stored ones, which cover the tensor and do not overlap."""
    for block in stored:
        if block.part == wanted:
            tensor: Tensor = files[block.file].get_tensor(name)
            return tensor
    slices = [files[block.file].get_slice(name) for block in stored]
    result: Tensor = slices[0][(slice(0, 0),) * len(wanted.shape)].new_empty(wanted.shape)
    for block, source in zip(stored, slices, strict=True):
        if (shared := block.part.common(wanted)) is not None:
            result[shared.inside(wanted)] = source[shared.inside(block.part)]
    return result


def _problem(folder: Path, name: str, expected: Mapping[str, Any]) -> str:
    if not _FILE_NAME.fullmatch(name):
        return f"manifest.json names the file {name!r}"
    file = folder / name
    size = file.stat().st_size
    if size != expected["bytes"]:
        return f"{name} has {size} bytes, not {expected['bytes']}"
    with file.open("rb") as stream:
        digest = file_digest(stream, lambda: blake2b(digest_size=32)).hexdigest()
    return "" if digest == expected["blake2b"] else f"{name} does not match its digest"


def _prune(folder: Path, step: int, keep: int, progress: Progress) -> None:
    """Remove what the checkpoint of `step` makes superfluous; a failure costs disk space only, so it is a warning."""
    listing = _listing(folder)
    kept = [path for other, path in listing if other <= step and not path.name.endswith(_REPLACED)][:keep]
    try:
        for _, path in listing:
            if path not in kept:
                path.rename(temporary_name(path))  # never half removed under its name
        remove_leftovers(folder)
    except OSError as error:
        progress.warn(f"{folder}: an old checkpoint could not be removed: {error.strerror}")


def _state_json(step: int, state: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(state, allow_nan=False).encode()
    except ValueError as error:
        raise Diverged(
            f"no checkpoint of step {step}: its state holds nan or infinity; "
            "resume from the last checkpoint with a lower optimizer.lr"
        ) from error


def refuse_non_finite(step: int, tensors: Mapping[str, Tensor]) -> None:
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and tensor.numel() and not _all_finite(tensor):
            raise Diverged(
                f"no checkpoint of step {step}: tensor {name!r} holds nan or infinity; "
                "resume from the last checkpoint with a lower optimizer.lr"
            )


def _all_finite(tensor: Tensor) -> bool:
    low, high = torch.aminmax(tensor)  # both carry nan on, and neither needs a copy of the tensor
    return bool(torch.isfinite(low) and torch.isfinite(high))


def _ask_for_room(folder: Path, step: int, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < ROOM * size:
        raise ResourceError(
            f"{folder}: no checkpoint of step {step}: {free / 1e6:,.0f} MB free, {ROOM * size / 1e6:,.0f} MB wanted "
            f"({ROOM} times its size); earlier checkpoints are untouched. Free some space and resume"
        )


def _out_of_the_way(final: Path) -> Path:
    """A name under which `newest_good` still finds the checkpoint, should its replacement not arrive."""
    replaced = final.with_name(final.name + _REPLACED)
    if replaced.exists():
        replaced.rename(temporary_name(replaced))
    return replaced


def _digest(data: bytes) -> str:
    return blake2b(data, digest_size=32).hexdigest()


def _canonical(manifest: Mapping[str, Any]) -> bytes:
    return json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()
