"""Who reads what in the next step.

Who has a lower rank (priority, then arrival) goes first. Answers go on before prompts are read; prompts are read in
parts, within a budget of tokens a step. Where pages run out, the last in rank gives up his, and later reads his prompt
and the answer so far again.
"""

from __future__ import annotations

from bisect import insort
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
        decoding = len(self._parts)
        budget = self.max_prefill_tokens
        for seat in self.running:
            if seat.leader is None and not seat.decodes:
                end = self._end(seat, budget, is_first=len(self._parts) == decoding)
                if end == seat.read:
                    return list(self._parts.values())
                self._parts[seat] = Part(seat, end)
                budget -= end - seat.read
        self._admit(budget, is_first=len(self._parts) == decoding)
        return list(self._parts.values())

    def _admit(self, budget: int, *, is_first: bool) -> None:
        """Give places to those who wait, in order, while places, room and budget last."""
        leaders = {seat.subject: seat for seat in self.running if _leads(seat)} if self.waiting else {}
        while self.waiting and len(self.running) < self.max_batch:
            seat = self.waiting[0]
            leader = None if seat.answer else leaders.get(seat.subject)
            if leader is not None and leader.rank < seat.rank:
                seat.leader = leader
                leader.followers.append(seat)
                self._enter(seat)
                continue
            self._memory.begin(seat)
            end = self._end(seat, budget, is_first=is_first)
            if end == seat.read or not self._finds_room(seat):
                self._memory.free(seat)
                return
            self._enter(seat)
            self.found += seat.read
            self._parts[seat] = Part(seat, end)
            budget -= end - seat.read
            is_first = False
            if _leads(seat):
                leaders[seat.subject] = seat

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
        """Make room for one token more, whoever must give up his place: perhaps the seat itself."""
        while not self._memory.reserve(seat, seat.known):
            last = self._last()
            assert last is not None, "the seat itself has a place"
            self._preempt(last)
            if last is seat:
                return False
        return True

    def _finds_room(self, seat: Seat) -> bool:
        """Make room for all that is known of one who waits; only those of lower priority give up their places."""
        while not self._memory.reserve(seat, seat.known, spare=len(self.running)):
            last = self._last()
            if last is None or last.priority <= seat.priority:
                return False
            self._preempt(last)
        return True

    def _last(self) -> Seat | None:
        """The last in rank of those whose place takes room."""
        return next((seat for seat in reversed(self.running) if seat.leader is None), None)

    def _enter(self, seat: Seat) -> None:
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


def _leads(seat: Seat) -> bool:
    """Whether others may wait for what the seat reads: a whole prompt, and nothing behind it."""
    return seat.leader is None and not seat.answer and seat.read < len(seat.prompt)
