"""Whether tokenizer and chat template are whole, know the text, and stay the same where the model is served."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from wenlu.errors import DataError
from wenlu.tokenizers import Tokenizer
from wenlu.training.checks.finding import Finding, graded

UNKNOWN_WARNS, UNKNOWN_FAILS = 0.01, 0.05
BYTES_WARN = 0.05
_BYTE = re.compile(r"<0x[0-9A-F]{2}>")
_MARK = re.compile(r"<\|[^|<>\s]{1,40}\|>|<(?:start|end)_of_turn>|\[/?INST\]|</?s>")
PROBE = [
    {"role": "user", "content": "Which way to the old mill? 怎么走？"},
    {"role": "assistant", "content": "Along the river."},
    {"role": "user", "content": "Thanks!"},
]


def coverage(tokenizer: Tokenizer, texts: Sequence[str]) -> Finding:
    """Which share of the characters the vocabulary does not know, and which it can only spell in bytes."""
    total = unknown = spelt = 0
    bytes_of = {token for token in range(tokenizer.vocab_size) if _is_byte(tokenizer, token)}
    for text, spanned in zip(texts, tokenizer.encode_spans(texts), strict=True):
        total += sum(not char.isspace() for char in text)
        known: set[int] = set()
        in_bytes: set[int] = set()
        for token, (start, end) in zip(spanned.ids, spanned.spans, strict=True):
            if token != tokenizer.unk_id:
                known.update(range(start, end))
            if token in bytes_of:
                in_bytes.update(range(start, end))
        unknown += sum(place not in known and not char.isspace() for place, char in enumerate(text))
        spelt += sum(not text[place].isspace() for place in in_bytes if place < len(text))
    share, in_bytes_share = unknown / max(1, total), spelt / max(1, total)
    said = f"{share:.2%} of {total:,} characters are unknown to the vocabulary"
    if spelt:
        said += f", and {in_bytes_share:.2%} are spelt in bytes"
    numbers = {"unknown": share, "bytes": in_bytes_share}
    verdict = graded(share, warn=UNKNOWN_WARNS, fail=UNKNOWN_FAILS)
    fix = (
        "Train the tokenizer on text like this, with tokenizer.kind=bpe, which knows every character, or a larger one."
    )
    if verdict == "pass" and in_bytes_share >= BYTES_WARN:
        return Finding("vocabulary", "warning", said, fix, numbers)
    return Finding("vocabulary", verdict, said, fix if verdict != "pass" else "", numbers)


def _is_byte(tokenizer: Tokenizer, token: int) -> bool:
    try:
        return _BYTE.fullmatch(tokenizer.token(token)) is not None
    except DataError:  # a number that no token has
        return False


def pad_token(tokenizer: Tokenizer, *, pads: bool, is_base: bool) -> Finding:
    """Whether there is a token for padding, where rows of different lengths need one."""
    if tokenizer.pad_id is not None:
        name = tokenizer.token(tokenizer.pad_id)
        return Finding("pad-token", "pass", f"rows are padded with {name!r}")
    if not pads:
        return Finding("pad-token", "pass", "no padding token, and rows of one length need none")
    fix = "Name a padding token, as pad_token of the tokenizer or of the base: others pad with real tokens."
    return Finding("pad-token", "warning" if is_base else "failure", "the tokenizer has no token for padding", fix)


def end_token(tokenizer: Tokenizer, *, writes: bool) -> list[Finding]:
    """Whether a model that writes can learn where to stop."""
    if not writes or tokenizer.eos_id is not None:
        return []
    fix = "Name the token that ends a text as eos_token of the tokenizer."
    return [Finding("end-is-trained", "failure", "the tokenizer has no token that ends a text", fix)]


def special_tokens(tokenizer: Tokenizer, needed: Sequence[str], vocab_size: int) -> Finding:
    """Whether each special token is one id that the model knows, also those that the chat template writes."""
    missing = [token for token in needed if token not in tokenizer.special_tokens]
    split = sorted({*missing, *_split_marks(tokenizer)})
    if split:
        said = f"{', '.join(map(repr, split[:5]))} is cut into several tokens like common text"
        fix = "Add it to tokenizer.extra_special_tokens, or take the tokenizer that belongs to the template."
        return Finding("special-tokens", "failure", said, fix, {"split": len(split)})
    if tokenizer.vocab_size > vocab_size:
        said = f"the tokenizer has {tokenizer.vocab_size:,} ids and the model {vocab_size:,}"
        fix = "Take the tokenizer that belongs to the model, or give the model as many tokens."
        return Finding("special-tokens", "failure", said, fix)
    return Finding("special-tokens", "pass", f"{len(tokenizer.special_tokens)} special tokens, each of them one id")


def _split_marks(tokenizer: Tokenizer) -> list[str]:
    if tokenizer.chat_template is None:
        return []
    pieces = tokenizer.chat_template.pieces(PROBE)
    return [mark for piece in pieces if not piece.special for mark in _MARK.findall(piece.text)]


def served_tokenizer(trained: Tokenizer, served: Tokenizer, texts: Sequence[str]) -> Finding:
    """Whether the tokenizer that is saved beside the model cuts texts, once it is loaded again, as training did."""
    with tempfile.TemporaryDirectory() as folder:
        served.save(Path(folder))
        again = Tokenizer.load(Path(folder))
    ids, others = trained.encode_batch(texts), again.encode_batch(texts)
    wrong = sum(a != b for a, b in zip(ids, others, strict=True))
    roles = ("bos_id", "eos_id", "pad_id", "unk_id")
    moved = [role for role in roles if getattr(trained, role) != getattr(again, role)]
    if wrong or moved or dict(trained.special_tokens) != dict(again.special_tokens):
        said = f"{wrong:,} of {len(texts):,} texts get other ids once the tokenizer is saved and loaded"
        said += f"; other ids too: {', '.join(moved)}" if moved else ""
        fix = "Train with the tokenizer that is saved beside the model: as it is, it would be served with another one."
        return Finding("tokenizer", "failure", said, fix, {"texts": wrong})
    kept = sum(trained.decode(own) == text for own, text in zip(ids, texts, strict=True))
    said = f"{len(texts):,} texts get the same ids once it is saved and loaded; {kept:,} are restored exactly"
    return Finding("tokenizer", "pass", said, numbers={"restored": kept / max(1, len(texts))})


def chat_template(trained: Tokenizer, served: Tokenizer, base: Tokenizer | None) -> list[Finding]:
    """Whether conversations are written alike in training, where the model is served, and by its base."""
    if trained.chat_template is None and served.chat_template is None:
        return []
    ours, theirs = _written(trained), _written(served)
    if ours != theirs:
        said = f"training writes {_short(trained, ours)}, and who serves the model {_short(served, theirs)}"
        fix = "Train with the chat template that is saved beside the model."
        return [Finding("chat-template", "failure", said, fix)]
    known = None if base is None or base.chat_template is None else _written(base)
    if base is not None and known is not None and known != ours:
        said = f"training writes {_short(trained, ours)}, and the base was taught {_short(base, known)}"
        fix = "Take the base's own chat template; another one makes it forget how to answer."
        return [Finding("chat-template", "failure", said, fix)]
    where = "where it is served" if known is None else "where it is served, and by the base"
    return [Finding("chat-template", "pass", f"conversations are written alike in training and {where}")]


def _written(tokenizer: Tokenizer) -> list[int] | None:
    return None if tokenizer.chat_template is None else tokenizer.apply_chat_template(PROBE)


def _short(tokenizer: Tokenizer, ids: list[int] | None) -> str:
    return "no template" if ids is None else repr(tokenizer.decode(ids, skip_special=False)[:60])
