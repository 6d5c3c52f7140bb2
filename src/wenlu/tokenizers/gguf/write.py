"""The metadata of a GGUF header that describes a tokenizer: the inverse of `read`."""

from __future__ import annotations

from typing import Any

from tokenizers import models

from wenlu.errors import WeightsError
from wenlu.tokenizers.gguf.cuts import CUTS, Cut, cut_like, rules_of
from wenlu.tokenizers.gguf.read import SPACE, TEMPLATE
from wenlu.tokenizers.gguf.sentencepiece import scores_of
from wenlu.tokenizers.gguf.vocabulary import PREFIX, ROLE_KEYS, TokenType
from wenlu.tokenizers.tokenizer import Tokenizer

Metadata = dict[str, Any]
_BYTE_TOKENS = frozenset(f"<0x{byte:02X}>" for byte in range(256))


def metadata_of(tokenizer: Tokenizer, *, vocab_size: int, chat_template: str | None = None) -> Metadata:
    """What `tokenizer_of` reads, filled up with unused tokens to the model's `vocab_size`.

    Args:
        chat_template: in place of the tokenizer's own.

    Raises:
        WeightsError: GGUF has no form for such a tokenizer.
    """
    document = tokenizer.document
    if document["model"]["type"] != "BPE":
        raise WeightsError(
            f"a {document['model']['type']} tokenizer has no form in GGUF that Wenlu writes; byte-level BPE and "
            "SentencePiece's BPE have one (tokenizer.kind = 'bpe')"
        )
    tokens = _tokens(document, vocab_size)
    types = _types(document, tokens)
    if document["model"].get("byte_fallback"):
        metadata = _sentencepiece(document, tokens, types)
    else:
        metadata = _byte_level(document, tokens)
    metadata[f"{PREFIX}token_type"] = types
    ids = {token: number for number, token in enumerate(tokens)}
    for role, key in ROLE_KEYS.items():
        token = getattr(tokenizer.roles, role)
        if token is not None:
            metadata[key] = ids[token]
    metadata[f"{PREFIX}add_bos_token"] = bool(tokenizer.opening)
    metadata[f"{PREFIX}add_eos_token"] = bool(tokenizer.settings.config.get("add_eos_token", False))
    template = chat_template or tokenizer.settings.template
    return metadata if template is None else {**metadata, TEMPLATE: template}


def _tokens(document: Metadata, vocab_size: int) -> list[str]:
    ids = dict(document["model"]["vocab"])
    ids.update({token["content"]: token["id"] for token in document["added_tokens"]})
    by_id = {number: token for token, number in ids.items()}
    if max(by_id) >= vocab_size:
        raise WeightsError(f"the tokenizer has {max(by_id) + 1:,} tokens, but the model only {vocab_size:,}")
    return [by_id.get(number, f"[PAD{number}]") for number in range(vocab_size)]


def _types(document: Metadata, tokens: list[str]) -> list[int]:
    vocabulary = document["model"]["vocab"]
    added = {token["content"]: token["special"] for token in document["added_tokens"]}
    unknown = document["model"].get("unk_token")
    spelt_in_bytes = document["model"].get("byte_fallback", False)

    def type_of(token: str) -> TokenType:
        if token == unknown:
            return TokenType.UNKNOWN
        if token in added:
            return TokenType.CONTROL if added[token] else TokenType.USER_DEFINED
        if spelt_in_bytes and token in _BYTE_TOKENS:
            return TokenType.BYTE
        return TokenType.NORMAL if token in vocabulary else TokenType.UNUSED

    return [int(type_of(token)) for token in tokens]


def _byte_level(document: Metadata, tokens: list[str]) -> Metadata:
    return {
        f"{PREFIX}model": "gpt2",
        f"{PREFIX}pre": _cut_of(document).names[0],
        f"{PREFIX}tokens": tokens,
        f"{PREFIX}merges": [f"{left} {right}" for left, right in document["model"]["merges"]],
    }


def _cut_of(document: Metadata) -> Cut:
    found = cut_like(document)
    if found is None:
        names = ", ".join(cut.names[0] for cut in CUTS)
        raise WeightsError(f"the tokenizer cuts text in a way that GGUF has no name for; it has: {names}")
    if found.whole and not document["model"].get("ignore_merges") and not _merges_reach_every_token(document):
        raise WeightsError(
            f"the tokenizer has tokens that its merges do not reach; {found.names[0]!r}, the name of its way to cut "
            "text, would use them"
        )
    return found


def _merges_reach_every_token(document: Metadata) -> bool:
    vocabulary = document["model"]["vocab"]
    model = models.BPE(vocabulary, [(left, right) for left, right in document["model"]["merges"]])
    added = {token["content"] for token in document["added_tokens"]}
    return all(len(model.tokenize(token)) == 1 for token in vocabulary if token not in added)


def _sentencepiece(document: Metadata, tokens: list[str], types: list[int]) -> Metadata:
    normal, cuts = rules_of(document)
    prefixed = any(step["type"] == "Prepend" for step in normal) or any(
        step["type"] == "Metaspace" and step.get("prepend_scheme") != "never" for step in cuts
    )
    spaces = [step for step in normal if step == {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}]
    known = {"Prepend", "Replace", "Metaspace"}
    if {step["type"] for step in (*normal, *cuts)} - known or not (spaces or cuts):
        raise WeightsError("the tokenizer changes or cuts text in a way that SentencePiece's form in GGUF has not")
    pieces = [token for token, kind in zip(tokens, types, strict=True) if kind == TokenType.NORMAL]
    scores = scores_of(pieces, [(left, right) for left, right in document["model"]["merges"]], "the tokenizer")
    return {
        f"{PREFIX}model": "llama",
        f"{PREFIX}pre": "default",
        f"{PREFIX}tokens": tokens,
        f"{PREFIX}scores": [scores.get(token, 0.0) for token in tokens],
        f"{PREFIX}add_space_prefix": prefixed,
    }
