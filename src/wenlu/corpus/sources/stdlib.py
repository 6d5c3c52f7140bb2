"""The running interpreter's own library: text that every machine has.

Left out are tests; `encodings/`, whose 82 modules are near-duplicates of each other; demonstrations and the editor
IDLE; what is installed beside the library; and modules generated for one machine.
"""

from __future__ import annotations

import sysconfig
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from wenlu.corpus.source import FolderKind, SourceSpec
from wenlu.corpus.sources.folder import files_below
from wenlu.errors import DataError

NAME = "stdlib"

_LEFT_OUT = {
    *("test", "tests", "idle_test", "_pyrepl_test"),
    *("encodings", "idlelib", "turtledemo"),
    *("site-packages", "dist-packages", "ensurepip", "lib-dynload"),
}


def stdlib_folder() -> Path:
    folder = Path(sysconfig.get_path("stdlib"))
    if not (folder / "os.py").is_file():
        raise DataError(
            f"{folder}: this interpreter carries no source of its library; name a folder of .py files instead"
        )
    return folder


def _claims(folder: Path) -> bool:  # noqa: ARG001 (only the word `stdlib` asks for it)
    return False


def _files(folder: Path, spec: SourceSpec) -> Iterator[PurePosixPath]:  # noqa: ARG001 (the library has no settings)
    for path in files_below(folder):
        if path.suffix != ".py" or _LEFT_OUT.intersection(path.parts[:-1]):
            continue
        if path.parts[0].startswith("config-") or path.name.startswith("_sysconfigdata"):
            continue
        yield path


KIND = FolderKind("stdlib", _claims, _files)
