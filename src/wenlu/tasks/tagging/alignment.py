"""Words and the sub-words that a model reads: the first one of a word answers for it (Devlin et al. 2019)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from wenlu.corpus.packing import Ids
from wenlu.errors import ConfigError
from wenlu.tasks.tagging.schemes import Entity
from wenlu.tasks.tagging.words import Words
from wenlu.tasks.task import IGNORED
from wenlu.tokenizers import Tokenizer


@dataclass(frozen=True)
class Subwords:
    """The tokens of a text, no token of two words.

    Attributes:
        ids: (N,).
        numbers: (V,) the words that have a token, in order: all, but for those that the tokenizer makes nothing of
            where it has no unknown token.
        heads: (V,) the place of the first token of each of them.
    """

    ids: Ids
    numbers: Ids
    heads: Ids

    @classmethod
    def of(cls, words: Words, tokenizer: Tokenizer) -> Self:
        """Each word encoded with the whitespace before it.

        A word that leaves no token (as control characters in BERT's vocabulary) becomes the unknown one. A tokenizer
        that puts a space before every text puts one before every word, as Hugging Face's do with words.
        """
        ids: list[int] = []
        numbers: list[int] = []
        heads: list[int] = []
        pieces = words.pieces
        for number, (piece, tokens) in enumerate(zip(pieces, tokenizer.encode_pieces(pieces), strict=True)):
            start, end = words.spans[number]
            begin = len(piece) - (end - start)
            found = tokens.ids or ([] if tokenizer.unk_id is None else [tokenizer.unk_id])
            if found:
                of_word = [place for place, (left, right) in enumerate(tokens.spans) if left < right and right > begin]
                numbers.append(number)
                # Of a word of whitespace alone, the last token is surely its own.
                heads.append(len(ids) + (of_word[0] if of_word else len(found) - 1))
            ids += found
        return cls(*(np.array(column, np.int64) for column in (ids, numbers, heads)))

    def inward(self, entities: Iterable[Entity]) -> tuple[Entity, ...]:
        """Entities over all words as entities over those that have tokens; one without any is left out."""
        found: list[Entity] = []
        for entity in entities:
            start, end = np.searchsorted(self.numbers, [entity.start, entity.end]).tolist()
            if start < end:
                found.append(Entity(start, end, entity.label))
        return tuple(found)

    def outward(self, entities: Iterable[Entity]) -> tuple[Entity, ...]:
        """Entities over words that have tokens as entities over all words."""
        return tuple(
            Entity(int(self.numbers[entity.start]), int(self.numbers[entity.end - 1]) + 1, entity.label)
            for entity in entities
        )


@dataclass(frozen=True)
class TaggedRows:
    """The tokens of a text in rows that fit into a model, one row or several that overlap.

    Attributes:
        rows: ids of each, with what the tokenizer puts around a text.
        row_of, place_of: (V,) where a word that has tokens is asked for: its head's place in the row in which it has
            most tokens on its poorer side. Rows in order have words in order.
    """

    rows: tuple[Ids, ...]
    row_of: Ids
    place_of: Ids

    def targets(self, classes: Sequence[int] | Ids) -> tuple[Ids, ...]:
        """For each row (T,): the class of each word at its head, once; IGNORED elsewhere.

        Args:
            classes: (V,).
        """
        assert len(classes) == len(self.row_of), f"{len(classes)} classes for {len(self.row_of)} words"
        found = tuple(np.full(len(row), IGNORED, np.int64) for row in self.rows)
        for row, place, number in zip(self.row_of.tolist(), self.place_of.tolist(), classes, strict=True):
            found[row][place] = number
        return found


def tagged_rows(
    subwords: Subwords, max_length: int, *, overlap: int, frame: tuple[Sequence[int], Sequence[int]] = ((), ())
) -> TaggedRows:
    """The text in rows of at most `max_length` tokens, each with `overlap` tokens of the one before it, or more.

    Args:
        frame: what stands before and behind the tokens of a row.

    Raises ConfigError where the lengths leave no room to move on.
    """
    before, behind = frame
    room = max_length - len(before) - len(behind)
    if not 0 <= overlap < room:
        raise ConfigError(
            f"rows of max_length {max_length} have room for {max(room, 0)} tokens of text, so an overlap of {overlap} "
            "does not fit; give a smaller overlap, or longer rows"
        )
    size = len(subwords.ids)
    last = max(size - room, 0)
    starts = np.append(np.arange(0, last, room - overlap), last)
    rows = tuple(
        np.concatenate([before, subwords.ids[start : start + room], behind]).astype(np.int64) for start in starts
    )
    # Rows are equally long, so a word has most context in the row whose middle is nearest; of two, in the earlier.
    borders = (starts[1:] + starts[:-1] + room - 1) / 2
    row_of = np.searchsorted(borders, subwords.heads)
    return TaggedRows(rows, row_of, subwords.heads - starts[row_of] + len(before))
