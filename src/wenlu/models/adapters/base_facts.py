"""Which base an adapter stands beside: what peft's files do not tell."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from wenlu.errors import WeightsError
from wenlu.models.weights.files import read_json
from wenlu.rundir.atomic import write_text

FILE = "adapter_base.json"
BITS = (16, 8, 4)


@dataclass(frozen=True)
class BaseFacts:
    """Attributes:
    base: what `load` takes. digest: of its weights, see `weights_digest`.
    bits: of its linear maps beside the adapter; 16: as they are.
    """

    base: str
    digest: str
    bits: int = 16

    def save(self, folder: Path) -> None:
        write_text(folder / FILE, json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n")

    def check(self, digest: str, folder: Path) -> None:
        """Raise WeightsError unless this is the digest of the base."""
        if digest != self.digest:
            raise WeightsError(
                f"{folder}: its adapter was trained beside {self.base} with weights {self.digest[:19]}…, and those "
                f"that are there are {digest[:19]}…; bring back the base as it was, or train the adapter again"
            )


def read_base(folder: Path) -> BaseFacts | None:
    """What Wenlu wrote; None beside an adapter of another program. Raises WeightsError."""
    path = folder / FILE
    if not path.is_file():
        return None
    content = read_json(path)
    found = {key: content.get(key) for key in ("base", "digest", "bits")}
    base, digest, bits = found.values()
    if not isinstance(base, str) or not isinstance(digest, str) or bits not in BITS or len(content) != len(found):
        raise WeightsError(f"{path}: should hold base, digest and bits (16, 8 or 4), found {content!r:.200}")
    return BaseFacts(base, digest, bits)
