"""What a checkpoint forbids and forces in its answers, as the keys of generation_config.json say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from wenlu.errors import WeightsError
from wenlu.generation.sampling import NEVER


@dataclass(frozen=True)
class Constraints:
    """Rules for an answer, on top of how it is sampled.

    Attributes:
        never: tokens that are not chosen unless forced. never_first: nor as the first one that is free.
        sequences: of several tokens; the last one is not chosen behind the others.
        first: the token that an answer begins with. last: that it ends with (one of them) where its length is full.
        unrepeated: as many tokens in a row as may not stand in the text twice; 0: any may.
        least: the text, what stands before the answer included, does not end with `ends` before it has so many tokens.
        least_new: the same, of the answer alone.
    """

    never: frozenset[int] = frozenset()
    never_first: frozenset[int] = frozenset()
    sequences: tuple[tuple[int, ...], ...] = ()
    first: int | None = None
    last: frozenset[int] = frozenset()
    unrepeated: int = 0
    least: int = 0
    least_new: int = 0
    ends: frozenset[int] = frozenset()

    def apply(
        self, scores: Tensor, before: Sequence[Sequence[int]], answers: Sequence[Sequence[int]], limits: Sequence[int]
    ) -> Tensor:
        """Scores (B, V) with `-inf` where a token may not come next.

        Args:
            before: what stands before each answer in the same text, where forbidden sequences may begin.
            limits: the most tokens that each answer can have.
        """
        if self == NONE:
            return scores
        scores = scores.clone()
        width = scores.shape[-1]
        for row, answer in enumerate(answers):
            forced = self._forced(answer, limits[row])
            if forced:
                scores[row] = NEVER
                scores[row, [token for token in forced if token < width]] = 0.0
                continue
            banned = self.never
            if len(answer) == (self.first is not None):
                banned |= self.never_first
            text = [*before[row], *answer]
            banned |= {last for *rest, last in self.sequences if text[len(text) - len(rest) :] == rest}
            if len(text) < self.least or len(answer) < self.least_new:
                banned |= self.ends
            scores[row, [token for token in banned | self._repeating(text) if token < width]] = NEVER
        return scores

    @property
    def signature(self) -> str:
        """The same text for the same rules."""
        return repr([sorted(value) if isinstance(value, frozenset) else value for value in vars(self).values()])

    def _repeating(self, text: list[int]) -> frozenset[int]:
        """The tokens with which `text` would end in what stands in it already."""
        if not 0 < self.unrepeated <= len(text):
            return frozenset()
        size = self.unrepeated - 1
        last = text[len(text) - size :]
        return frozenset(text[at + size] for at in range(len(text) - size) if text[at : at + size] == last)

    def _forced(self, answer: Sequence[int], limit: int) -> frozenset[int]:
        if len(answer) == limit - 1 and self.last:
            return self.last
        return frozenset() if answer or self.first is None else frozenset({self.first})


NONE = Constraints()


def constraints_of(generation: Mapping[str, Any], end_ids: frozenset[int], *, where: str) -> Constraints:
    """Read `bad_words_ids`, `suppress_tokens`, `begin_suppress_tokens`, `forced_bos_token_id`, `forced_eos_token_id`,
    `no_repeat_ngram_size`, `min_length` and `min_new_tokens`.

    A single end token among the bad words is allowed all the same, as in `transformers`. Raises WeightsError.
    """
    words = _lists(generation.get("bad_words_ids"), where)
    first = sorted(_ids(generation, "forced_bos_token_id", where))
    if len(first) > 1:
        raise WeightsError(f"{where}: forced_bos_token_id names {len(first)} tokens, of which only one can be first")
    suppressed = _ids(generation, "suppress_tokens", where)
    last = _ids(generation, "forced_eos_token_id", where)
    for name, forced in (("forced_bos_token_id", set(first)), ("forced_eos_token_id", last)):
        if forced and forced <= suppressed:
            raise WeightsError(f"{where}: {name} {sorted(forced)} is among its suppress_tokens; remove one of the two")
    least, least_new = _count(generation, "min_length", where), _count(generation, "min_new_tokens", where)
    return Constraints(
        never=frozenset({word[0] for word in words if len(word) == 1} - end_ids | suppressed),
        never_first=frozenset(_ids(generation, "begin_suppress_tokens", where)),
        sequences=tuple(sorted(word for word in words if len(word) > 1)),
        first=first[0] if first else None,
        last=frozenset(last - suppressed),
        unrepeated=_count(generation, "no_repeat_ngram_size", where),
        least=least,
        least_new=least_new,
        ends=end_ids if least or least_new else frozenset(),
    )


def _count(generation: Mapping[str, Any], name: str, where: str) -> int:
    value = generation.get(name) or 0
    if type(value) is not int or value < 0:
        raise WeightsError(f"{where}: {name} is {value!r:.80}, not a number of tokens")
    return value


def _ids(generation: Mapping[str, Any], name: str, where: str) -> set[int]:
    value = generation.get(name)
    numbers = [] if value is None else value if isinstance(value, list) else [value]
    for number in numbers:
        if type(number) is not int or number < 0:
            raise WeightsError(f"{where}: {name} is {value!r:.80}, not the id of a token")
    return set(numbers)


def _lists(value: object, where: str) -> list[tuple[int, ...]]:
    if value is None:
        return []
    if isinstance(value, list) and all(isinstance(word, list) and word for word in value):
        words = [tuple(word) for word in value]
        if all(type(number) is int and number >= 0 for word in words for number in word):
            return words
    raise WeightsError(f"{where}: bad_words_ids is {value!r:.80}, not a list of lists of token ids")
