"""Drop texts that are nearly equal to an earlier one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, PositiveInt

from wenlu.corpus.near_duplicates import near_duplicate_clusters
from wenlu.corpus.record import Drop, Item, Step
from wenlu.corpus.spool import Spool
from wenlu.corpus.step import StepConfig, StepKind, Workroom


class NearDedupConfig(StepConfig):
    """Near-duplicates share at least `threshold` of their shingles (Jaccard); the first of each cluster stays.

    The usual settings of web corpora lie near these: Lee et al. 2022 (arXiv:2107.06499) 0.8, FineWeb
    (arXiv:2406.17557) 0.75, both with 5-grams of words.
    """

    step: Literal["near-dedup"] = "near-dedup"
    threshold: Annotated[float, Field(ge=0.3, lt=1)] = 0.8
    shingle: Annotated[PositiveInt, Field(le=50)] = 5
    """Length of a shingle in words, or in characters for Chinese and other scripts without spaces."""


def build(config: NearDedupConfig, room: Workroom) -> Step:
    def near_dedup(items: Iterable[Item]) -> Iterator[Item]:
        with Spool(room.folder) as spool:
            for item in items:
                spool.append(item)
            first = near_duplicate_clusters(
                spool, threshold=config.threshold, size=config.shingle, workers=room.workers
            )
            sizes = np.bincount(first, minlength=len(first))
            kept: dict[int, str] = {}  # ids of the first records of clusters with several members
            number = 0
            for item in spool:
                if isinstance(item, Drop):
                    yield item
                    continue
                leader = int(first[number])
                if leader == number:
                    if sizes[number] > 1:
                        kept[number] = item.id
                    yield item
                else:
                    meta = {**item.meta, "duplicate_of": kept[leader]}
                    yield Drop(replace(item, meta=meta), "near-dedup", "near-duplicate")
                number += 1

    return near_dedup


STEP = StepKind("near-dedup", NearDedupConfig, build)
