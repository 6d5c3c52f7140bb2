"""Small files of conversations, in the layouts that have a reader of their own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from wenlu.corpus.sources import SourceSpec


def chitchat(texts: Sequence[str], folder: Path) -> SourceSpec:
    path = folder / "rows.json"
    said = [{"text": text, "sender": str(i % 2)} for i, text in enumerate(texts)]
    talks = {f"talk {i}": {"messages": [said[: i + 1]], "ratings": {"witty": "1"}} for i in range(len(texts))}
    path.write_text(json.dumps(talks))
    return SourceSpec(path=str(path), kind="chitchat", meta=("messages", "ratings"))


def chatterbot(texts: Sequence[str], folder: Path) -> SourceSpec:
    path = folder / "rows.yml"
    talks = "".join(f"- - {json.dumps(text)}\n  - Yes.\n" for text in texts if text)
    path.write_text(f"categories:\n- talk\nconversations:\n{talks}")
    return SourceSpec(path=str(path), kind="chatterbot", meta=("messages", "categories"))
