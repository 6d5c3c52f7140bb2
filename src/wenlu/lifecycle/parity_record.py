"""`parity.json`: the verdict of the comparison that an artefact passed before it got its name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wenlu import __version__
from wenlu.rundir import atomic

if TYPE_CHECKING:
    from wenlu.lifecycle.parity import Parity

PARITY = "parity.json"


def write_parity(folder: Path, found: Parity, **facts: Any) -> None:
    """Write what was compared, with what, and the verdict; `facts` say how the artefact was made."""
    verdict = "passed" if found.equal else "accepted in spite of what failed"
    record = {"wenlu": __version__, **facts, "verdict": verdict, **found.to_json()}
    atomic.write_text(folder / PARITY, json.dumps(record, ensure_ascii=False, indent=2) + "\n")
