"""Pictures a second: decoded and stored, read in batches, and made into pixel values.

    python benchmarks/pictures.py [--quick]      writes benchmarks/pictures.md (not with --quick)

Pictures: Noto emoji (PNG, 72 pixels or less), drawings of Open Clipart (SVG), both of pinned packages, and photographs
that are made up (JPEG of 1024 × 768 pixels, soft shapes under noise).
"""

from __future__ import annotations

import argparse
import io
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import version
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image

from wenlu.corpus.pictures.preprocessing import preprocess
from wenlu.corpus.pictures.processing import default_processing
from wenlu.corpus.pictures.store_writer import Working, write_pictures
from wenlu.corpus.record import Record
from wenlu.corpus.sources import SourceSpec, open_source

SIDE, BATCH = 64, 64
EMOJI = SourceSpec(path="package:emoji-datasource-google/emoji.json", kind="emoji")
DRAWINGS = SourceSpec(path="package:openclipart-svg/usr/share/openclipart/svg", kind="pictures")
REPEATS = 3


def photographs(folder: Path, count: int) -> Iterator[Record]:
    rows, columns = np.mgrid[:768, :1024]
    generator = np.random.default_rng(0)
    for number in range(count):
        waves = [127 + 100 * np.sin(rows / (50 + number % 9) + i) * np.cos(columns / 70) for i in range(3)]
        pixels = np.stack(waves, axis=-1) + generator.integers(-20, 21, (768, 1024, 3))
        stream = io.BytesIO()
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(stream, "JPEG", quality=90)
        path = folder / f"{number}.jpg"
        path.write_bytes(stream.getvalue())
        yield Record("", path.name, {"picture": str(path), "picture_sha256": sha256(stream.getvalue()).hexdigest()})


def listed(spec: SourceSpec, count: int) -> list[Record]:
    found = (item for item in open_source(spec) if isinstance(item, Record))
    return list(islice(found, count))


def rate(count: int, seconds: list[float]) -> str:
    rates = sorted(count / second for second in seconds)
    return f"{rates[len(rates) // 2]:,.0f} ({rates[0]:,.0f} to {rates[-1]:,.0f})"


def store(records: list[Record], out: Path, workers: int) -> list[float]:
    seconds = []
    for _ in range(REPEATS):
        shutil.rmtree(out, ignore_errors=True)
        started = time.perf_counter()
        write_pictures(records, out, Working(SIDE, square=True), workers=workers, max_bad_fraction=0.2)
        seconds.append(time.perf_counter() - started)
    return seconds


def measured(quick: bool) -> Iterator[str]:
    count = 200 if quick else 2000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sets = {
            "emoji, PNG": listed(EMOJI, count),
            "drawings, SVG": listed(DRAWINGS, count // 4),
            "photographs, JPEG 1024 × 768": list(photographs(folder, count // 10)),
        }
        for kind, records in sets.items():
            for workers in (1, 2):
                found = rate(len(records), store(records, folder / "out", workers))
                yield f"| decode and store at {SIDE} × {SIDE}: {kind} | {workers} | {found} |"
        data = write_pictures(sets["emoji, PNG"], folder / "out", Working(SIDE, square=True), max_bad_fraction=0.2)
        order = np.random.default_rng(0).permutation(len(data))
        batches = [order[start : start + BATCH].tolist() for start in range(0, len(order), BATCH)]
        seconds = []
        for _ in range(REPEATS):
            started = time.perf_counter()
            for rows in batches:
                data.batch(rows)
            seconds.append(time.perf_counter() - started)
        yield f"| read in shuffled batches of {BATCH}, checksums compared | 1 | {rate(len(data), seconds)} |"
        photograph = np.array(Image.open(folder / "0.jpg"))
        for kind in ("CLIP", "Siglip", "SmolVLM"):
            processing = default_processing(kind)
            seconds = []
            for _ in range(REPEATS * 5):
                started = time.perf_counter()
                preprocess(photograph, processing)
                seconds.append(time.perf_counter() - started)
            yield f"| pixel values of a photograph for {kind} as it is by default | 1 | {rate(1, seconds)} |"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    facts = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    cpu = next((line.split(":")[1].strip() for line in facts if line.startswith("model name")), "?")
    lines = [
        "# Pictures a second\n",
        f"{datetime.now(UTC):%Y-%m-%d} · {cpu}, {os.cpu_count()} cores · Python {platform.python_version()}, Pillow "
        f"{version('pillow')}, resvg-py {version('resvg-py')} · `python benchmarks/pictures.py` · median of {REPEATS} "
        "runs (lowest to highest); load of the machine before: " + f"{os.getloadavg()[0]:.1f}\n",
        "| what | processes | pictures a second |",
        "|---|---:|---:|",
        *measured(quick),
    ]
    text = "\n".join(lines) + "\n"
    if quick:
        sys.stdout.write(text)
    else:
        Path(__file__).with_suffix(".md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
