"""Gaps in code: the tokens around their parts, and how a prefix and a suffix are told to a model that fills them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wenlu.corpus.fill_in_the_middle import Parts, rng_of, split
from wenlu.errors import ConfigError
from wenlu.tokenizers import Tokenizer

FILL = "<fill>"
"""Stands for a gap in what a person types."""
SENTINELS = (
    ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),
    ("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),
    ("<fim-prefix>", "<fim-suffix>", "<fim-middle>"),
)
"""Those of published tokenizers; a new one gets the first."""


@dataclass(frozen=True)
class Sentinels:
    """The ids of the tokens before prefix, suffix and middle."""

    prefix: int
    suffix: int
    middle: int

    @classmethod
    def of(cls, tokenizer: Tokenizer, named: Sequence[str] | None) -> Sentinels:
        """The `named` ones, else those that the tokenizer has; raises ConfigError."""
        known = tokenizer.special_tokens
        for tokens in SENTINELS if named is None else (named,):
            if all(token in known for token in tokens):
                return cls(*(known[token] for token in tokens))
        missing = next(token for token in (named or SENTINELS[0]) if token not in known)
        raise ConfigError(
            f"the tokenizer has no special token {missing}, which stands around a gap: name three that it has as "
            'task.sentinels = ["before the prefix", "before the suffix", "before the middle"] '
            f"(it has {', '.join(known) or 'none'}), or learn no gaps: task.fill_in_the_middle = 0"
        )

    def arranged(self, prefix: Sequence[int], suffix: Sequence[int], *, suffix_first: bool) -> list[int]:
        """What the middle follows; orders as `Parts.arrange` has them."""
        if suffix_first:
            return [self.prefix, self.suffix, *suffix, self.middle, *prefix]
        return [self.prefix, *prefix, self.suffix, *suffix, self.middle]


def around(prefix: Sequence[int], suffix: Sequence[int], room: int) -> tuple[Sequence[int], Sequence[int]]:
    """What stands nearest to the gap, such that both fit; the longer one is cut until both are equally long."""
    kept = min(len(suffix), max(room - len(prefix), room // 2))
    return prefix[max(0, len(prefix) - (room - kept)) :], suffix[:kept]


def taken_out(text: str, id: str, times: float) -> list[tuple[Parts, bool]]:
    """Ways to take a part out of a text, on average so many, and whether the suffix comes first.

    A pure function of the arguments. Parts begin and end at any character, and are not empty.
    """
    rng = rng_of(0, id)
    found = []
    for _ in range(int(times) + (rng.random() < times % 1)):
        parts = split(text, rng)
        while not parts.middle:
            parts = split(text, rng)
        found.append((parts, rng.random() < 0.5))
    return found
