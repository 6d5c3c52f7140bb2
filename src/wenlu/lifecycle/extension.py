"""A base's tokenizer with tokens for another language, and what they save."""

from __future__ import annotations

import json
from collections.abc import Iterable
from itertools import islice

from wenlu.corpus.prepare import read_split, splits
from wenlu.lifecycle.life import Life
from wenlu.rundir import atomic
from wenlu.tokenizers import Tokenizer, extended

FILE = "extension.json"
MOST_MEASURED = 1000
"""Texts that fertility is measured on."""


def extended_for(life: Life, tokenizer: Tokenizer, texts: Iterable[str], count: int) -> Tokenizer:
    """The tokenizer with `count` tokens more; `extension.json` says how many tokens a character takes before and after,
    in the last part that is held out."""
    found = extended(tokenizer, texts, count, progress=life.progress)
    split = splits(life.root / "data")[-1]
    held_out = [record.text for record in islice(read_split(life.root / "data", split), MOST_MEASURED)]
    characters = max(1, sum(map(len, held_out)))
    before, after = (sum(map(len, each.encode_batch(held_out))) / characters for each in (tokenizer, found))
    told = {
        "added": count,
        "vocab_size": found.vocab_size,
        "split": split,
        "texts": len(held_out),
        "tokens_per_character_before": before,
        "tokens_per_character": after,
    }
    atomic.write_text(life.out / FILE, json.dumps(told, indent=2) + "\n")
    life.progress.start("fertility", unit="texts")
    life.progress.finish(f"{after:.3f} tokens a character in {split}, {before:.3f} before")
    return found
