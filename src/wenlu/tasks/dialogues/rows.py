"""Conversations as rows of tokens, in which each turn of the assistant is learnt behind exactly what it is asked.

A row is what the chat template writes of a whole conversation. A turn in it is learnt where what stands before it is,
token for token, the prompt that the template makes of the turns before; its targets are its tokens and the one that
ends it. A template that writes earlier turns otherwise (without their reasoning, say) gets a row for each turn.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from wenlu.corpus.chats import Turn, to_openai
from wenlu.tasks.dialogues.gaps import Gaps, Part
from wenlu.tokenizers import Tokenizer

Parts = tuple[tuple[int, ...], list[Part]]
FIRST_COMPARED, EACH_COMPARED = 100, 50
"""Rows that are put together from their parts and compared with what the template writes: the first ones, and of later
ones each fiftieth. From the first that differs on, all are rendered."""
_TAG = re.compile(r"</?[\w|]+")
KEPT_OF_A_CUT = 0.9
"""A message that is longer than all the room is shortened to this share of what would fit, until it does."""


@dataclass(frozen=True)
class Span:
    """Tokens `start` … `stop` - 1 of a row, which are what the assistant says in turn `place`, its end included."""

    place: int
    start: int
    stop: int


@dataclass(frozen=True)
class ChatRow:
    """A row, and what of it is learnt.

    Attributes:
        dropped: turns of the conversation's beginning that it lacks.
        is_cut: the last span has lost its end.
    """

    ids: tuple[int, ...]
    spans: tuple[Span, ...]
    dropped: int = 0
    is_cut: bool = False


class Writer:
    """Writes conversations by the chat template of a tokenizer.

    Args:
        end_id: the token that ends what the assistant says.
    """

    def __init__(self, tokenizer: Tokenizer, end_id: int) -> None:
        self.tokenizer = tokenizer
        self.end_id = end_id
        self.gaps = Gaps(tokenizer)
        template = tokenizer.chat_template
        self._source = "" if template is None else template.source
        self._together = 0

    def prompt(self, turns: Sequence[Turn], room: int) -> list[int]:
        """What a model is asked behind `turns`: the system's, and as many of the last ones as fit into `room`.

        A last message that is too long by itself loses its end. Raises DataError where the template refuses the turns.
        """
        head, starts = _starts(turns, len(turns))
        for start in self._hopeful(turns, starts, len(turns), room):
            ids = self._asked([*head, *turns[start:]])
            if len(ids) <= room:
                return ids
        last = [*head, *turns[starts[-1] :]]
        while len(ids) > room and len(last[-1].content) > 1:
            kept = int(KEPT_OF_A_CUT * len(last[-1].content) * room / len(ids))
            last[-1] = replace(last[-1], content=last[-1].content[: max(1, min(kept, len(last[-1].content) - 1))])
            ids = self._asked(last)
        return ids

    def rows(self, turns: Sequence[Turn], room: int, learnt: Sequence[int]) -> Iterator[ChatRow]:
        """Rows of at most `room` tokens in which each turn at the places `learnt`, all of them the assistant's, is
        learnt once, the latest first.

        A conversation that is too long for one loses whole turns from its front, and those of the assistant among them
        get rows of their own, with what stands before them. A single turn that does not fit behind what it answers
        loses its end, and one of which nothing would be left has no row. Raises DataError as `prompt`.
        """
        waiting = [*learnt]
        parts = self._parts(turns)
        while waiting:
            found = parts and self._put_together(turns, parts, waiting, room)
            found = found or self._row(turns, waiting, room)
            if found is None:
                waiting.pop()
                continue
            yield found
            done = {span.place for span in found.spans}
            waiting = [place for place in waiting if place not in done]

    def _row(self, turns: Sequence[Turn], waiting: Sequence[int], room: int) -> ChatRow | None:
        last = waiting[-1]
        head, starts = _starts(turns, last)
        for start in self._hopeful(turns, starts, last + 1, room):
            whole = [*head, *turns[start : last + 1]]
            ids = self._told(whole)
            is_shortest = start == starts[-1]
            if self._stop(ids) > room and not is_shortest:
                continue
            moved = start - len(head)
            row = self._written(whole, ids, [place - moved for place in waiting if place >= start])
            spans = tuple(replace(span, place=span.place + moved) for span in row.spans)
            if len(row.ids) <= room:
                return replace(row, spans=spans, dropped=moved)
        if spans[-1].start >= room:
            return None
        return ChatRow(row.ids[:room], (replace(spans[-1], stop=room),), moved, is_cut=True)

    def _parts(self, turns: Sequence[Turn]) -> Parts | None:
        """The conversation in parts; None where the template may do more than stand between what is said."""
        if any(turn.tool_calls or turn.role == "tool" or not turn.content for turn in turns):
            return None
        if any(tag in self._source for turn in turns for tag in _TAG.findall(turn.content)):
            return None  # it may take reasoning out, or read a call of a tool
        return self.gaps.parts(turns)

    def _put_together(self, turns: Sequence[Turn], parts: Parts, waiting: Sequence[int], room: int) -> ChatRow | None:
        """The row of the last waiting turn from the parts; None where it does not fit, or the template disagrees."""
        last = waiting[-1]
        head, starts = _starts(turns, last)
        sizes = [len(part.ids) + len(part.between) for part in parts[1]]
        final = parts[1][last]
        around = len(parts[0]) + sum(sizes[: len(head)]) + self._end([*final.ids, *final.between], final.lead)
        fits = [start for start in starts if around + sum(sizes[start:last]) <= room]
        is_whole = bool(fits) and fits[0] == len(head)
        if not fits or not (is_whole or turns[len(head)].role == "user"):  # what begins it is known of one role
            return None
        places = [*range(len(head)), *range(fits[0], last + 1)]
        ids, spans = list(parts[0]), list[Span]()
        for place in places:
            part = parts[1][place]
            said = [*part.ids, *part.between]
            if place in waiting:
                stop = self._end(said, part.lead)
                spans.append(Span(place, len(ids) + part.lead, len(ids) + stop))
            ids += said
        ids = ids[: spans[-1].stop]
        if self._is_due() and self._told([turns[place] for place in places])[: len(ids)] != ids:
            self.gaps.is_steady = False
            return None
        return ChatRow(tuple(ids), tuple(spans), fits[0] - len(head))

    def _is_due(self) -> bool:
        """Whether this row is rendered as well and compared."""
        self._together += 1
        return self._together <= FIRST_COMPARED or self._together % EACH_COMPARED == 0

    def _hopeful(self, turns: Sequence[Turn], starts: Sequence[int], stop: int, room: int) -> list[int]:
        """The starts behind which not too much is said already; always the last."""
        sizes = [len(ids) for ids in self.tokenizer.encode_batch_inside([turn.content for turn in turns[:stop]])]
        fit = [start for start in starts if sum(sizes[start:stop]) <= room + stop - start]  # seams may join two tokens
        return fit or [starts[-1]]

    def _written(self, turns: Sequence[Turn], ids: Sequence[int], wanted: Sequence[int]) -> ChatRow:
        """The row of `turns`, which the template writes as `ids`, with the last of `wanted` and those that agree."""
        spans: list[Span] = []
        for place in reversed(wanted):
            before = self._asked(turns[:place])
            stop = self._end(ids, len(before))
            if list(ids[: len(before)]) != before or (spans and stop > spans[0].start):
                break
            spans.insert(0, Span(place, len(before), stop))
        if not spans:  # what is asked is written otherwise once it is answered: what is asked counts
            before = self._asked(turns[:-1])
            (said,) = self.tokenizer.encode_batch_inside([turns[-1].content.strip()])
            ids = [*before, *said, self.end_id]
            spans = [Span(len(turns) - 1, len(before), len(ids))]
        return ChatRow(tuple(ids[: spans[-1].stop]), tuple(spans))

    def _stop(self, ids: Sequence[int]) -> int:
        """Behind the last token that ends a turn."""
        return max((place + 1 for place, token in enumerate(ids) if token == self.end_id), default=len(ids))

    def _end(self, ids: Sequence[int], start: int) -> int:
        """Behind the first token that ends a turn."""
        for place in range(start, len(ids)):
            if ids[place] == self.end_id:
                return place + 1
        return len(ids)

    def _asked(self, turns: Sequence[Turn]) -> list[int]:
        return self.tokenizer.apply_chat_template(to_openai(turns))

    def _told(self, turns: Sequence[Turn]) -> list[int]:
        return self.tokenizer.apply_chat_template(to_openai(turns), add_generation_prompt=False)


def _starts(turns: Sequence[Turn], before: int) -> tuple[list[Turn], list[int]]:
    """What always stays, which is the system's turn, and where the rest may begin before turn `before`: at its first
    turn, and wherever the user speaks."""
    head = [turn for turn in turns[:1] if turn.role == "system"]
    first = len(head)
    users = [place for place in range(first + 1, before) if turns[place].role == "user"]
    return head, [first, *users]
