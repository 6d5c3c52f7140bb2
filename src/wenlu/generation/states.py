"""The memory of models that remember otherwise than by pages: recurrent ones, and those that read a source first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from wenlu.generation.forward import alike, decode, prefill, to_logits
from wenlu.generation.memory import Reading
from wenlu.generation.seat import Part, Seat
from wenlu.models import DecodeState, LanguageModel


class _Unbounded:
    """States take what they take: how many there are is the only bound."""

    unit = None

    def check(self, tokens: int) -> None:
        pass

    def begin(self, seat: Seat) -> None:
        pass

    def reserve(self, seat: Seat, end: int, *, spare: int = 0) -> bool:  # noqa: ARG002  (as `Memory` has it)
        return True

    def trim(self, seat: Seat) -> None:
        pass


class StateMemory(_Unbounded):
    """A state of its own for each seat, and a call for each: no answer depends on the others."""

    def __init__(self, models: Mapping[str | None, LanguageModel]) -> None:
        self._models = models

    def free(self, seat: Seat) -> None:
        seat.state = None
        seat.read = 0

    def read(self, parts: Sequence[Part]) -> list[Reading]:
        return [self._read(part.seat) for part in parts]

    def _read(self, seat: Seat) -> Reading:
        model = self._models[seat.adapter]
        if seat.state is None:
            seat.state = model.init_state(1)
            hidden = prefill(model, [seat.prompt], seat.state)
        else:
            hidden = decode(model, [seat.answer[-1]], seat.state)
        seat.read = seat.known
        seats = [seat, *seat.followers]
        for follower in seat.followers:
            follower.state = seat.state.select(torch.zeros(1, dtype=torch.int64, device=seat.state.lengths.device))
            follower.read, follower.leader = seat.read, None
        seat.followers = []
        return Reading(seats, to_logits(model, hidden).expand(len(seats), -1))


@dataclass
class _Rows:
    """Seats that are read together, in the order of the rows of their state."""

    seats: list[Seat] = field(default_factory=list)
    state: DecodeState | None = None


class JoinedStates(_Unbounded):
    """One state for all seats of a model, and a call for all: faster, and the last digits depend on who shares it."""

    def __init__(self, models: Mapping[str | None, LanguageModel]) -> None:
        self._models = models
        self._rows: dict[str | None, _Rows] = {name: _Rows() for name in models}

    def free(self, seat: Seat) -> None:
        seat.read = 0
        rows = self._rows[seat.adapter]
        if seat not in rows.seats:
            return
        kept = [index for index, each in enumerate(rows.seats) if each is not seat]
        rows.seats = [rows.seats[index] for index in kept]
        if not kept:
            rows.state = None
        elif rows.state is not None:
            rows.state = rows.state.select(torch.tensor(kept, device=rows.state.lengths.device))

    def read(self, parts: Sequence[Part]) -> list[Reading]:
        found = []
        for adapter, rows in self._rows.items():
            new = [part.seat for part in parts if part.seat.adapter == adapter and part.seat not in rows.seats]
            if rows.seats or new:
                found.append(self._read(self._models[adapter], rows, new))
        return found

    def _read(self, model: LanguageModel, rows: _Rows, new: list[Seat]) -> Reading:
        hidden: list[Tensor] = []
        states: list[DecodeState] = []
        if rows.state is not None:
            hidden.append(decode(model, [seat.answer[-1] for seat in rows.seats], rows.state))
            states.append(rows.state)
        for group in alike([len(seat.prompt) for seat in new]):
            seats = [new[index] for index in group]
            state = model.init_state(len(seats))
            read = prefill(model, [seat.prompt for seat in seats], state)
            # Who follows one of them has the same prompt, so the row of his leader is his too.
            shared = [row for row, seat in enumerate(seats) for _ in (seat, *seat.followers)]
            chosen = torch.tensor(shared, device=read.device)
            hidden.append(read[chosen])
            states.append(state if len(shared) == len(seats) else state.select(chosen))
            rows.seats += [each for seat in seats for each in (seat, *seat.followers)]
        rows.state = states[0] if len(states) == 1 else type(states[0]).join(states)
        for seat in new:
            for follower in seat.followers:
                follower.leader = None
            seat.followers = []
        for seat in rows.seats:
            seat.read = seat.known
        return Reading(list(rows.seats), to_logits(model, torch.cat(hidden)))
