"""The next token of each running request, from the logits of all: the last part of a step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from wenlu.errors import UsageError
from wenlu.generation import sampling
from wenlu.generation.constraints import Constraints
from wenlu.generation.guidance import guided
from wenlu.generation.settings import Sampling

if TYPE_CHECKING:  # the engine chooses by this file
    from wenlu.generation.engine import Request

Finish = Literal["stop", "length", "error"]
"""Why an answer ended: at a stop token; at `max_new_tokens` or the end of the model's context; or where the form that
it must have could not be gone on with."""

Top = tuple[tuple[int, float], ...]
"""Tokens with their log-probabilities, the likeliest first."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A token as the model itself saw it, before the rules.

    Attributes:
        logprob: in nats.
        top: the likeliest tokens in its place, as many as were asked for.
    """

    token: int
    logprob: float
    top: Top = ()


class Running(Protocol):
    """A request, what stands before its answer, and the answer so far."""

    @property
    def request(self) -> Request: ...
    @property
    def limit(self) -> int: ...
    @property
    def before(self) -> Sequence[int]: ...
    @property
    def answer(self) -> Sequence[int]: ...
    @property
    def position(self) -> int: ...
    def fail(self, error: str) -> None:
        """End the answer with the token that is being chosen."""


def choose(logits: Tensor, rows: Sequence[Running]) -> list[Scored]:
    """The next token of each row, from the model's logits (B, V); no row's depends on another's."""
    groups = _alike(rows)
    if len(groups) == 1:  # the usual case copies nothing
        tokens = _pick(ruled(logits, rows), rows)
    else:
        tokens = torch.empty(len(rows), dtype=torch.int64, device=logits.device)
        for indices in groups:
            alike = [rows[index] for index in indices]
            tokens[indices] = _pick(ruled(logits[indices], alike), alike)
    return scored(logits, tokens, [row.request.top_logprobs for row in rows], [row.request.vocab_size for row in rows])


def ruled(logits: Tensor, rows: Sequence[Running]) -> Tensor:
    """Logits (B, V') of rows that share their rules, after all of these; the least of them where nothing is drawn."""
    request = rows[0].request
    before, answers = [row.before for row in rows], [row.answer for row in rows]
    if request.rules.guidance != 1:
        logits = torch.stack([_contrasted(*each) for each in zip(logits, rows, strict=True)])
    logits = sampling.penalise(logits[:, : request.vocab_size], request.rules, before, answers)
    free = logits
    logits = request.constraints.apply(logits, before, answers, [row.limit for row in rows])
    if any(row.request.guide is not None for row in rows):
        logits = torch.stack([_formed(*each) for each in zip(logits, free, rows, strict=True)])
    return logits if request.rules.temperature == 0 else sampling.warp(logits, request.rules)


def probabilities(logits: Tensor, rows: Sequence[Running]) -> Tensor:
    """(B, V') float64: what the next token of rows that share their rules is drawn by; greedy is sure of one."""
    logits = ruled(logits, rows)
    if rows[0].request.rules.temperature == 0:
        return F.one_hot(logits.argmax(dim=-1), logits.shape[-1]).double()
    return logits.double().softmax(dim=-1)


def scored(logits: Tensor, tokens: Tensor, tops: Sequence[int], sizes: Sequence[int | None]) -> list[Scored]:
    """The `tokens` (B,), one of each row of logits (B, V), with the `tops` likeliest of the first `sizes` ones."""
    totals = logits.logsumexp(dim=-1, keepdim=True)
    own = (logits.gather(1, tokens.unsqueeze(1)) - totals).squeeze(1).tolist()
    found = []
    for row, (token, logprob) in enumerate(zip(tokens.tolist(), own, strict=True)):
        top: Top = ()
        if tops[row]:
            known = logits[row, : sizes[row]] - totals[row]
            best = known.topk(min(tops[row], len(known)))
            top = tuple(zip(best.indices.tolist(), best.values.tolist(), strict=True))
        found.append(Scored(token, logprob, top))
    return found


def finish_of(row: Running) -> Finish | None:
    """Why the answer ends with its last token; None where it goes on."""
    if row.answer[-1] in row.request.stop_ids or _is_full(row):
        return "stop"
    return "length" if len(row.answer) >= row.limit else None


def _is_full(row: Running) -> bool:
    guide = row.request.guide
    try:
        return guide is not None and guide.is_full(row.answer)
    except UsageError as error:
        row.fail(str(error))
        return False


def _contrasted(logits: Tensor, row: Running) -> Tensor:
    """(V,) logits of the model, after guidance."""
    contrast = row.request.contrast
    assert contrast is not None, "guidance needs what it leads away from"
    return guided(logits, contrast.logits(row.answer), row.request.rules.guidance)


def _formed(logits: Tensor, free: Tensor, row: Running) -> Tensor:
    """(V,) logits of what the guide allows; where the checkpoint forbids all of that, the guide wins.

    Where no token is allowed, since the vocabulary cannot spell what must come, or the guide gives up, the row fails.
    """
    guide = row.request.guide
    if guide is None:
        return logits
    try:
        mask = guide.mask(row.answer)[: len(logits)].to(logits.device)
    except UsageError as error:
        row.fail(str(error))
        return logits
    mask = F.pad(mask, (0, len(logits) - len(mask)), value=False)
    for scores in (logits, free):
        formed = scores.masked_fill(~mask, sampling.NEVER)
        if bool(formed.isfinite().any()):
            return formed
    row.fail("the form that the answer must have goes on with what no token of this tokenizer can spell")
    return logits


def _pick(logits: Tensor, rows: Sequence[Running]) -> Tensor:
    """(B,) tokens from the logits that the rules left."""
    if rows[0].request.rules.temperature == 0:
        return logits.argmax(dim=-1)
    uniforms = [sampling.uniform(row.request.seed, row.request.choice, row.position) for row in rows]
    return sampling.draw(logits, uniforms)


def _alike(rows: Sequence[Running]) -> list[list[int]]:
    """Indices of the rows, those together that choose by the same rules from the same vocabulary."""
    groups: dict[tuple[Sampling, Constraints, int | None], list[int]] = {}
    for index, row in enumerate(rows):
        request = row.request
        groups.setdefault((request.rules, request.constraints, request.vocab_size), []).append(index)
    return list(groups.values())
