"""What objectives ask of a tokenizer: its special tokens, and what its tokens spell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from wenlu.corpus.packing import Ids
from wenlu.errors import ConfigError, DataError
from wenlu.tokenizers import Tokenizer

Flags = np.ndarray[Any, np.dtype[np.bool_]]

_SENTENCE_ENDS = tuple(".!?。！？｡…\n")
_CLOSING = "\"'”’»)]」』）》】〉 "


class Vocabulary:
    """The tokens of a tokenizer, by what they may stand for.

    Attributes:
        is_special: (V,) tokens that are not text.
        text_ids: ids of tokens that are.
        spellings: what each token adds to a text after others; nothing for special ones.
        ends_sentence: (V,) tokens that end in a full stop, a mark of question or exclamation, or a line break.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.size = tokenizer.vocab_size
        self.is_special: Flags = np.zeros(self.size, np.bool_)
        self.is_special[list(tokenizer.special_tokens.values())] = True
        self.spellings = [b"" if self.is_special[i] else _spelling(tokenizer, i) for i in range(self.size)]
        self.text_ids: Ids = np.array([i for i, spelling in enumerate(self.spellings) if spelling])
        self.ends_sentence: Flags = np.array([_ends_sentence(spelling) for spelling in self.spellings])

    def ids_of(self, tokens: Sequence[str], task: str) -> list[int]:
        """Ids of special tokens; raises ConfigError where the vocabulary lacks one."""
        known = self.tokenizer.special_tokens
        missing = [token for token in tokens if token not in known]
        if missing:
            raise ConfigError(
                f"the tokenizer has no special token {missing[0]}, which {task} needs; a recipe with "
                f'task.name="{task}" adds it to a new tokenizer (tokenizer.extra_special_tokens)'
            )
        return [known[token] for token in tokens]


def _spelling(tokenizer: Tokenizer, number: int) -> bytes:
    """Nothing where the vocabulary leaves the number out."""
    try:
        return tokenizer.spelling(number)
    except DataError:
        return b""


def _ends_sentence(spelling: bytes) -> bool:
    return spelling.decode("utf-8", "replace").rstrip(_CLOSING).endswith(_SENTENCE_ENDS)
