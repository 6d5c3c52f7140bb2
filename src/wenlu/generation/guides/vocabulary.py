"""A tokenizer's spellings as llguidance reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wenlu.errors import MissingExtra

BYTES = tuple(bytes([value]) for value in range(256))


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Every spelling once, since several tokens may share one (`A` and `<0x41>`), and every byte.

    Attributes:
        tokenizer: an `LLTokenizer` whose ids are those of the spellings.
        of_token: (V,) the spelling of each token; -1 where it has none.
        of_byte: the spelling of each of the 256 bytes.
    """

    tokenizer: Any
    of_token: Tensor
    of_byte: tuple[int, ...]

    def mask(self, bits: bytes) -> Tensor:
        """(V,) bool: the tokens whose spelling llguidance allows in `bits`."""
        allowed = torch.from_numpy(np.unpackbits(np.frombuffer(bits, dtype=np.uint8), bitorder="little").astype(bool))
        mask: Tensor = allowed[self.of_token] & (self.of_token >= 0)
        return mask


def vocabulary_of(pieces: Sequence[bytes]) -> Vocabulary:
    """The vocabulary in which each token adds its one of `pieces`; raises MissingExtra."""
    library = llguidance()
    known = sorted({*pieces, *BYTES} - {b""})
    number = {piece: index for index, piece in enumerate(known)}
    return Vocabulary(
        tokenizer=library.LLTokenizer(
            library.TokenizerWrapper(_Tokens(known, number)), n_vocab=len(known) + 1, eos_token=len(known)
        ),
        of_token=torch.tensor([number.get(piece, -1) for piece in pieces]),
        of_byte=tuple(number[byte] for byte in BYTES),
    )


def llguidance() -> Any:
    """The library, imported where it is used; raises MissingExtra."""
    try:
        import llguidance
    except ImportError as error:
        raise MissingExtra("llguidance", extra="structured", purpose="write answers by a grammar") from error
    return llguidance


class _Tokens:
    """What llguidance asks of a tokenizer; the end of a text comes behind all spellings."""

    bos_token_id = None

    def __init__(self, known: Sequence[bytes], number: dict[bytes, int]) -> None:
        self.tokens = [*known, b"\xff<end>"]
        self.eos_token_id = len(known)
        self.special_token_ids = [len(known)]
        self._number = number

    def __call__(self, text: str | bytes) -> list[int]:
        return [self._number[BYTES[value]] for value in (text.encode() if isinstance(text, str) else text)]
