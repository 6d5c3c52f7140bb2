"""Drop texts that are equal to an earlier one."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterable, Iterator
from typing import Literal

from wenlu.corpus.pictures.reference import DIGEST
from wenlu.corpus.record import Drop, Item, Step
from wenlu.corpus.step import StepConfig, StepKind, Workroom


class ExactDedupConfig(StepConfig):
    """Texts are equal if they are after removing the differences in `ignore`; the first stays. Captions of two pictures
    are not.

    Memory: about 100 bytes a kept text.
    """

    step: Literal["exact-dedup"] = "exact-dedup"
    ignore: tuple[Literal["case", "white space", "punctuation"], ...] = ("case", "white space")


def normalised(text: str, ignore: tuple[str, ...] = ("case", "white space")) -> str:
    """The text without the differences in `ignore`, in Unicode form NFC."""
    text = unicodedata.normalize("NFC", text)
    if "case" in ignore:
        text = text.casefold()
    if "punctuation" in ignore:
        text = "".join(letter if letter.isalnum() else " " for letter in text)
    if "white space" in ignore:
        text = " ".join(text.split())
    return text


def digest(text: str) -> bytes:
    """16 bytes that tell normalised texts apart."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def build(config: ExactDedupConfig, room: Workroom) -> Step:  # noqa: ARG001
    def exact_dedup(items: Iterable[Item]) -> Iterator[Item]:
        seen: set[bytes] = set()
        for item in items:
            if isinstance(item, Drop):
                yield item
                continue
            key = digest(normalised(item.text, config.ignore) + item.meta.get(DIGEST, ""))
            yield Drop(item, "exact-dedup", "duplicate") if key in seen else item
            seen.add(key)

    return exact_dedup


STEP = StepKind("exact-dedup", ExactDedupConfig, build)
