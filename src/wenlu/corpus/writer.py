"""Write the splits and what was dropped, counting on the way."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import combinations
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import numpy as np

from wenlu.corpus.collect import Collected
from wenlu.corpus.overlap import SharedNgrams
from wenlu.corpus.page import page
from wenlu.corpus.record import Drop, Record
from wenlu.corpus.settings import DataConfig
from wenlu.corpus.split import DROPPED, SPLITS, TRAIN, Assignment, Facts
from wenlu.corpus.spool import Spool
from wenlu.corpus.statistics import STATISTICS, DataSummary, Duplicates, FileFact, Overlap, SplitTally
from wenlu.errors import DataError
from wenlu.progress import Progress

DROPPED_FILE = "dropped.jsonl.gz"
PAGE = "data.html"
_BATCH, _EVERY = 256, 1000


def write_splits(
    folder: Path,
    config: DataConfig,
    collected: Collected,
    assignment: Assignment,
    kept: Spool,
    dropped: Spool,
    *,
    seed: int,
    language: Literal["en", "zh"],
    progress: Progress,
) -> DataSummary:
    """Fill `folder` with the splits, statistics.json, data.html and, if asked for, the dropped records.

    Raises DataError if no record is left for training.
    """
    present = [code for code in range(len(SPLITS)) if (assignment.split == code).any()]
    if TRAIN not in present:
        raise DataError(_no_training(assignment))
    progress.start("write", len(kept), "records")
    facts, drops = collected.facts, collected.drops
    shared = _remember_held_out(kept, assignment, present)
    clusters = _cluster_digests(facts)
    tallies = {code: SplitTally() for code in present}
    with ExitStack() as stack:
        files = {code: stack.enter_context(HashedFile(folder / f"{SPLITS[code]}.jsonl")) for code in present}
        look = {code: stack.enter_context(_Batches(partial(shared.look, SPLITS[code]))) for code in present}
        for number, record in enumerate(kept.records()):
            code = int(assignment.split[number])
            if code == DROPPED:
                drop = Drop(record, "split", _why_dropped(int(assignment.leaks_into[number])))
                drops.add(drop)
                if config.keep_dropped:
                    dropped.append(drop)
                continue
            tallies[code].add(record, files[code].write_record(record, cluster=f"{clusters[number]:016x}"))
            look[code].add(record.text)
            if number % _EVERY == 0:
                progress.update(number)
    written = {file.path.name: file.fact() for file in files.values()}
    if config.keep_dropped:
        written[DROPPED_FILE] = _write_dropped(folder / DROPPED_FILE, dropped)
    summary = DataSummary(
        seed=seed,
        settings=config.model_dump(mode="json"),
        read=collected.read,
        kept=sum(tally.records for tally in tallies.values()),
        splits={
            SPLITS[code]: tally.summary(len(np.unique(facts.cluster[assignment.split == code])))
            for code, tally in tallies.items()
        },
        dropped=drops.by_count(),
        examples=drops.examples(),
        duplicates=_duplicates(facts, assignment, config.near_duplicate_threshold),
        overlap=tuple(_overlap(facts, assignment, shared, present)),
        files=written,
        notes=tuple(_notes(config)),
    )
    (folder / PAGE).write_text(page(summary, language), encoding="utf-8")
    (folder / STATISTICS).write_text(summary.model_dump_json(indent=1), encoding="utf-8")
    progress.finish(", ".join(f"{name} {split.records:,}" for name, split in summary.splits.items()))
    return summary


class HashedFile:
    """A new file of records, a JSON object a line, whose digest is known at its end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._digest = hashlib.sha256()
        self._bytes = 0

    def __enter__(self) -> Self:
        self._file = self.path.open("xb")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def write_record(self, record: Record, **more: str) -> int:
        """Returns the number of bytes of the text in UTF-8."""
        row = {"id": record.id, "text": record.text, **record.meta, **more}
        assert len(row) == 2 + len(record.meta) + len(more), f"meta of {record.id} hides a key of Wenlu's own"
        self.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
        return len(record.text.encode())

    def write(self, data: bytes) -> int:
        self._digest.update(data)
        self._bytes += len(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()

    def fact(self) -> FileFact:
        return FileFact(bytes=self._bytes, sha256=self._digest.hexdigest())


class _Batches:
    """Hands texts on some hundreds at a time, and the rest at the end."""

    def __init__(self, use: Callable[[list[str]], None]) -> None:
        self._use = use
        self._texts: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._use(self._texts)

    def add(self, text: str) -> None:
        self._texts.append(text)
        if len(self._texts) == _BATCH:
            self._use(self._texts)
            self._texts = []


def _write_dropped(path: Path, dropped: Spool) -> FileFact:
    with HashedFile(path) as file:
        with gzip.GzipFile(fileobj=file, mode="wb", mtime=0, filename="") as packed:
            for drop in dropped:
                assert isinstance(drop, Drop), "only drops are dropped"
                row = {"id": drop.record.id, "step": drop.step, "reason": drop.reason, "text": drop.record.text}
                packed.write(json.dumps({**drop.record.meta, **row}).encode() + b"\n")
        return file.fact()


def _remember_held_out(kept: Spool, assignment: Assignment, present: Sequence[int]) -> SharedNgrams:
    shared = SharedNgrams()
    for code in present:
        numbers = np.flatnonzero(assignment.split == code) if code != TRAIN else np.empty(0, np.int64)
        for start in range(0, len(numbers), _BATCH):
            shared.remember(SPLITS[code], kept.texts(numbers[start : start + _BATCH].tolist()))
    return shared


def _overlap(facts: Facts, assignment: Assignment, shared: SharedNgrams, present: Sequence[int]) -> Iterator[Overlap]:
    for other, held_out in combinations(present, 2):
        mine, theirs = assignment.split == held_out, assignment.split == other
        yield Overlap(
            held_out=SPLITS[held_out],
            other=SPLITS[other],
            records=int(mine.sum()),
            exact=int(np.isin(facts.digest[mine], facts.digest[theirs]).sum()),
            near_duplicates=int(np.isin(facts.cluster[mine], facts.cluster[theirs]).sum()),
            ngrams=shared.fraction(SPLITS[held_out], SPLITS[other]),
            sampled=shared.sampled(SPLITS[held_out]),
        )


def _duplicates(facts: Facts, assignment: Assignment, threshold: float) -> Duplicates:
    kept = assignment.split != DROPPED
    _, sizes = np.unique(facts.cluster[kept], return_counts=True)
    several = sizes[sizes > 1]
    return Duplicates(
        threshold=threshold,
        exact=int(kept.sum() - len(np.unique(facts.digest[kept]))),
        clusters=len(several),
        records=int(several.sum()),
        largest=int(sizes.max()),
    )


def _cluster_digests(facts: Facts) -> list[int]:
    """A name for each record's cluster that does not depend on the order: the least digest in it."""
    least = np.full(len(facts.cluster), np.iinfo(np.uint64).max, np.uint64)
    np.minimum.at(least, facts.cluster, facts.digest)
    names: list[int] = least[facts.cluster].tolist()
    return names


def _notes(config: DataConfig) -> Iterator[str]:
    if config.split_by == "random":
        yield 'split_by = "random" draws single records: near-duplicates may lie on both sides, see the overlap'
    if not config.decontaminate:
        yield "decontaminate = false: training records alike to held-out files stay"


def _why_dropped(leaks_into: int) -> str:
    if leaks_into == TRAIN:
        return "left out by data.fraction or data.without"
    return f"near-duplicate of {SPLITS[leaks_into]}"


def _no_training(assignment: Assignment) -> str:
    leaks = int((assignment.split == DROPPED).sum())
    if leaks:
        return (
            f"data.train: all of its {leaks} records are near-duplicates of held-out records; give other held-out "
            "files, raise data.near_duplicate_threshold, or set data.decontaminate=false"
        )
    return "data.train: no record is left for training; take smaller data.validation and data.test"
