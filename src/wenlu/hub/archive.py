"""Unpack a published archive safely: regular files only, inside the target, within caps; nothing is executed."""

from __future__ import annotations

import hashlib
import subprocess
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from wenlu.errors import DataError, UsageError

MAX_BYTES = 4 * 2**30
MAX_FILES = 200_000
MAX_EXPANSION = 200
"""Unpacked bytes for each packed one; text packs 3 to 10 times smaller, a decompression bomb a thousand times."""

_CHUNK = 1 << 20

Member = tuple[str, IO[bytes]]


def is_archive(name: str) -> bool:
    """Whether `unpack` reads such a file, to judge by its name."""
    return name.endswith((".tar.gz", ".tgz", ".zip", ".whl", ".deb"))


def unpack(archive: Path, target: Path) -> dict[str, str]:
    """Write the archive's regular files below `target`; their sha256 by path.

    The one top folder of an sdist or npm archive is left off. Links and devices are skipped.

    Raises:
        DataError: a path that leaves the target, a cap exceeded, or a damaged archive.
    """
    budget = min(MAX_BYTES, max(2**20, archive.stat().st_size * MAX_EXPANSION))
    digests: dict[str, str] = {}
    try:
        with _members(archive) as members:
            for name, stream in members:
                inner = _safe(name, archive)
                path = target / inner
                path.parent.mkdir(parents=True, exist_ok=True)
                digest, size = _copy(stream, path, budget, archive)
                budget -= size
                digests[str(inner)] = digest
                if len(digests) > MAX_FILES:
                    raise DataError(f"{archive.name}: more than {MAX_FILES} files; it is refused")
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError) as error:
        raise DataError(f"{archive.name}: damaged archive ({error}); fetch it again") from error
    return digests


def _copy(stream: IO[bytes], path: Path, budget: int, archive: Path) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    with path.open("wb") as out:
        while chunk := stream.read(_CHUNK):
            size += len(chunk)
            if size > budget:
                raise DataError(
                    f"{archive.name}: unpacks to more than {MAX_EXPANSION} times its size or {MAX_BYTES >> 30} GiB, "
                    f"at {path.name}; it is refused as a decompression bomb"
                )
            digest.update(chunk)
            out.write(chunk)
    return digest.hexdigest(), size


def _safe(name: str, archive: Path) -> PurePosixPath:
    path = PurePosixPath(name)
    outside = not path.parts or path.is_absolute() or ".." in path.parts
    if outside or ":" in path.parts[0] or "\\" in name or "\0" in name:
        raise DataError(f"{archive.name}: the path {name!r} leads out of the archive; it is refused")
    return path


@contextmanager
def _members(archive: Path) -> Iterator[Iterator[Member]]:
    if archive.suffix == ".deb":
        with _deb_tar(archive) as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
            yield _tar_members(tar, strip_top=False)
    elif archive.suffix in (".whl", ".zip"):
        with zipfile.ZipFile(archive) as wheel:
            yield _zip_members(wheel)
    else:
        with tarfile.open(archive, mode="r|gz") as tar:
            yield _tar_members(tar, strip_top=True)


def _zip_members(wheel: zipfile.ZipFile) -> Iterator[Member]:
    for info in wheel.infolist():
        kind = (info.external_attr >> 16) & 0o170000
        if info.is_dir() or kind not in (0, 0o100000):
            continue
        with wheel.open(info) as stream:
            yield info.filename, stream


def _tar_members(tar: tarfile.TarFile, *, strip_top: bool) -> Iterator[Member]:
    for info in tar:
        if not info.isreg():
            continue
        name = info.name.removeprefix("./")
        if strip_top and not name.startswith("/"):
            name = name.partition("/")[2] or name
        stream = tar.extractfile(info)
        assert stream is not None, f"regular file {info.name} without content"
        yield name, stream


@contextmanager
def _deb_tar(archive: Path) -> Iterator[IO[bytes]]:
    """The file tree of a Debian package as a tar stream; dpkg-deb decompresses and runs none of its scripts."""
    try:
        process = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(archive)], stdout=subprocess.PIPE)
    except FileNotFoundError as error:
        raise UsageError(f"dpkg-deb is needed to unpack {archive.name}; it is part of Debian's dpkg") from error
    assert process.stdout is not None, "stdout is a pipe"
    with process.stdout as stream:
        yield stream
        while stream.read(_CHUNK):
            pass
    if process.wait() != 0:
        raise DataError(f"{archive.name}: dpkg-deb cannot read it; fetch it again")
