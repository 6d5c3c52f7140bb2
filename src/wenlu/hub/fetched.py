"""What resolving gives back: a local path, and where it came from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Fetched:
    """Where something that was fetched came from, for a run's provenance.

    Attributes:
        source: `package:NAME/inner/path`, an address, or `hf:ORGANISATION/NAME`.
        version: of the package; a hub's commit; empty for an address.
        sha256: of the archive or file as it was published; of a hub snapshot, of its list of digests.
        licence: "not stated" where none is known.
    """

    source: str
    version: str
    sha256: str
    licence: str
    path: Path


@dataclass(frozen=True)
class Resolved:
    """A local path, and what was fetched for it; None where it was the user's own."""

    path: Path
    fetched: Fetched | None = None
