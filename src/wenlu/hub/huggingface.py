"""Take a snapshot of a model or data set from a Hugging Face hub; from its local copy once it is whole."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Literal

from wenlu.errors import MissingExtra, ResourceError, UsageError
from wenlu.hub.cache import cache_folder, publish, read_record, scratch_folder, sha256_of, verify, write_record
from wenlu.hub.fetched import Fetched, Resolved

PREFIX = "hf:"
REFUSED = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.pickle", "*.ckpt", "*.joblib", "*.h5", "*.msgpack", "*.py")
"""Never fetched: pickles, code, and weights in formats that Wenlu does not read."""

_ID = re.compile(r"([A-Za-z0-9][\w.\-]*/[A-Za-z0-9][\w.\-]*)(?:@([\w.\-/]+))?")


def is_hub_id(text: str) -> bool:
    """Whether `text` has the form ORGANISATION/NAME[@REVISION]."""
    return _ID.fullmatch(text) is not None


def resolve_hub_id(text: str, *, kind: Literal["model", "dataset"]) -> Resolved:
    """The local snapshot of `[hf:]ORGANISATION/NAME[@REVISION]`; `HF_ENDPOINT` and `HF_HOME` hold.

    Raises:
        UsageError: not an id.
        MissingExtra: huggingface_hub is not installed.
        ResourceError: not in the local cache, and the hub cannot be reached or refuses.
        DataError: a file changed since it was fetched.
    """
    match = _ID.fullmatch(text.removeprefix(PREFIX))
    if match is None:
        raise UsageError(f"{text}: not a hub id; write hf:ORGANISATION/NAME or hf:ORGANISATION/NAME@REVISION")
    repo, revision = match[1], match[2]
    mark = cache_folder() / "huggingface" / hashlib.sha256(f"{kind} {repo} {revision}".encode()).hexdigest()[:24]
    record = read_record(mark)
    if record is None or not Path(record["snapshot"]).is_dir():
        snapshot = _download(repo, revision, kind)
        digests = {
            path.relative_to(snapshot).as_posix(): sha256_of(path)
            for path in sorted(snapshot.rglob("*"))
            if path.is_file()
        }
        whole = hashlib.sha256("".join(f"{digest} {name}\n" for name, digest in digests.items()).encode()).hexdigest()
        facts = {"source": f"{PREFIX}{repo}", "version": snapshot.name, "sha256": whole, "snapshot": str(snapshot)}
        with scratch_folder() as scratch:
            new = scratch / "mark"
            new.mkdir()
            write_record(new, facts, digests)
            publish(new, mark)
        record = {**facts, "files": digests}
    path = Path(record["snapshot"])
    verify(path, record["files"], folder=mark)
    return Resolved(path, Fetched(f"{PREFIX}{repo}", record["version"], record["sha256"], "not stated", path))


def _download(repo: str, revision: str | None, kind: str) -> Path:
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import (
            GatedRepoError,
            HfHubHTTPError,
            LocalEntryNotFoundError,
            RepositoryNotFoundError,
            RevisionNotFoundError,
        )
    except ModuleNotFoundError as error:
        raise MissingExtra("huggingface_hub", extra="data", purpose=f"fetch {PREFIX}{repo}") from error
    try:
        return Path(
            snapshot_download(
                repo,
                repo_type=kind,
                revision=revision,
                endpoint=os.environ.get("HF_ENDPOINT"),
                ignore_patterns=list(REFUSED),
            )
        )
    except GatedRepoError as error:
        raise ResourceError(
            f"{PREFIX}{repo}: its owner asks you to accept terms; do so on its page, then log in"
        ) from error
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        at = f" at revision {revision}" if revision else ""
        raise ResourceError(f"{PREFIX}{repo}: the hub knows no such {kind}{at}; is the name right?") from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        said = str(error).strip().splitlines()
        raise ResourceError(
            f"{PREFIX}{repo}: not in the local cache, and the hub cannot be reached "
            f"({said[0] if said else type(error).__name__}). "
            "Is this machine online? HF_ENDPOINT names another hub; or copy the folder here and give its path"
        ) from error
