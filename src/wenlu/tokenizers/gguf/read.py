"""A tokenizer out of a GGUF header: byte-level BPE ("gpt2") and SentencePiece's BPE ("llama")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tokenizers import AddedToken, decoders, models, normalizers
from tokenizers import Tokenizer as Inner

from wenlu.config import did_you_mean
from wenlu.errors import WeightsError
from wenlu.tokenizers.files import Roles, Settings
from wenlu.tokenizers.gguf.cuts import CUTS, cut_named
from wenlu.tokenizers.gguf.sentencepiece import merges_of
from wenlu.tokenizers.gguf.vocabulary import PREFIX, TokenType, Vocabulary, read_roles, read_vocabulary
from wenlu.tokenizers.tokenizer import Tokenizer

SPACE = "▁"
TEMPLATE = "tokenizer.chat_template"
_ADD_FLAGS = ("add_bos_token", "add_eos_token")
_SENTENCEPIECE_ROLES = {"bos": 1, "eos": 2, "unk": 0}
"""Ids that a file of SentencePiece means where it names none, as in llama.cpp."""


def tokenizer_of(metadata: Mapping[str, Any], *, where: str) -> Tokenizer:
    """The tokenizer that the metadata of a GGUF header describes; `where` names the file in messages.

    Raises:
        WeightsError: a model or a way to cut text that is not known, or lists that contradict each other.
    """
    vocabulary = read_vocabulary(metadata, where)
    model = metadata.get(f"{PREFIX}model")
    match model:
        case "gpt2":
            inner, roles = _byte_level(metadata, vocabulary, where)
        case "llama":
            inner, roles = _sentencepiece(metadata, vocabulary, where)
        case _:
            raise WeightsError(f"{where}: {PREFIX}model {model!r:.40} is not supported; known: gpt2, llama")
    _add(inner, vocabulary)
    return Tokenizer(inner, roles, _settings(metadata, where))


def _byte_level(metadata: Mapping[str, Any], vocabulary: Vocabulary, where: str) -> tuple[Inner, Roles]:
    name = str(metadata.get(f"{PREFIX}pre", "default"))
    cut = cut_named(name)
    if cut is None:
        hint = did_you_mean(name[:40], [name for cut in CUTS for name in cut.names])
        raise WeightsError(f"{where}: {PREFIX}pre {name!r:.40} is a way to cut text that is not known; {hint}")
    ids = vocabulary.ids
    merges = [_pair(merge, ids, where) for merge in vocabulary.merges]
    inner = Inner(models.BPE(ids, merges, ignore_merges=cut.whole))
    if cut.normalizer is not None:
        inner.normalizer = cut.normalizer()
    inner.pre_tokenizer = cut.build()
    inner.decoder = decoders.ByteLevel()
    roles = read_roles(metadata, vocabulary, where, {})
    return inner, Roles(roles.bos, roles.eos, roles.pad)  # bytes leave nothing unknown


def _pair(merge: str, ids: Mapping[str, int], where: str) -> tuple[str, str]:
    left, _, right = merge.partition(" ")
    missing = [token for token in (left, right, left + right) if token not in ids]
    if missing:
        raise WeightsError(f"{where}: merge {merge[:80]!r}: {missing[0][:80]!r} is not among the tokens")
    return left, right


def _sentencepiece(metadata: Mapping[str, Any], vocabulary: Vocabulary, where: str) -> tuple[Inner, Roles]:
    if not vocabulary.scores:
        raise WeightsError(f"{where}: no {PREFIX}scores, by which a vocabulary of SentencePiece joins pieces")
    scores = {
        token: score
        for token, score, kind in zip(vocabulary.tokens, vocabulary.scores, vocabulary.types, strict=True)
        if kind == TokenType.NORMAL
    }
    if any(score != score for score in scores.values()):
        raise WeightsError(f"{where}: {PREFIX}scores holds NaN")
    roles = read_roles(metadata, vocabulary, where, _SENTENCEPIECE_ROLES)
    has_bytes = len(vocabulary.of_type(TokenType.BYTE)) == 256
    merges = merges_of(scores, where)
    inner = Inner(models.BPE(vocabulary.ids, merges, unk_token=roles.unk, fuse_unk=True, byte_fallback=has_bytes))
    prefixed = metadata.get(f"{PREFIX}add_space_prefix", True)
    replace = normalizers.Replace(" ", SPACE)
    inner.normalizer = normalizers.Sequence([normalizers.Prepend(SPACE), replace]) if prefixed else replace
    steps = [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse()]
    inner.decoder = decoders.Sequence([*steps, decoders.Strip(" ", 1, 0)] if prefixed else steps)
    return inner, roles


def _add(inner: Inner, vocabulary: Vocabulary) -> None:
    """Declare the tokens that stand outside of the text, and those that text is searched for."""
    control = vocabulary.of_type(TokenType.CONTROL, TokenType.UNKNOWN)
    inner.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in control if token])
    own = vocabulary.of_type(TokenType.USER_DEFINED)
    inner.add_tokens([AddedToken(token, special=False, normalized=False) for token in own if token])


def _settings(metadata: Mapping[str, Any], where: str) -> Settings:
    template = metadata.get(TEMPLATE)
    if not (template is None or isinstance(template, str)):
        raise WeightsError(f"{where}: {TEMPLATE} is {type(template).__name__}, not text")
    flags = {name: metadata[PREFIX + name] for name in _ADD_FLAGS if isinstance(metadata.get(PREFIX + name), bool)}
    return Settings(flags, template)
