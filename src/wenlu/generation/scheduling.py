"""Who reads what in the next step.

Who has a lower rank (priority, then arrival) goes first. Answers go on before prompts are read; prompts are read in
parts, within a budget of tokens a step. Where pages run out, the last in rank gives up his, and later reads his prompt
and the answer so far again. Guesses have the same claim to room as tokens: who else runs must not decide how many there
are, since drawn guesses decide which token is drawn.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Hashable, Mapping
from heapq import merge
from operator import attrgetter

from wenlu.generation.memory import Memory
from wenlu.generation.seat import Part, Seat

_RANK = attrgetter("rank")


class Scheduler:
    """Seats that wait and seats that have a place in the memory.

    Args:
        max_batch: seats that have a place at once.
        max_prefill_tokens: prompt tokens that a step reads at most, unless a single unit of a prompt is longer.
    """

    def __init__(self, memory: Memory, *, max_batch: int, max_prefill_tokens: int) -> None:
        self.max_batch = max_batch
        self.max_prefill_tokens = max_prefill_tokens
        self.waiting: list[Seat] = []  # both by rank
        self.running: list[Seat] = []
        self.preemptions = 0
        self.found = 0  # tokens that were read before, for others
        self._memory = memory
        self._parts: dict[Seat, Part] = {}  # of the step that is being made

    def add(self, seat: Seat) -> None:
        insort(self.waiting, seat, key=_RANK)

    def remove(self, seat: Seat) -> None:
        """Forget a seat, wherever it is."""
        if seat in self.running:
            self._leave(seat)
        else:
            self.waiting.remove(seat)

    def schedule(self) -> list[Part]:
        """The parts to read next, which there is room for; empty only where nobody waits or runs."""
        self._parts = {}
        for seat in list(self.running):
            if seat.decodes and self._has_room(seat):
                self._parts[seat] = Part(seat, seat.known)
        self._read_prompts()
        return list(self._parts.values())

    def _read_prompts(self) -> None:
        """Parts of prompts by rank, of seats that have a place and of those that find one, while the budget lasts."""
        budget, is_first, admits = self.max_prefill_tokens, True, True
        reading = [seat for seat in self.running if seat.leader is None and not seat.decodes]
        leaders: dict[Hashable, Seat] = {}
        left = len(reading)
        for seat in merge(reading, list(self.waiting), key=_RANK):
            is_new = seat not in reading
            left -= not is_new
            if is_new:
                admits = admits and len(self.running) < self.max_batch
                if not admits:
                    if not left:
                        return
                    continue
                if self._follows(seat, leaders):
                    continue
                self._memory.begin(seat)
            elif seat not in self.running:  # it gave up its place to one before
                continue
            end = self._end(seat, budget, is_first=is_first)
            if end > seat.read and (not is_new or self._enters(seat)):
                self._parts[seat] = Part(seat, end)
                budget -= end - seat.read
                is_first = False
            elif is_new:
                self._memory.free(seat)
                admits = False
                continue
            if not seat.answer and seat.read < len(seat.prompt):
                leaders[seat.subject] = seat

    def _follows(self, seat: Seat, leaders: Mapping[Hashable, Seat]) -> bool:
        """Give one who waits a place behind a leader, where one of a lower rank reads the same prompt."""
        leader = leaders.get(seat.subject) if leaders and not seat.answer else None
        if leader is None:
            return False
        seat.leader = leader
        leader.followers.append(seat)
        self._take_place(seat)
        return True

    def _enters(self, seat: Seat) -> bool:
        """Give one who waits a place, with room for all that is known and guessed; only those of lower priority give up
        theirs."""
        while not self._memory.reserve(seat, seat.known + seat.ahead, spare=len(self.running)):
            last = self._last()
            if last is None or last.priority <= seat.priority:
                return False
            self._preempt(last)
        self._take_place(seat)
        self.found += seat.read
        if seat.found is None:
            seat.found = seat.read
        return True

    def _end(self, seat: Seat, budget: int, *, is_first: bool) -> int:
        """How far a seat may read; no further than it is, where the budget is spent.

        Parts of a prompt end where its units do. An answer that is read again is cut in the same way.
        """
        unit = self._memory.unit
        goal = len(seat.prompt) if seat.read < len(seat.prompt) else seat.known
        if unit is None:
            return goal if is_first or goal - seat.read <= budget else seat.read
        if goal - seat.read <= budget:
            return goal
        end = (seat.read + max(0, budget)) // unit * unit
        if is_first:
            end = max(end, seat.read // unit * unit + unit)
        return min(goal, max(end, seat.read))

    def _has_room(self, seat: Seat) -> bool:
        """Make room for one token more and guesses, whoever must give up his place: perhaps the seat itself."""
        while not self._memory.reserve(seat, seat.known + seat.ahead):
            last = self._last()
            assert last is not None, "the seat itself has a place"
            self._preempt(last)
            if last is seat:
                return False
        return True

    def _last(self) -> Seat | None:
        """The last in rank of those whose place takes room."""
        return next((seat for seat in reversed(self.running) if seat.leader is None), None)

    def _take_place(self, seat: Seat) -> None:
        self.waiting.remove(seat)
        insort(self.running, seat, key=_RANK)

    def _preempt(self, seat: Seat) -> None:
        self._parts.pop(seat, None)
        self._leave(seat)
        self.add(seat)
        self.preemptions += 1

    def _leave(self, seat: Seat) -> None:
        """Give up a place; those who followed wait for places of their own."""
        self.running.remove(seat)
        self._memory.free(seat)
        if seat.leader is not None:
            seat.leader.followers.remove(seat)
            seat.leader = None
        for follower in seat.followers:
            follower.leader = None
            self.running.remove(follower)
            self.add(follower)
        seat.followers = []
