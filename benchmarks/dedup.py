"""Near-deduplication of a million documents of 2.4 KB: speed, memory, recall and precision, beside datasketch.

    python benchmarks/dedup.py [--quick]      writes benchmarks/dedup.md (not with --quick)

Documents: the standard library's source in pieces of 2,400 characters (real), then generated ones, each of lines
drawn from that source. One document in five is a near-duplicate: an earlier one with up to a fifth of its lines
replaced. They are made while they are consumed; the time of making them is measured apart and taken off.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import resource
import sys
import sysconfig
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from itertools import combinations
from pathlib import Path

import datasketch
import numpy as np

from wenlu.corpus.near_duplicates import NUM_PERM, bands_for
from wenlu.corpus.record import Drop, Item, Record
from wenlu.corpus.shingles import jaccard, shingles
from wenlu.corpus.step import Workroom
from wenlu.corpus.steps.near_dedup import NearDedupConfig, build

THRESHOLD, SHINGLE = 0.8, 5
CHARACTERS = 2_400
FAMILIES_CHECKED = 50  # of the originals, one in so many


@dataclass
class Documents:
    """A stream of documents that can be repeated, and that remembers some families for checking.

    Attributes:
        seconds, cpu_seconds: spent on making documents in the last pass.
        families: checked original's number -> texts of it and its copies by number.
    """

    count: int
    seconds: float = 0.0
    families: dict[int, dict[int, str]] = field(default_factory=dict)
    cpu_seconds: float = 0.0

    def __post_init__(self) -> None:
        folder = Path(sysconfig.get_paths()["stdlib"])
        skipped = {"site-packages", "test", "tests", "encodings", "idlelib", "__pycache__"}
        files = [path for path in sorted(folder.rglob("*.py")) if not skipped & set(path.relative_to(folder).parts)]
        text = "".join(path.read_text(encoding="utf-8", errors="replace") for path in files)
        self.real = [text[i : i + CHARACTERS] for i in range(0, len(text) - CHARACTERS, CHARACTERS)]
        self.lines = sorted({line for line in text.split("\n") if 50 <= len(line) <= 90})

    def __iter__(self) -> Iterator[Item]:
        chance = random.Random(0)
        self.families, self.seconds, self.cpu_seconds = {}, 0.0, 0.0
        recent: list[tuple[int, list[str]]] = []
        started, cpu = time.perf_counter(), time.thread_time()
        for number in range(self.count):
            text, origin = self._document(number, chance, recent)
            if origin % FAMILIES_CHECKED == 0 or origin < len(self.real):
                self.families.setdefault(origin, {})[number] = text
            self.seconds += time.perf_counter() - started
            self.cpu_seconds += time.thread_time() - cpu
            yield Record(text, str(number))
            started, cpu = time.perf_counter(), time.thread_time()

    def _document(self, number: int, chance: random.Random, recent: list[tuple[int, list[str]]]) -> tuple[str, int]:
        """A text, and the number of the original that it is or copies."""
        if number < len(self.real):
            recent.append((number, self.real[number].split("\n")))
            return self.real[number], number
        if chance.random() < 0.2:
            origin, lines = recent[int(chance.random() * len(recent))]
            lines = [*lines]
            for _ in range(int(chance.random() * len(lines) / 5)):
                lines[int(chance.random() * len(lines))] = self.lines[int(chance.random() * len(self.lines))]
            return "\n".join(lines), origin
        lines = [self.lines[int(chance.random() * len(self.lines))] for _ in range(37)]
        if len(recent) < 20_000:
            recent.append((number, lines))
        else:
            recent[int(chance.random() * len(recent))] = (number, lines)
        return "\n".join(lines), number


@dataclass(frozen=True)
class Result:
    """One pass; `dropped` gives for each dropped document an earlier one that it is said to resemble.

    Attributes:
        cpu_seconds: of all processes, without those for making the documents.
        peak: resident bytes of the main process until now.
    """

    name: str
    documents: int
    seconds: float
    cpu_seconds: float
    dropped: dict[int, int]
    peak: int

    @property
    def speed(self) -> float:
        return self.documents / self.seconds


def ours(documents: Documents, workers: int) -> Result:
    step = build(NearDedupConfig(threshold=THRESHOLD, shingle=SHINGLE), Workroom(workers=workers))
    started, cpu = time.perf_counter(), sum(os.times()[:4])
    dropped = {
        int(item.record.id): int(item.record.meta["duplicate_of"]) for item in step(documents) if isinstance(item, Drop)
    }
    seconds = time.perf_counter() - started - documents.seconds
    cpu_seconds = sum(os.times()[:4]) - cpu - documents.cpu_seconds
    name = f"wenlu, {workers} worker{'s' * (workers > 1)}"
    return Result(name, documents.count, seconds, cpu_seconds, dropped, peak_bytes())


def theirs(documents: Documents) -> Result:
    """datasketch as its guide shows it: 5-word shingles, insert what has no earlier neighbour."""
    lsh = datasketch.MinHashLSH(threshold=THRESHOLD, num_perm=NUM_PERM)
    dropped = {}
    started, cpu = time.perf_counter(), sum(os.times()[:4])
    for item in documents:
        assert isinstance(item, Record), "documents are records"
        words = item.text.lower().split()
        sketch = datasketch.MinHash(NUM_PERM)
        sketch.update_batch([" ".join(words[i : i + SHINGLE]).encode() for i in range(len(words) - SHINGLE + 1)])
        neighbours = lsh.query(sketch)
        if neighbours:
            dropped[int(item.id)] = int(neighbours[0])
        else:
            lsh.insert(item.id, sketch)
    seconds = time.perf_counter() - started - documents.seconds
    cpu_seconds = sum(os.times()[:4]) - cpu - documents.cpu_seconds
    return Result("datasketch", documents.count, seconds, cpu_seconds, dropped, peak_bytes())


@dataclass(frozen=True)
class Score:
    recall: float
    precision: float
    expected: int


def score(documents: Documents, dropped: dict[int, int]) -> Score:
    """Against exact Jaccard: a document is to go if its cluster, within its family, has an earlier one.

    A document that goes without an earlier one in its family is rightly dropped only if it does resemble, exactly, the
    one that is named as its likeness.
    """
    texts = {number: text for family in documents.families.values() for number, text in family.items()}

    def similarity(one: int, other: int) -> float:
        found = shingles([texts[one], texts[other]], SHINGLE)
        return jaccard(np.unique(found[0]), np.unique(found[1]))

    right = wrong = missed = 0
    for family in documents.families.values():
        numbers = sorted(family)
        found = shingles([family[number] for number in numbers], SHINGLE)
        sets = [np.unique(found[i]) for i in range(len(found))]
        cluster = list(range(len(numbers)))
        for i, j in combinations(range(len(numbers)), 2):
            if jaccard(sets[i], sets[j]) >= THRESHOLD:
                low, high = sorted((cluster[i], cluster[j]))
                cluster = [low if name == high else name for name in cluster]
        for i, number in enumerate(numbers):
            if cluster[i] != i:
                right += number in dropped
                missed += number not in dropped
            elif number in dropped:
                like = dropped[number]
                resembles = like in texts and similarity(number, like) >= THRESHOLD
                right += resembles
                wrong += not resembles
    return Score(right / max(right + missed, 1), right / max(right + wrong, 1), right + missed)


def peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def hardware() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / 2**20
    return f"{model}, {sum(line.startswith('processor') for line in lines)} cores, {memory:.0f} GB"


def report(runs: list[tuple[Result, Score]], documents: Documents, start: int) -> str:
    load = " ".join(Path("/proc/loadavg").read_text().split()[:3])
    worker = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    bands, rows = bands_for(THRESHOLD)
    packages = ", ".join(f"{name} {version(name)}" for name in ("numpy", "rensa", "datasketch"))
    kept = sum(len(text) for family in documents.families.values() for text in family.values())
    table = [
        f"| {result.name} | {result.documents:,} | {result.speed:,.0f} | {result.documents / result.cpu_seconds:,.0f} "
        f"| {judged.recall:.4f} | {judged.precision:.4f} | {judged.expected:,} | {(result.peak - start) / 2**20:,.0f} |"
        for result, judged in runs
    ]
    return "\n".join([
        "# Near-deduplication", "",
        f"{datetime.now(UTC):%Y-%m-%d} · {hardware()} · load average at the end {load} (the machine was shared) · "
        f"Python {platform.python_version()}, {packages}", "",
        f"    python {' '.join(sys.argv)}", "",
        f"Documents of {CHARACTERS:,} characters: {len(documents.real):,} real pieces of the standard library, the "
        "rest generated from its lines; one in five a near-duplicate of an earlier one. They are streamed. Shingles of "
        f"{SHINGLE} words, {NUM_PERM} permutations, {bands} bands of {rows} rows, Jaccard threshold {THRESHOLD}; pairs "
        "whose estimate lies within three standard errors of it are compared exactly. Times are of the whole step, its "
        "temporary file included, without making the documents. Rows stand in the order of the runs.", "",
        "| | documents | documents/s (wall) | documents per CPU second, all processes | recall | precision "
        "| near-duplicates checked | peak so far, MB |",
        "|---|---|---|---|---|---|---|---|", *table, "",
        "Recall and precision of the dropped documents are against exact Jaccard, for all families (an original and "
        f"its copies) of real pieces and one family in {FAMILIES_CHECKED} of the others. Peak: resident memory of the "
        f"main process beyond the {start / 2**20:,.0f} MB before the first document; {kept / 2**20:,.0f} MB of it are "
        f"texts that the benchmark keeps for checking, and a million signatures take "
        f"{NUM_PERM * 4 * 10**6 / 2**20:,.0f} MB. The largest worker had {worker:,.0f} MB, shared with the main "
        "process, from which it was forked. "
        "datasketch cuts words at white space and compares nothing exactly.", "",
    ])  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the documents, nothing written")
    scale = 10 if parser.parse_args().quick else 1
    small, middle, whole = (Documents(count // scale) for count in (20_000, 100_000, 1_000_000))
    start = peak_bytes()
    runs = []
    for documents, run in (
        (small, theirs),
        (small, partial(ours, workers=1)),
        *[(middle, partial(ours, workers=workers)) for _ in range(3) for workers in (1, 2)],
        (whole, partial(ours, workers=2)),
    ):
        result = run(documents)
        runs.append((result, score(documents, result.dropped)))
        print(f"{result.name}: {result.documents:,} documents, {result.speed:,.0f}/s", flush=True)
    text = report(runs, whole, start)
    print(text)
    if scale == 1:
        Path(__file__).with_suffix(".md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
