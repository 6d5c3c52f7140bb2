"""Read the sources, run the steps, and put what they keep aside with all that splitting needs to know."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from wenlu.corpus.near_duplicates import near_duplicate_clusters
from wenlu.corpus.pictures.reference import DIGEST
from wenlu.corpus.record import Drop, Record
from wenlu.corpus.settings import DataConfig
from wenlu.corpus.sources import SourceSpec, name_of, open_sources
from wenlu.corpus.split import SPLITS, TEST, TRAIN, VALIDATION, Facts, parse_time, united
from wenlu.corpus.spool import Spool
from wenlu.corpus.statistics import Drops
from wenlu.corpus.step import Workroom
from wenlu.corpus.steps import build_and_run
from wenlu.errors import DataError
from wenlu.progress import Progress

SHINGLE = 5
"""Units of the shingles by which splits count near-duplicates."""
_EVERY = 1000


@dataclass(frozen=True)
class Collected:
    """What `collect` saw.

    Attributes:
        read: records and drops that came out of the steps.
        facts: of the kept records, in the order of their spool.
    """

    read: int
    drops: Drops
    facts: Facts


def collect(
    config: DataConfig, kept: Spool, dropped: Spool, room: Workroom, *, seed: int, progress: Progress
) -> Collected:
    """Fill `kept` with the records that pass all steps, and `dropped` with the others if they are to be kept.

    Records that show the same picture are near-duplicates, whatever their captions; in a split by pictures no others
    are.
    """
    drops = Drops()
    origin, digest, group, time, stays, leaves = array("b"), array("Q"), array("Q"), array("d"), array("b"), array("b")
    shown = array("Q")
    read = 0
    progress.start("read and clean", unit="records")
    for code, specs in _by_origin(config):
        for_training = {name_of(spec) for spec in specs if not spec.is_held_out}
        for item in build_and_run(config.steps, open_sources(specs, seed), room):
            read += 1
            if read % _EVERY == 0:
                progress.update(read, kept=f"{len(kept):,}")
            if isinstance(item, Drop):
                drops.add(item)
                if config.keep_dropped:
                    dropped.append(item)
                continue
            kept.append(item)
            origin.append(code)
            stays.append(item.meta["source"] in for_training)
            leaves.append(item.meta["source"] in config.without)
            if config.split_by == "picture" and DIGEST not in item.meta:
                raise DataError(f"{item.id}: has no picture, by which data.split_by wants to split; name its column")
            digest.append(hash64(item.meta[DIGEST] if config.split_by == "picture" else item.text.strip()))
            shown.append(hash64(item.meta[DIGEST]) if DIGEST in item.meta else len(shown))
            if config.split_by == "group":
                group.append(hash64(_column(item, config.group)))
            if config.split_by == "time":
                time.append(parse_time(_column(item, config.time), f"{item.id}, {config.time}"))
        if code not in origin:
            raise DataError(_nothing_left(SPLITS[code], read, drops))
    progress.finish(f"{read:,} records read, {len(kept):,} kept")

    progress.start("compare", len(kept), "records")
    if config.split_by == "picture":
        cluster = np.arange(len(kept))
    else:
        cluster = near_duplicate_clusters(
            kept, threshold=config.near_duplicate_threshold, size=SHINGLE, workers=room.workers
        )
    pictures = np.array(shown, np.uint64)
    if (pictures != np.arange(len(pictures))).any():
        cluster = united(cluster, pictures)
    progress.finish(f"{len(np.unique(cluster)):,} clusters of near-duplicates")
    facts = Facts(
        np.array(origin, np.int8),
        cluster,
        np.array(digest, np.uint64),
        np.array(group, np.uint64),
        np.array(time, float),
        np.array(stays, bool),
        np.array(leaves, bool),
    )
    return Collected(read, drops, facts)


def hash64(text: str) -> int:
    """64 bits that tell texts apart, the same on every machine."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def _by_origin(config: DataConfig) -> Iterator[tuple[int, tuple[SourceSpec, ...]]]:
    for code, part in ((TEST, config.test), (VALIDATION, config.validation)):
        if isinstance(part, tuple):
            yield code, part
    yield TRAIN, config.train


def _column(record: Record, name: str | None) -> str:
    assert name is not None, "DataConfig asks for the column's name"
    if not record.meta.get(name):
        raise DataError(
            f"{record.id}: has no {name!r}, by which data.split_by wants to split; its meta has "
            f"{', '.join(record.meta) or 'nothing'}. Keep the column: train = {{path = …, meta = [{name!r}]}}"
        )
    return record.meta[name]


def _nothing_left(split: str, read: int, drops: Drops) -> str:
    top = drops.by_count()
    if not top:
        return f"data.{split}: its sources gave no records; check their paths"
    advice = f"loosen the step {top[0].step!r} in data.steps" if top[0].step != "source" else "check the sources"
    return f"data.{split}: nothing is left of {read} records: {drops}; {advice}"
