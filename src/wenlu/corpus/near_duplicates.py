"""Clusters of near-duplicate texts: MinHash signatures, locality-sensitive hashing, verified pairs.

Broder 1997 (MinHash); Leskovec, Rajaraman, Ullman, Mining of Massive Datasets, chapter 3 (banding). The signatures
are rensa's R-MinHash. Memory: 512 bytes a text for the signature and about 50 for the rest; nothing else grows.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from struct import Struct
from typing import Any

import numpy as np

from wenlu.corpus.parallel import map_ordered
from wenlu.corpus.shingles import I64, U64, Hashes, distinct, jaccard, mixed, shingles
from wenlu.corpus.spool import Spool
from wenlu.errors import MissingExtra

F64 = np.ndarray[Any, np.dtype[np.float64]]
U32 = np.ndarray[Any, np.dtype[np.uint32]]

NUM_PERM = 128
CAUGHT_AT_THRESHOLD = 0.98
"""Least probability that a pair exactly at the threshold shares a band, and so is compared."""

_BLOCK = 2**14
_NEIGHBOURS = 64
"""A text is compared with so many others of its bucket: with all, in buckets up to this size."""
_PAIRS = 2**16
"""Pairs of signatures compared at once; bounds the memory."""
_PAIRS_READ = 2**10
"""Pairs of texts read and compared at once."""
_HASHES_SKETCHED, _PIECES_SKETCHED = 2**15, 255
"""Given to rensa at once: from 2^16 hashes or 256 pieces on it starts threads, and a process forked later hangs."""
_SEED = 1
_ROW = Struct(f"{NUM_PERM}I")

Read = Callable[[Sequence[int]], list[str]]
"""Gives the texts with these numbers."""


def bands_for(threshold: float) -> tuple[int, int]:
    """How many bands, of how many rows each.

    A pair of similarity s shares a band with probability 1 - (1 - s^rows)^bands. More rows mean fewer needless
    comparisons; this takes as many as leave a pair at the threshold the chance `CAUGHT_AT_THRESHOLD`.
    """
    for rows in range(NUM_PERM, 1, -1):
        bands = NUM_PERM // rows
        if 1 - (1 - threshold**rows) ** bands >= CAUGHT_AT_THRESHOLD:
            return bands, rows
    return NUM_PERM, 1


def signatures(hashes: Hashes) -> U32:
    """(texts, NUM_PERM) MinHash signatures; equal places of two rows estimate their Jaccard similarity.

    Each text has one hash at least. A long text is sketched in pieces, whose least values are those of the whole.
    """
    sketch = _rensa().RMinHash.digest_matrix_from_flat_token_hashes
    total = len(hashes.values)
    cuts = np.union1d(hashes.offsets, np.arange(0, total, _HASHES_SKETCHED))
    packed = []
    for block in range(0, total, _HASHES_SKETCHED):
        first, last = np.searchsorted(cuts, (block, min(block + _HASHES_SKETCHED, total)))
        for start in range(first, last, _PIECES_SKETCHED):
            bounds = cuts[start : min(start + _PIECES_SKETCHED, last) + 1]
            offsets = (bounds - bounds[0]).astype(np.uint64)
            matrix = sketch(hashes.values[bounds[0] : bounds[-1]], offsets, NUM_PERM, _SEED)
            packed += [_ROW.pack(*row) for row in matrix.to_rows()]  # half the time of np.array
    pieces = np.frombuffer(b"".join(packed), np.uint32).reshape(-1, NUM_PERM)
    return np.minimum.reduceat(pieces, np.searchsorted(cuts, hashes.offsets[:-1])) if total else pieces


def _rensa() -> Any:
    try:
        import rensa
    except ImportError as error:
        raise MissingExtra("rensa", extra="data", purpose="find near-duplicates") from error
    return rensa


class NearDuplicates:
    """Collects the signatures of texts, then tells which texts are near-duplicates of each other.

    Two texts are near-duplicates if the Jaccard similarity of their sets of shingles of `size` units is at least
    `threshold`. Where the signatures leave no doubt (three standard errors) they decide; in between the exact sets do.
    """

    def __init__(self, threshold: float, size: int) -> None:
        _rensa()  # missing: say so before anything is read
        self.threshold, self.size = threshold, size
        self.bands, self.rows = bands_for(threshold)
        self._doubt = 3 * (threshold * (1 - threshold) / NUM_PERM) ** 0.5
        self._blocks: list[U32] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, rows: U32) -> None:
        """Take in further texts, as their signatures."""
        while len(rows):
            place = self._count % _BLOCK
            if place == 0:
                self._blocks.append(np.empty((_BLOCK, NUM_PERM), np.uint32))
            taken = min(len(rows), _BLOCK - place)
            self._blocks[-1][place : place + taken] = rows[:taken]
            self._count += taken
            rows = rows[taken:]

    def clusters(self, read: Read, *, workers: int = 1) -> I64:
        """For each text the number of the first text of its cluster.

        Near-duplicates of near-duplicates belong together, though they may differ more from each other. With several
        `workers`, which are forked, `read` must work in them too.
        """
        first = np.arange(self._count)
        doubtful = np.empty(0, np.int64)
        for band in range(self.bands):
            found = [doubtful]
            for a, b in _bucket_pairs(self._band_keys(band), first):
                estimate = self._estimate(a, b)
                sure = estimate >= self.threshold + self._doubt
                unite(first, a[sure], b[sure])
                unsure = ~sure & (estimate > self.threshold - self._doubt)
                found.append(a[unsure] * self._count + b[unsure])
            doubtful = np.unique(np.concatenate(found))

        def compare(pairs: tuple[I64, I64]) -> tuple[I64, I64, F64]:
            return *pairs, self._exact(*pairs, read)

        for a, b, similarity in map_ordered(compare, self._apart(doubtful, first), workers=workers):
            alike = similarity >= self.threshold
            unite(first, a[alike], b[alike])
        return first

    def _apart(self, pairs: I64, first: I64) -> Iterator[tuple[I64, I64]]:
        """Batches of the pairs whose texts are not in one cluster yet."""
        for start in range(0, len(pairs), _PAIRS_READ):
            a, b = np.divmod(pairs[start : start + _PAIRS_READ], self._count)
            apart = first[a] != first[b]
            if apart.any():
                yield a[apart], b[apart]

    def _band_keys(self, band: int) -> U64:
        """One hash a text of the part of its signature that belongs to the band."""
        keys = np.empty(self._count, np.uint64)
        for i, block in enumerate(self._blocks):
            part = block[:, band * self.rows : (band + 1) * self.rows].astype(np.uint64)
            key = part[:, 0].copy()
            for column in range(1, self.rows):
                key = mixed(key) + part[:, column]
            stretch = keys[i * _BLOCK : (i + 1) * _BLOCK]
            stretch[:] = key[: len(stretch)]
        return keys

    def _estimate(self, a: I64, b: I64) -> F64:
        """Similarity of pairs of texts by their signatures."""
        equal: I64 = np.count_nonzero(self._signatures(a) == self._signatures(b), axis=1)
        return equal / NUM_PERM

    def _signatures(self, texts: I64) -> U32:
        rows = np.empty((len(texts), NUM_PERM), np.uint32)
        block, place = np.divmod(texts, _BLOCK)
        order = np.argsort(block, kind="stable")
        bounds = np.searchsorted(block[order], np.arange(len(self._blocks) + 1))
        for i in np.flatnonzero(np.diff(bounds)).tolist():
            mine = order[bounds[i] : bounds[i + 1]]
            rows[mine] = self._blocks[i][place[mine]]
        return rows

    def _exact(self, a: I64, b: I64, read: Read) -> F64:
        """Similarity of pairs of texts by their sets of shingles."""
        texts, place = np.unique(np.concatenate((a, b)), return_inverse=True)
        found = shingles(read(texts.tolist()), self.size)
        sets = [distinct(found[i]) for i in range(len(found))]
        return np.array([jaccard(sets[i], sets[j]) for i, j in place.reshape(2, -1).T])


def _bucket_pairs(keys: U64, first: I64) -> Iterator[tuple[I64, I64]]:
    """Pairs of texts with equal keys, as two arrays, that are not in one cluster yet.

    `first` is read anew for each batch, so that what was merged meanwhile is not compared again.
    """
    texts, starts, bucket = _buckets(keys)
    yield from _batches(texts[starts[bucket]], texts, first)
    if not len(texts):
        return
    clusters = first[texts]
    settled = np.minimum.reduceat(clusters, starts) == np.maximum.reduceat(clusters, starts)
    texts, bucket = texts[~settled[bucket]], bucket[~settled[bucket]]
    for distance in range(1, _NEIGHBOURS + 1):
        same = bucket[distance:] == bucket[:-distance]
        if not same.any():
            return
        yield from _batches(texts[:-distance][same], texts[distance:][same], first)


def _buckets(keys: U64) -> tuple[I64, I64, I64]:
    """Texts that share their key with another, by bucket and number; where buckets start; the bucket of each."""
    order = np.argsort(keys)
    ordered = keys[order]
    equal = np.concatenate(([False], ordered[1:] == ordered[:-1], [False]))
    members = np.flatnonzero(equal[1:] | equal[:-1])
    texts, ordered = order[members], ordered[members]
    texts = texts[np.lexsort((texts, ordered))]
    new = np.concatenate(([True], ordered[1:] != ordered[:-1]))[: len(ordered)]
    return texts, np.flatnonzero(new), np.cumsum(new) - 1


def _batches(a: I64, b: I64, first: I64) -> Iterator[tuple[I64, I64]]:
    for start in range(0, len(a), _PAIRS):
        left, right = a[start : start + _PAIRS], b[start : start + _PAIRS]
        apart = first[left] != first[right]
        if apart.any():
            yield left[apart], right[apart]


def unite(first: I64, a: I64, b: I64) -> None:
    """Unite the clusters of each pair, in place: hang roots under smaller roots, then shorten all paths."""
    while True:
        roots = first[a], first[b]
        low, high = np.minimum(*roots), np.maximum(*roots)
        if (low == high).all():
            return
        np.minimum.at(first, high, low)
        while not np.array_equal(up := first[first], first):
            first[:] = up


def near_duplicate_clusters(spool: Spool, *, threshold: float, size: int, workers: int) -> I64:
    """For each record in the spool the number, among the records, of the first one of its cluster."""
    index = NearDuplicates(threshold, size)

    def block_signatures(block: range) -> U32:
        return signatures(shingles(spool.block_texts(block), size))

    forked = workers if sys.platform == "linux" else 1  # only a forked process has the spool's file
    for rows in map_ordered(block_signatures, spool.blocks(), workers=forked):
        index.add(rows)
    return index.clusters(spool.texts, workers=forked)
