"""The source of an encoder–decoder: a text as its training, or its tokenizer, frames it."""

from __future__ import annotations

from collections.abc import Sequence

from wenlu.bundle import Bundle
from wenlu.tasks.corruption.seq2seq import Seq2SeqObjective


def source_ids(bundle: Bundle, text: str) -> list[int]:
    """Ids of a source; gaps such as `<extra_id_0>` and masks in `text` are one token each."""
    return frame_source(bundle, bundle.tokenizer.encode_marked(text))


def frame_source(bundle: Bundle, ids: Sequence[int]) -> list[int]:
    """`ids` between what stands around a source: the end that objectives of this toolkit put behind it, or what
    tokenizer.json says."""
    before, behind = bundle.tokenizer.frame
    end = bundle.tokenizer.eos_id
    if isinstance(bundle.task, Seq2SeqObjective) and end is not None:
        before, behind = [], [end]
    return [*before, *ids, *behind]
