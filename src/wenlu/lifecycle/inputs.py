"""Whether a source may have changed since it was read: a cheap fingerprint, from names, sizes and times."""

from __future__ import annotations

import glob
import hashlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from wenlu.corpus.source import SourceSpec
from wenlu.corpus.sources import moses


def inputs_fingerprint(specs: Sequence[SourceSpec]) -> str:
    """Hash of what the sources name: of local files their path, size and time; of pinned ones their name."""
    digest = hashlib.blake2b(digest_size=16)
    for spec in specs:
        digest.update(spec.path.encode())
        if spec.path == "stdlib":
            digest.update(sys.version.encode())
        for path in _with_partners(_local_files(spec.path), spec):
            status = path.stat()
            digest.update(f"{path}|{status.st_size}|{status.st_mtime_ns}".encode())
    return digest.hexdigest()


def _with_partners(paths: Iterator[Path], spec: SourceSpec) -> Iterator[Path]:
    """With each file of a pair the one that the path does not name."""
    for path in paths:
        yield path
        if spec.kind == moses.KIND.name:
            partner = moses.other_side(path, spec)
            if partner.is_file():
                yield partner


def _local_files(text: str) -> Iterator[Path]:
    path = Path(text)
    if path.is_dir():
        yield from sorted(entry for entry in path.rglob("*") if entry.is_file())
    elif path.is_file():
        yield path
    elif glob.has_magic(text):
        yield from (Path(name) for name in sorted(glob.glob(text, recursive=True)) if Path(name).is_file())
