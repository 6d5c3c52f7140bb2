"""A request's place in the engine: its tokens, how many of them are read, and where the memory of them lies."""

from __future__ import annotations

from dataclasses import dataclass, field

from wenlu.generation.seen import Seen
from wenlu.models import DecodeState


@dataclass(slots=True, eq=False)
class Seat:
    """A request as the model reads it.

    Attributes:
        rank: priority and arrival; who has the lower one goes first.
        prompt: tokens to read before the first answer token; to an encoder–decoder, the source.
        salt: only prompts with the same one share what was read before; it tells the pictures of the prompt, too.
        seen: what stands at the placeholders of the prompt's pictures.
        read: how many of prompt and answer the memory holds.
        ahead: how many guessed tokens behind them the next step may read too.
        pages: where it holds them; None: of tokens that no layer sees any longer.
        digests: of the units of its prompt. state: what models remember that have no pages.
        found: how many tokens of its prompt had been read before it came; None until it has a place.
        leader: the seat with the same prompt that reads it for this one too. followers: whom this one reads for.
    """

    rank: tuple[int, int]
    prompt: tuple[int, ...]
    adapter: str | None = None
    salt: str = ""
    seen: Seen | None = None
    answer: list[int] = field(default_factory=list)
    read: int = 0
    found: int | None = None
    ahead: int = 0
    pages: list[int | None] = field(default_factory=list)
    digests: tuple[bytes, ...] | None = None
    state: DecodeState | None = None
    leader: Seat | None = None
    followers: list[Seat] = field(default_factory=list)

    @property
    def id(self) -> int:
        return self.rank[1]

    @property
    def priority(self) -> int:
        return self.rank[0]

    @property
    def known(self) -> int:
        """Tokens of prompt and answer so far; once all are read, the next one can be chosen."""
        return len(self.prompt) + len(self.answer)

    @property
    def decodes(self) -> bool:
        """Whether nothing is left to read but the token that was chosen last."""
        return self.known == self.read + 1 and self.read >= len(self.prompt)

    @property
    def subject(self) -> tuple[str | None, str, tuple[int, ...]]:
        """What seats have in common that may read their prompts together."""
        return self.adapter, self.salt, self.prompt

    def token(self, place: int) -> int:
        """That of prompt and answer at a place."""
        return self.prompt[place] if place < len(self.prompt) else self.answer[place - len(self.prompt)]


@dataclass(frozen=True)
class Part:
    """What a step reads of one seat: its tokens up to `end`, and guesses of those behind, where that is all of them."""

    seat: Seat
    end: int
    guesses: tuple[int, ...] = ()

    @property
    def stop(self) -> int:
        """The place behind the last guess."""
        return self.end + len(self.guesses)

    def token(self, place: int) -> int:
        return self.seat.token(place) if place < self.end else self.guesses[place - self.end]

    @property
    def completes(self) -> bool:
        """Whether the next token can be chosen behind it."""
        return self.end == self.seat.known
