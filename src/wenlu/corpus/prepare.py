"""From sources to cleaned, counted splits in a folder."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from wenlu.corpus.collect import collect
from wenlu.corpus.parallel import Patience, available_workers
from wenlu.corpus.record import Record
from wenlu.corpus.settings import DataConfig
from wenlu.corpus.split import SPLITS, assign, thinned
from wenlu.corpus.spool import Spool
from wenlu.corpus.statistics import STATISTICS, DataSummary
from wenlu.corpus.step import Workroom
from wenlu.corpus.writer import DROPPED_FILE, PAGE, write_splits
from wenlu.errors import DataError, ResourceError, UsageError
from wenlu.progress import QUIET, Progress
from wenlu.rundir.atomic import atomic_folder, is_leftover

__all__ = ["DataConfig", "DataSummary", "prepare", "read_split"]

_OURS = {*(f"{split}.jsonl" for split in SPLITS), DROPPED_FILE, STATISTICS, PAGE}


def prepare(
    config: DataConfig,
    out: Path,
    *,
    seed: int,
    progress: Progress = QUIET,
    language: Literal["en", "zh"] = "en",
) -> DataSummary:
    """Read, clean, split and count; write the folder `out` at once, or leave it as it was.

    Writes train.jsonl, validation.jsonl and test.jsonl (an object a line: `id`, `text`, the record's meta, and
    `cluster`, which near-duplicates share), statistics.json, data.html (in `language`), and dropped.jsonl.gz if asked.
    Memory grows by about 700 bytes a record, whatever the texts' length; they wait on disk, beside `out`.

    Raises:
        DataError: nothing is left, or the splits cannot be had, or what the sources raise.
        ResourceError: the disk is full, or there is no permission.
        UsageError: `out` holds something else than prepared data.
    """
    _check_target(out)
    workers = available_workers() if config.workers == "auto" else config.workers
    room = Workroom(out.parent, workers, Patience(config.worker_timeout_seconds, out.parent, progress))
    with Spool(room.folder) as kept, Spool(room.folder) as dropped:
        collected = collect(config, kept, dropped, room, seed=seed, progress=progress)
        assignment = assign(
            collected.facts,
            config.split_by,
            validation=config.validation if isinstance(config.validation, float) else None,
            test=config.test if isinstance(config.test, float) else None,
            decontaminate=config.decontaminate,
            seed=seed,
        )
        assignment = thinned(assignment, collected.facts, config.fraction, seed)
        with atomic_folder(out) as folder:
            return write_splits(
                folder, config, collected, assignment, kept, dropped, seed=seed, language=language, progress=progress
            )


def splits(data: Path) -> list[str]:
    """The parts that are there, of those in the order in which they are used."""
    return [name for name in ("train", "validation", "test") if (data / f"{name}.jsonl").exists()]


def read_split(folder: Path, split: str) -> Iterator[Record]:
    """The records of a split that `prepare` wrote; the cluster is in the meta. Raises DataError."""
    summary = DataSummary.open(folder)
    path = folder / f"{split}.jsonl"
    if path.name not in summary.files:
        there = ", ".join(name.removesuffix(".jsonl") for name in summary.files if name.endswith(".jsonl"))
        raise DataError(f"{folder}: no split {split!r}; there are {there}")
    size = path.stat().st_size if path.exists() else 0
    if size != summary.files[path.name].bytes:
        raise DataError(
            f"{path}: has {size} bytes, but {summary.files[path.name].bytes} were written; prepare it again"
        )
    return _read_lines(path)


def _read_lines(path: Path) -> Iterator[Record]:
    with path.open("rb") as file:
        for line in file:
            row: dict[str, str] = json.loads(line)
            yield Record(row.pop("text"), row.pop("id"), row)


def _check_target(out: Path) -> None:
    """Refuse to replace what is not prepared data; make the folder around it."""
    try:
        strangers = sorted(
            entry.name for entry in out.iterdir() if entry.name not in _OURS and not is_leftover(entry.name)
        )
    except FileNotFoundError:
        strangers = []
    except NotADirectoryError as error:
        raise UsageError(f"{out}: is a file; choose another --out") from error
    except PermissionError as error:
        raise ResourceError(f"{out}: no permission to look into it; choose another --out") from error
    if strangers:
        raise UsageError(f"{out}: holds other files, such as {strangers[0]!r}; choose a new or empty folder as --out")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResourceError(f"{out.parent}: cannot be made: {error.strerror}; choose another --out") from error
