"""A hub id, package, address or path becomes a local path, digests verified; offline once present."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from wenlu.errors import DataError
from wenlu.hub.cache import cache_folder, sha256_of
from wenlu.hub.download import resolve_address
from wenlu.hub.fetched import Fetched, Resolved
from wenlu.hub.huggingface import PREFIX as _HUB
from wenlu.hub.huggingface import is_hub_id, resolve_hub_id
from wenlu.hub.manifest import PACKAGES, Package, Restriction
from wenlu.hub.package import PREFIX as _PACKAGE
from wenlu.hub.package import resolve_package


def resolve(
    text: str,
    *,
    kind: Literal["model", "dataset"] = "dataset",
    sha256: str | None = None,
    accept_terms: bool = False,
) -> Resolved:
    """The local path of a file or folder, `package:NAME/inner/path`, `https://…`, or hub id `[hf:]ORGANISATION/NAME`.

    What exists here comes first: a folder `ORGANISATION/NAME` hides the hub id of that name.

    Args:
        kind: what a hub id names; a model is also what a package without an inner path stands for then.
        sha256: expected digest, of a file only.

    Raises:
        UsageError: the text names nothing that could be fetched.
        DataError: no such path, or a digest that differs.
        ResourceError: it cannot be fetched.
    """
    if text.startswith(_PACKAGE):
        resolved = resolve_package(text, kind=kind, accept_terms=accept_terms)
    elif text.startswith(("https://", "http://")):
        return resolve_address(text, sha256=sha256)
    elif text.startswith(_HUB):
        resolved = resolve_hub_id(text, kind=kind)
    else:
        resolved = _resolve_path(text, kind=kind)
    if sha256 is not None:
        _check_digest(text, resolved.path, sha256)
    return resolved


def package_file(name: str, inner: str, *, accept_terms: bool = False) -> Path:
    """The local path of a file or folder inside the pinned package `name`; the errors are `resolve`'s."""
    return resolve_package(f"{_PACKAGE}{name}/{inner}", accept_terms=accept_terms).path


def _resolve_path(text: str, *, kind: Literal["model", "dataset"]) -> Resolved:
    path = Path(text).expanduser()
    try:
        if path.exists():
            return Resolved(path)
        if is_hub_id(text) and not path.parent.exists() and "." not in path.name:
            return resolve_hub_id(text, kind=kind)
        nearest = next((parent for parent in path.parents if parent.is_dir()), Path())
        names = sorted(entry.name for entry in nearest.iterdir())
    except PermissionError as error:
        raise DataError(
            f"{text}: no permission to look at {error.filename}; try chmod u+rx, or another user"
        ) from error
    except (OSError, ValueError) as error:
        raise DataError(f"{text}: not a path that could exist ({error})") from error
    listing = ", ".join(names[:10]) + (", …" if len(names) > 10 else "")
    raise DataError(f"{text}: no such file or folder; in {nearest} there is {listing or 'nothing'}")


def _check_digest(text: str, path: Path, expected: str) -> None:
    if path.is_dir():
        raise DataError(f"{text}: is a folder, and a sha256 belongs to one file; leave sha256 out")
    try:
        found = sha256_of(path)
    except OSError as error:
        raise DataError(f"{text}: cannot be read ({error.strerror})") from error
    if found != expected:
        raise DataError(f"{text}: its sha256 is {found}, not the expected {expected}")


__all__ = ["PACKAGES", "Fetched", "Package", "Resolved", "Restriction", "cache_folder", "package_file", "resolve"]
