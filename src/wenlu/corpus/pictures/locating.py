"""Say of each record that is read where its picture is, and of which bytes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from wenlu.corpus.pictures.picture import BadPicture, PictureLimits
from wenlu.corpus.pictures.reference import DATA, DIGEST, PICTURE, beside, read_bytes
from wenlu.corpus.record import Record
from wenlu.corpus.source import Bad, Read

_MAX_BYTES = PictureLimits().max_bytes


def file_reference(root: Path, source: str, path: Path, relative: PurePosixPath) -> str:
    """The reference to a file of a source: by its package, if `source` names one, or its path."""
    if not source.startswith("package:"):
        return str(path)
    return source if path == root else f"{source.rstrip('/')}/{relative}"


def located(items: Iterable[Read], file: str, within: Path | None = None) -> Iterator[Read]:
    """Records of the file at the reference `file`, their pictures told from where it is; bad where one is not there.

    Args:
        within: a folder that was fetched, whose tables may name files of their own alone.
    """
    for item in items:
        if not isinstance(item, Record) or PICTURE not in item.meta:
            yield item
            continue
        try:
            yield replace(item, meta=_told(item.meta, file, within))
        except BadPicture as bad:
            yield Bad(item.id, bad.reason, bad.detail)


def _told(meta: Mapping[str, str], file: str, within: Path | None) -> dict[str, str]:
    where = meta[PICTURE]
    if DIGEST in meta:  # in the file itself
        return {**meta, PICTURE: f"{file}{where}"}
    reference = beside(file, where)
    is_file = not reference.startswith(DATA)
    if is_file and within is not None and not Path(os.path.normpath(reference)).is_relative_to(within):
        raise BadPicture("picture outside its dataset", f"{where!r} of {file}")
    return {**meta, PICTURE: reference, DIGEST: hashlib.sha256(read_bytes(reference, _MAX_BYTES)).hexdigest()}
