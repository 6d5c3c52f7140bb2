"""The tokens of a GGUF header, before they become a tokenizer: their kinds, scores and roles, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from wenlu.errors import WeightsError
from wenlu.tokenizers.files import Roles

PREFIX = "tokenizer.ggml."
ROLE_KEYS = {
    "bos": f"{PREFIX}bos_token_id",
    "eos": f"{PREFIX}eos_token_id",
    "pad": f"{PREFIX}padding_token_id",
    "unk": f"{PREFIX}unknown_token_id",
}


class TokenType(IntEnum):
    """The numbers of `tokenizer.ggml.token_type`."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


@dataclass(frozen=True)
class Vocabulary:
    """Tokens in the order of their ids; `scores` and `merges` are empty where the header has none."""

    tokens: list[str]
    types: list[int]
    scores: list[float]
    merges: list[str]

    @property
    def ids(self) -> dict[str, int]:
        return {token: number for number, token in enumerate(self.tokens)}

    def of_type(self, *types: TokenType) -> list[str]:
        return [token for token, kind in zip(self.tokens, self.types, strict=True) if kind in types]


def read_vocabulary(metadata: Mapping[str, Any], where: str) -> Vocabulary:
    """The lists of a header; raises WeightsError where they are missing, of another type, or differ in length."""
    tokens = _items(metadata, "tokens", str, where)
    if not tokens:
        raise WeightsError(f"{where}: no {PREFIX}tokens, so there is no tokenizer in it")
    types = _items(metadata, "token_type", int, where) or [int(TokenType.NORMAL)] * len(tokens)
    scores = _items(metadata, "scores", float, where)
    for name, items in (("token_type", types), ("scores", scores)):
        if items and len(items) != len(tokens):
            raise WeightsError(f"{where}: {len(items):,} {PREFIX}{name} for {len(tokens):,} tokens")
    if (distinct := len(set(tokens))) != len(tokens):
        raise WeightsError(f"{where}: {len(tokens) - distinct:,} of its {len(tokens):,} tokens stand there twice")
    known = {int(kind) for kind in TokenType}
    if strange := set(types) - known:
        raise WeightsError(f"{where}: {PREFIX}token_type has {sorted(strange)[:5]}; known: 1 to {max(known)}")
    return Vocabulary(tokens, types, scores, _items(metadata, "merges", str, where))


def read_roles(metadata: Mapping[str, Any], vocabulary: Vocabulary, where: str, defaults: Mapping[str, int]) -> Roles:
    """The tokens that have a role; raises WeightsError for an id outside of the vocabulary."""
    roles = {}
    for role, key in ROLE_KEYS.items():
        number = metadata.get(key, defaults.get(role))
        if number is None:
            continue
        if not isinstance(number, int) or not 0 <= number < len(vocabulary.tokens):
            raise WeightsError(f"{where}: {key} is {number!r:.40}, outside of the {len(vocabulary.tokens):,} tokens")
        roles[role] = vocabulary.tokens[number]
    return Roles(**roles)


def _items(metadata: Mapping[str, Any], name: str, kind: type, where: str) -> list[Any]:
    items = metadata.get(PREFIX + name, [])
    if not isinstance(items, list) or not all(type(item) is kind for item in items):
        raise WeightsError(f"{where}: {PREFIX}{name} is not a list of {kind.__name__}")
    return items
