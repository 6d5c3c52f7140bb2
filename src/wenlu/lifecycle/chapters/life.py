"""Carry out the chapters of a file in order; what is done for the same settings and code is not done again."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import tomli_w

from wenlu.config import load, read_toml
from wenlu.lifecycle.cache import code_digests
from wenlu.lifecycle.chapters.page import write_page
from wenlu.lifecycle.chapters.settings import Chapter, ChaptersConfig, references, resolved
from wenlu.lifecycle.chapters.told import Chapters, Told
from wenlu.lifecycle.chapters.verbs import CHAPTERS, Work
from wenlu.progress import QUIET, Named, Progress
from wenlu.rundir import atomic

FILE = "chapters.json"
_CODE = (
    *("compression", "corpus", "evaluation", "generation", "kernels", "lifecycle", "metrics", "models", "server"),
    *("tasks", "tokenizers", "training"),
)


def has_chapters(path: Path) -> bool:
    """Whether a settings file is of chapters; raises ConfigError where it cannot be read."""
    return "chapters" in read_toml(path)


def carry_out(path: Path, out: Path, overrides: Sequence[str] = (), *, progress: Progress = QUIET) -> Chapters:
    """Each chapter in a folder of its name below `out`, with its settings beside it in `NAME.toml`.

    Writes `chapters.json` and `report.html` after each. The same call goes on with what was interrupted.

    Raises:
        ConfigError: of any chapter, before the first begins. The others are those of its verbs.
    """
    config = load(ChaptersConfig, path, overrides)
    config.check(path)
    out.mkdir(parents=True, exist_ok=True)
    code = code_digests(_CODE)
    before = _read(out)
    folders: dict[str, Path] = {}
    keys: dict[str, str] = {}
    told: list[Told] = []
    for name, chapter in config.chapters.items():
        settings = _given(config, name, folders)
        given = chapter.model_copy(
            update={key: tuple(resolved(getattr(chapter, key), folders)) for key in ("runs", "models")}
        )
        used = [keys[other] for other in _used(config, name)]
        keys[name] = _key([json.dumps([settings, given.model_dump(mode="json")], sort_keys=True), *code, *used])
        folders[name] = out / name
        done = before.get(name)
        if done is None or done["key"] != keys[name] or not folders[name].is_dir():
            done = {"key": keys[name], **_carry_out(name, given, settings, out, progress).to_json()}
            before[name] = done
        told.append(Told.of_json({key: value for key, value in done.items() if key != "key"}))
        record = {each.name: before[each.name] for each in told}
        atomic.write_text(out / FILE, json.dumps(record, ensure_ascii=False, indent=2) + "\n")
        write_page(config, out, told)
    served = [model for chapter in config.chapters.values() for model in resolved(chapter.models, folders)]
    return Chapters(out, tuple(told), tuple(served))


def _carry_out(name: str, chapter: Chapter, settings: Mapping[str, Any], out: Path, progress: Progress) -> Told:
    file = out / f"{name}.toml"
    if settings:
        atomic.write_text(file, tomli_w.dumps(settings))
    begin = time.perf_counter()
    folder = out / name
    folder.mkdir(exist_ok=True)
    found = CHAPTERS[chapter.verb](Work(name, chapter, file, folder, Named(name, progress)))
    seconds = round(time.perf_counter() - begin, 1)
    told = Told(name, chapter.title or name, chapter.verb, folder, found.metrics, found.lines, found.page)
    return replace(told, seconds=seconds)


def _given(config: ChaptersConfig, name: str, folders: Mapping[str, Path]) -> dict[str, Any]:
    chapter = config.chapters[name]
    if chapter.runs or chapter.models:
        return {}
    read = None if chapter.recipe is None else read_toml(Path(resolved(chapter.recipe, folders)))
    given: dict[str, Any] = resolved(config.settings(name, read), folders)
    return given


def _used(config: ChaptersConfig, name: str) -> list[str]:
    chapter = config.chapters[name]
    return sorted({*references(config.settings(name)), *references([chapter.recipe, chapter.runs, chapter.models])})


def _read(out: Path) -> dict[str, Any]:
    file = out / FILE
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    return found


def _key(parts: Sequence[str]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(part.encode() + b"\0")
    return digest.hexdigest()
