"""What a chat template writes between what is said, learnt once for each pair of roles.

Most templates put the same tokens between a turn and the next one whatever is said in them, and one of these tokens is
special, so that the tokens of a turn do not depend on others. Such a conversation is put together from its parts
instead of being rendered anew for each of its turns.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from wenlu.corpus.chats import Turn, to_openai
from wenlu.errors import DataError
from wenlu.tokenizers import Tokenizer
from wenlu.tokenizers.chat_template import Piece

START, END, ASKED = "start", "end", "asked"
"""In the place of a role: before the first turn, behind the last one, and where the assistant is to begin."""


@dataclass(frozen=True)
class Gap:
    """What stands between two contents.

    Attributes:
        behind: text that follows the first one at once. pieces: between special tokens, these among them. before: text
            right before the second one.
    """

    behind: str
    pieces: tuple[Piece, ...]
    before: str


@dataclass(frozen=True)
class Part:
    """Tokens of a content with the text around it up to the special tokens next to it, of which `lead` stand before
    the content itself; and those of the pieces between it and the next one."""

    ids: tuple[int, ...]
    lead: int
    between: tuple[int, ...]


class Gaps:
    """The gaps of a tokenizer's template; `is_steady` turns false where they depend on more than two roles."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self.is_steady = True
        self._known: dict[tuple[str, str], Gap] = {}
        self._encoded: dict[tuple[Piece, ...], tuple[int, ...]] = {}

    def parts(self, turns: Sequence[Turn]) -> tuple[tuple[int, ...], list[Part]] | None:
        """The tokens before the first content, and a part for each turn; None where they are not known so."""
        if not self._learn([turn.role for turn in turns]):
            return None
        names = [START, *(turn.role for turn in turns), END]
        gaps = [self._known[pair] for pair in itertools.pairwise(names)]
        around = [
            (left.before, turn.content, right.behind) for left, turn, right in zip(gaps, turns, gaps[1:], strict=False)
        ]
        whole = self.tokenizer.encode_batch_inside(["".join(texts) for texts in around])
        leads = self._leads(gaps)
        parts = []
        for ids, lead, right in zip(whole, leads, gaps[1:], strict=False):
            if tuple(ids[: len(lead)]) != lead:
                return None  # the text before a content is one token with its beginning
            parts.append(Part(tuple(ids), len(lead), self._ids(right.pieces)))
        return self._ids(gaps[0].pieces), parts

    def _leads(self, gaps: Sequence[Gap]) -> list[tuple[int, ...]]:
        return [self._ids((Piece(gap.before, special=False),)) if gap.before else () for gap in gaps[:-1]]

    def _learn(self, roles: Sequence[str]) -> bool:
        """Whether every gap of such a conversation is known, and asks at each of the assistant's turns the same."""
        names = [START, *roles, END]
        wanted = set(itertools.pairwise(names))
        if not self.is_steady or wanted <= self._known.keys():
            return self.is_steady
        try:
            told = self._between(roles, asked=False)
            prompts = {
                place: self._between(roles[:place], asked=True)
                for place, role in enumerate(roles)
                if role == "assistant"
            }
        except DataError:
            return False
        found = list(zip(itertools.pairwise(names), told or (), strict=False))
        steady = told is not None and all(self._known.setdefault(pair, gap) == gap for pair, gap in found)
        for place, gaps in prompts.items():
            steady = steady and gaps is not None and told is not None and gaps[:-1] == told[:place]
            steady = steady and gaps is not None and told is not None and _begins(told[place], gaps[-1])
        self.is_steady = steady
        return steady

    def _between(self, roles: Sequence[str], *, asked: bool) -> list[Gap] | None:
        """The gaps of a conversation of words that no template writes; None where they cannot be told apart."""
        words = [f"q{number}x" for number in range(len(roles))]
        turns = [Turn(role, word) for role, word in zip(roles, words, strict=True)]  # type: ignore[arg-type]
        template = self.tokenizer.chat_template
        assert template is not None, "conversations are written by a chat template"
        pieces = template.pieces(to_openai(turns), add_generation_prompt=asked)
        gaps: list[Gap] = []
        behind, between, words_left = "", list[Piece](), iter([*words, None])
        word = next(words_left)
        for piece in pieces:
            if piece.special or word is None or word not in piece.text:
                between.append(piece)
                continue
            before, after = piece.text.split(word, 1)
            if gaps and not any(each.special for each in between):
                return None
            gaps.append(Gap(behind, tuple(between), before))
            behind, between, word = after, [], next(words_left)
            if word is not None and word in behind:
                return None
        if word is not None:
            return None
        last = between[-1] if between and not between[-1].special else None
        lead = last.text if asked and last is not None else ""
        return [*gaps, Gap(behind, tuple(between[:-1] if lead else between), lead)]

    def _ids(self, pieces: tuple[Piece, ...]) -> tuple[int, ...]:
        """Of pieces that do not begin a conversation's text; specials stand around each text."""
        if pieces not in self._encoded:
            ids: list[int] = []
            for piece in pieces:
                if piece.special:
                    ids.append(self.tokenizer.special_tokens[piece.text])
                else:
                    ids += self.tokenizer.encode_batch_inside([piece.text])[0]
            self._encoded[pieces] = tuple(ids)
        return self._encoded[pieces]


def _begins(told: Gap, asked: Gap) -> bool:
    """Whether a turn of the assistant begins as it is asked for."""
    return told.behind == asked.behind and told.pieces == asked.pieces and told.before == asked.before
