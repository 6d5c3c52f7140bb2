"""Which guesses stay, so that tokens come out as the model alone would draw them.

Leviathan et al. 2023, arXiv:2211.17192; Chen et al. 2023, arXiv:2302.01318.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from wenlu.generation.sampling import draw_from
from wenlu.generation.speculation.drafter import Draft


def verify(target: Tensor, draft: Draft, accepts: Sequence[float], draws: Sequence[float]) -> list[int]:
    """The guesses that stay, in order, and one more token, drawn in place of the first that does not or behind all.

    Guesses without probabilities are compared with what the model draws by `draws`: then the tokens are exactly those
    that it draws by the same numbers without any. Guesses that were drawn stay with min(1, p / q), which keeps more of
    them, and the tokens are distributed as without. A target that is sure (greedy) is met exactly either way.

    Args:
        target: (k + 1, V) float64 probabilities of the token at each guess and behind the last, after all rules. One
            for the last guess is enough where it gives this no probability.
        accepts: k numbers in [0, 1), independent of all others. draws: k + 1 numbers.
    """
    kept: list[int] = []
    for place, guess in enumerate(draft.tokens):
        own = target[place]
        if draft.probabilities is None:
            token = int(draw_from(own[None], draws[place : place + 1]))
            if token != guess:
                return [*kept, token]
        else:
            other = draft.probabilities[place]
            if accepts[place] * float(other[guess]) >= float(own[guess]):
                return [*kept, int(draw_from(_rest(own, other)[None], draws[place : place + 1]))]
        kept.append(guess)
    last = len(draft.tokens)
    return [*kept, int(draw_from(target[last : last + 1], draws[last : last + 1]))]


def _rest(own: Tensor, other: Tensor) -> Tensor:
    """What the guesses leave out of the target's probabilities, up to a factor."""
    rest = (own - other).clamp(min=0)
    # Two distributions that differ in rounding alone leave nothing; then either does.
    return rest if bool(rest.sum() > 0) else torch.clone(own)
