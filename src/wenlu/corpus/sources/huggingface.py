"""A Hugging Face dataset folder: one saved with `save_to_disk`, or a repository of data files, one split of it.

Which files are a split is said by the saved state, or by `configs` in README.md, or else by the word in their names
(`train-00000-of-00002.parquet`, `data/test/0.jsonl`), as the hub's own rules are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from wenlu.corpus.reading import reading
from wenlu.corpus.source import FolderKind, SourceSpec
from wenlu.corpus.sources.folder import files_below
from wenlu.corpus.sources.glob import matching
from wenlu.errors import DataError, MissingExtra

_DATA = re.compile(r"\.(?:parquet|arrow|(?:jsonl|ndjson|json|csv|tsv|txt)(?:\.gz|\.zst)?)\Z")
_NOT_DATA = {"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json", "config.json"}
_WORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "dev", "val"),
    "test": ("test", "testing", "eval", "evaluation"),
}


def _claims(folder: Path) -> bool:
    saved = any((folder / name).is_file() for name in ("dataset_dict.json", "state.json"))
    return saved or {"configs", "dataset_info"} & _card(folder).keys() != set()


def _files(folder: Path, spec: SourceSpec) -> Iterator[PurePosixPath]:
    if (folder / "dataset_dict.json").is_file():
        splits = [str(name) for name in _json(folder / "dataset_dict.json").get("splits", [])]
        _check_split(folder, spec, splits)
        yield from _saved(folder, PurePosixPath(spec.split))
    elif (folder / "state.json").is_file():
        yield from _saved(folder, PurePosixPath())
    else:
        configs = _card(folder).get("configs") or []
        yield from _configured(folder, spec, configs) if configs else _named(folder, spec)


def _saved(folder: Path, below: PurePosixPath) -> Iterator[PurePosixPath]:
    state = _json(folder / below / "state.json")
    if state.get("_indices_data_files"):
        raise DataError(
            f"{folder / below}: saved with a selection or order of its rows; save it after flatten_indices()"
        )
    for entry in state.get("_data_files", []):
        name = str(entry["filename"])
        if PurePosixPath(name).name != name:
            raise DataError(f"{folder / below}: its state names {name!r}, which lies outside; save the dataset again")
        yield below / name


def _configured(folder: Path, spec: SourceSpec, configs: list[dict[str, Any]]) -> Iterator[PurePosixPath]:
    by_name = {str(config.get("config_name", "default")): config for config in configs}
    name = spec.subset or next((name for name, config in by_name.items() if config.get("default")), "default")
    if not spec.subset and name not in by_name and len(by_name) == 1:
        name = next(iter(by_name))
    if name not in by_name:
        raise DataError(f'{folder}: has several subsets; choose one with subset = "…": {", ".join(sorted(by_name))}')
    patterns = _patterns(by_name[name].get("data_files", []))
    _check_split(folder, spec, list(patterns))
    root = PurePosixPath(str(by_name[name].get("data_dir", "")))
    found = {path for pattern in patterns[spec.split] for path in matching(folder, str(root / pattern))}
    yield from sorted(found, key=lambda path: path.parts)


def _patterns(data_files: Any) -> dict[str, list[str]]:
    """The glob patterns of each split, from the three ways that a dataset card may write them."""
    if isinstance(data_files, str):
        return {"train": [data_files]}
    if all(isinstance(entry, str) for entry in data_files):
        return {"train": list(data_files)}
    patterns: dict[str, list[str]] = {}
    for entry in data_files:
        paths = entry["path"] if isinstance(entry["path"], list) else [entry["path"]]
        patterns.setdefault(str(entry["split"]), []).extend(map(str, paths))
    return patterns


def _named(folder: Path, spec: SourceSpec) -> Iterator[PurePosixPath]:
    data = [path for path in files_below(folder) if _DATA.search(path.name.lower()) and path.name not in _NOT_DATA]
    splits: dict[str, list[PurePosixPath]] = {}
    for path in data:
        splits.setdefault(_split_in(path), []).append(path)
    if set(splits) <= {""}:
        splits = {"train": data} if data else {}
    _check_split(folder, spec, sorted(name for name in splits if name))
    yield from splits[spec.split]


def _split_in(path: PurePosixPath) -> str:
    words = re.split(r"[^a-z0-9]+", str(path).lower())
    return next((split for split, names in _WORDS.items() if set(names) & set(words)), "")


def _check_split(folder: Path, spec: SourceSpec, splits: list[str]) -> None:
    if spec.split not in splits:
        listing = ", ".join(splits) or "none"
        raise DataError(f'{folder}: no split {spec.split!r}; there is {listing}. Choose with split = "…"')


def _card(folder: Path) -> dict[str, Any]:
    """The settings at the head of the folder's README.md; empty where there are none."""
    readme = folder / "README.md"
    if not readme.is_file() or not readme.read_bytes()[:4].startswith(b"---"):
        return {}
    try:
        import yaml  # type: ignore[import-untyped]
    except ModuleNotFoundError as error:
        raise MissingExtra("huggingface_hub", extra="data", purpose=f"read {readme}") from error
    head = re.match(r"---\s*\n(.*?)\n---\s*(?:\n|\Z)", readme.read_text(encoding="utf-8", errors="replace"), re.S)
    try:
        card = yaml.safe_load(head[1]) if head else {}
    except yaml.YAMLError as error:
        raise DataError(f"{readme}: the settings at its head are not valid YAML ({error})") from error
    return card if isinstance(card, dict) else {}


def _json(path: Path) -> dict[str, Any]:
    with reading(path):
        text = path.read_text(encoding="utf-8")
    try:
        value = json.loads(text)
    except ValueError as error:
        raise DataError(f"{path}: malformed JSON ({error}); save the dataset again") from error
    return value if isinstance(value, dict) else {}


KIND = FolderKind("huggingface", _claims, _files)
