"""The token that continues a text: its logit, or by how much it exceeds another's."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from wenlu.errors import UsageError
from wenlu.explanation.neural import Aim
from wenlu.explanation.subject import Part, Told
from wenlu.explanation.targets.framed import Framed, Question, direction, pieces_of, row
from wenlu.models import LanguageModel
from wenlu.tasks.task import Batch
from wenlu.tokenizers import Tokenizer

TOLD = 5
"""Likeliest tokens that are told."""


def framed(model: LanguageModel, tokenizer: Tokenizer, text: str, context: int, ask: Question) -> Framed:
    """Of a text that is longer than `context` its end. Raises UsageError where there are no tokens."""
    spanned, opening = tokenizer.encode_spans([text])[0], tokenizer.opening
    kept = range(max(0, len(spanned.ids) + len(opening) - context), len(spanned.ids))
    if not kept:
        raise UsageError("there is no text to continue, so there is nothing that the next token could come from")
    ids = [*opening, *(spanned.ids[place] for place in kept)]
    read_at = np.zeros(len(ids))
    read_at[-1] = 1.0
    only_row = row(model, ids, None, [-1] * len(opening) + list(range(len(kept))), read_at)

    shares = _read(model, Batch(only_row.ids[None], only_row.ids[:0])).detach().float().softmax(dim=1)[0]
    likeliest = shares.topk(min(TOLD, len(shares))).indices.tolist()
    target = likeliest[0] if ask.target is None else _first_token(tokenizer, ask.target, "target")
    against = None if ask.against is None else _first_token(tokenizer, ask.against, "against")

    def chance(scores: Tensor) -> Tensor:
        return scores.softmax(dim=1)[:, target]

    told = Told(
        "next-token",
        {
            "prediction": tokenizer.decode([likeliest[0]]),
            "probability": round(shares[likeliest[0]].item(), 6),
            "alternatives": [
                {"token": tokenizer.decode([number]), "probability": round(shares[number].item(), 6)}
                for number in likeliest[1:]
            ],
        },
        tokenizer.decode([target]),
        None if against is None else tokenizer.decode([against]),
        "logit" if against is None else "difference of logits",
        "probability",
    )
    aim = Aim(_read, direction(len(shares), target, against, next(model.parameters())), chance)
    return Framed(told, aim, (only_row,), (Part("text", text),), tuple(pieces_of(0, spanned.spans, kept)))


def _read(model: LanguageModel, batch: Batch) -> Tensor:
    """(B, V) of what follows the last token."""
    scores: Tensor = model.lm_head(model.hidden(batch.input_ids)[:, -1])
    return scores


def _first_token(tokenizer: Tokenizer, text: str, what: str) -> int:
    ids = tokenizer.encode(text)
    if not ids:
        raise UsageError(f"{what}={text!r}: the tokenizer makes nothing of it; name a word")
    return ids[0]
