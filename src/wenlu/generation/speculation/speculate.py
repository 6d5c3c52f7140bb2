"""Answer a prompt with guesses: one pass of the model checks several tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from wenlu.bundle import Bundle
from wenlu.errors import UsageError
from wenlu.generation import sampling as numbers
from wenlu.generation.choosing import Finish, Scored, finish_of, probabilities, scored
from wenlu.generation.engine import Emission, Request
from wenlu.generation.forward import inference, room_for, to_logits
from wenlu.generation.settings import SamplingConfig
from wenlu.generation.speculation.draft_model import rewindable
from wenlu.generation.speculation.drafter import Draft, Draftee, Drafter
from wenlu.generation.speculation.verify import verify
from wenlu.generation.text import Answer, Choice, Requests, check_streams, encode_prompt
from wenlu.models import LanguageModel
from wenlu.models.layers.encoder_decoder import EncoderDecoder
from wenlu.models.layers.kv_cache import KVCache

ACCEPTING = 1
"""The stream of numbers by which guesses stay."""


@dataclass(frozen=True)
class Speculated:
    """An answer, and what the guesses were good for.

    Attributes:
        passes: of the model, the reading of the prompt included.
        drafted: guessed tokens. accepted: those of them that stayed.
    """

    choice: Choice
    passes: int
    drafted: int
    accepted: int

    def __str__(self) -> str:
        kept = f"{self.accepted} of {self.drafted} guesses kept"
        share = f" ({self.accepted / self.drafted:.0%})" if self.drafted else ""
        return f"{self.choice.tokens} tokens in {self.passes} passes: {kept}{share}"


def speculate(
    bundle: Bundle, prompt: str | list[int], sampling: SamplingConfig, drafter: Drafter, *, count: int = 4
) -> Speculated:
    """The answer to `prompt`, distributed as that of `complete`; equal to it where the guesses are not drawn.

    That holds up to rounding: several tokens in a pass can differ in the last bits from one, and so can a tie.

    Args:
        prompt: text, or ids. count: guesses a pass.

    Raises:
        UsageError: several answers or beams, `prompt_logprobs`, another `cache`, an encoder–decoder, or a model that
            cannot take tokens back.
    """
    check_streams(sampling)
    if sampling.prompt_logprobs:
        raise UsageError("prompt_logprobs are not told of a speculated answer; remove them")
    if sampling.cache != "plain":
        raise UsageError(f"cache={sampling.cache!r} is not for speculation, which keeps plain numbers; remove it")
    if isinstance(bundle.model, EncoderDecoder):
        raise UsageError("speculation is for decoders, not for an encoder–decoder; use `complete`")
    ids = encode_prompt(bundle, prompt) if isinstance(prompt, str) else prompt
    request = Requests(bundle, sampling).make(ids, choice=0)
    room = room_for(bundle.model, ids)
    limit = request.max_new_tokens if room is None else min(request.max_new_tokens, room)
    answer = Answer(bundle, ids, sampling)
    passes, drafted, accepted = 0, 0, 0
    with inference(bundle.model):
        state = rewindable(bundle.model.init_state(1), "the model")
        unread = list(ids)
        finish: Finish | None = None
        while finish is None:
            row = Draftee(request, limit, ids, answer.ids)
            draft = drafter.propose(row, min(count, limit - len(answer.ids) - 1))
            logits = _read(bundle.model, [*unread, *draft.tokens], len(draft.tokens) + 1, state)
            tokens = _checked(logits, row, draft)
            passes, drafted, accepted = passes + 1, drafted + len(draft.tokens), accepted + len(tokens) - 1
            for told in _told(logits[: len(tokens)], tokens, request):
                ended = finish_of(Draftee(request, limit, ids, [*answer.ids, told.token]))
                finish = answer.take(Emission(0, told.token, told.logprob, ended, told.top)).finish
                if finish is not None:
                    break
            state.truncate([len(ids) + len(answer.ids) - 1])
            unread = answer.ids[-1:]
    return Speculated(answer.choice(), passes, drafted, accepted)


def _read(model: LanguageModel, tokens: Sequence[int], last: int, state: KVCache) -> Tensor:
    """Logits (last, V) behind each of the `last` tokens."""
    ids = torch.tensor([tokens], device=state.lengths.device)
    return to_logits(model, model.hidden(ids, state=state)[0, -last:])


def _told(logits: Tensor, tokens: Sequence[int], request: Request) -> list[Scored]:
    asked = [request.top_logprobs] * len(tokens)
    return scored(logits, torch.tensor(tokens, device=logits.device), asked, [request.vocab_size] * len(tokens))


def _checked(logits: Tensor, row: Draftee, draft: Draft) -> list[int]:
    """The guesses of `draft` that stay behind the answer of `row`, and one more token."""
    size = logits[:, : row.request.vocab_size].shape[-1]
    if draft.probabilities is not None and draft.probabilities.shape[-1] != size:
        raise UsageError(
            f"speculation: the draft model chooses among {draft.probabilities.shape[-1]} tokens and the model among "
            f"{size}; both need the same tokenizer"
        )
    target: list[Tensor] = []
    for place in range(len(draft.tokens) + 1):
        target.append(probabilities(logits[place : place + 1], [row.behind(draft.tokens[:place])])[0])
        # Nothing is asked behind a guess that cannot stay: a form has no way on from what it does not allow.
        if place < len(draft.tokens) and target[-1][draft.tokens[place]] == 0:
            draft = Draft(
                draft.tokens[: place + 1], None if draft.probabilities is None else draft.probabilities[: place + 1]
            )
            break
    seed, choice = row.request.seed, row.request.choice
    places = range(row.position, row.position + len(draft.tokens) + 1)
    accepts = [numbers.uniform(seed, choice, place, stream=ACCEPTING) for place in places]
    draws = [numbers.uniform(seed, choice, place) for place in places]
    return verify(torch.stack(target), draft, accepts, draws)
