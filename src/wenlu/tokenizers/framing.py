"""What a tokenizer.json puts around a text: the tokens of its post-processor, as the `</s>` behind T5's sources."""

from __future__ import annotations

import json
from typing import Any

import tokenizers
from tokenizers import processors

_TEMPLATE = "TemplateProcessing"


def frame_of(inner: tokenizers.Tokenizer) -> tuple[list[int], list[int]]:
    """The ids before and behind every text."""
    encoding = inner.encode("a", add_special_tokens=True)
    added = [bool(mark) for mark in encoding.special_tokens_mask]
    begin = added.index(False) if False in added else len(added)
    end = len(added) - (added[::-1].index(False) if False in added else 0)
    return encoding.ids[:begin], encoding.ids[end:]


def pair_frame_of(inner: tokenizers.Tokenizer) -> tuple[list[int], list[int], list[int]]:
    """The ids before, between and behind two texts that are read as one."""
    encoding = inner.encode("a", "b", add_special_tokens=True)
    kinds: tuple[list[int], list[int], list[int]] = [], [], []
    part = 0
    for token_id, owner in zip(encoding.ids, encoding.sequence_ids, strict=True):
        if owner is None:
            kinds[part].append(token_id)
        else:
            part = owner + 1
    return kinds


def with_end(inner: tokenizers.Tokenizer, token: str) -> tokenizers.Tokenizer:
    """A copy that puts `token` behind every text, for programs that ask the tokenizer to."""
    copy = tokenizers.Tokenizer.from_str(inner.to_str())
    template = processors.TemplateProcessing(
        single=f"$A {token}",
        pair=f"$A {token} $B:1 {token}:1",
        special_tokens=[(token, inner.token_to_id(token))],
    )
    earlier = copy.post_processor
    copy.post_processor = template if earlier is None else processors.Sequence([earlier, template])
    return copy


def without_template(rules: dict[str, Any]) -> dict[str, Any]:
    """The content of a tokenizer.json without what `with_end` adds, which cuts no text."""
    found = rules.get("post_processor")
    match found:
        case {"type": "Sequence", "processors": [*parts]}:
            left = [part for part in parts if part["type"] != _TEMPLATE]
            if len(left) < len(parts):
                several = {"type": "Sequence", "processors": left} if left else None
                found = left[0] if len(left) == 1 else several
        case {"type": str(name)} if name == _TEMPLATE:
            found = None
    return {**rules, "post_processor": found}


def rules_of(inner: tokenizers.Tokenizer) -> dict[str, Any]:
    """What cuts a text into tokens; the library's reader of JSON may change the last bit of a score, which does not."""
    content: dict[str, Any] = json.loads(inner.to_str(), parse_float=lambda digits: f"{float(digits):.9g}")
    return without_template(content)
