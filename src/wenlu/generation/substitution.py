"""Put other words into a text: those that a masked language model finds likely in their places."""

from __future__ import annotations

import random

import torch

from wenlu.bundle import Bundle
from wenlu.errors import UsageError
from wenlu.tasks import MaskedLM
from wenlu.tasks.corruption.pairs import Pairs

LONGEST = 512
"""Tokens of a text among which some are hidden; what follows stays as it is."""


def require_masked(bundle: Bundle) -> MaskedLM | Pairs:
    """The task of a model that fills in hidden tokens; raises UsageError for another."""
    if not isinstance(bundle.task, MaskedLM | Pairs):
        trained = "nothing that its folder tells" if bundle.task is None else bundle.task.name
        raise UsageError(
            f"{bundle.path}: was trained for {trained}, not to fill in hidden tokens; give a masked language model, "
            "such as a run of recipes/pretrain-masked-zh.toml"
        )
    return bundle.task


@torch.inference_mode()
def substituted(bundle: Bundle, text: str, drawn: random.Random, *, alpha: float, top_k: int) -> str:
    """The text with a share `alpha` of its words, at least one, in other words; all else is kept to the character.

    Words that the vocabulary spells in several tokens stay, as do numbers and punctuation marks. Each hidden one
    becomes one of the `top_k` likeliest others that begin a word as it does, drawn by probability.

    Raises UsageError where the model does not fill in hidden tokens.
    """
    task = require_masked(bundle)
    spanned = bundle.tokenizer.encode_spans([text])[0]
    begin, end = _frame(bundle, task)
    room = min(bundle.config.context or LONGEST, LONGEST) - len(begin) - len(end)
    ids = spanned.ids[:room]
    whole = [place for place, id in enumerate(ids) if _is_word(bundle, text, spanned.spans, place, id)]
    if not whole:
        return text
    hidden = sorted(drawn.sample(whole, max(1, int(alpha * len(whole)))))
    row = [*begin, *ids, *end]
    for place in hidden:
        row[len(begin) + place] = task.masking.mask_id
    device = next(bundle.model.parameters()).device
    logits = bundle.model(torch.tensor([row], device=device))[0]  # (T, V)
    for place in reversed(hidden):
        start, behind = spanned.spans[place]
        new = _drawn(bundle, logits[len(begin) + place].double().cpu(), ids[place], drawn, top_k)
        text = text[:start] + (text[start:behind] if new is None else new) + text[behind:]
    return text


def _drawn(bundle: Bundle, logits: torch.Tensor, before: int, drawn: random.Random, top_k: int) -> str | None:
    """Another token as text, without its space; None where no likely one is a word."""
    chances, numbers = torch.softmax(logits[: bundle.tokenizer.vocab_size], dim=0).topk(
        min(8 * top_k, bundle.tokenizer.vocab_size)
    )
    special = set(bundle.tokenizer.special_tokens.values())
    old = _spelt(bundle, before)
    likely = []
    for chance, number in zip(chances.tolist(), numbers.tolist(), strict=True):
        if number in special or number == before:
            continue
        spelt = _spelt(bundle, number)
        if spelt.strip().isalpha() and spelt[:1].isspace() == old[:1].isspace() and spelt.strip() != old.strip():
            likely.append((spelt.strip(), chance))
    likely = likely[:top_k]
    if not likely:
        return None
    (chosen,) = drawn.choices([word for word, _ in likely], [chance for _, chance in likely])
    return chosen


def _is_word(bundle: Bundle, text: str, spans: list[tuple[int, int]], place: int, id: int) -> bool:
    """Whether the token is a whole word of letters, or a Chinese one."""
    start, end = spans[place]
    if not text[start:end].isalpha() or not _spelt(bundle, id).strip().isalpha():
        return False
    if text[start] > "\u2e80":
        return True
    before, behind = text[start - 1 : start] if start else "", text[end : end + 1]
    return not (before.isalnum() or behind.isalnum())


def _spelt(bundle: Bundle, id: int) -> str:
    return bundle.tokenizer.spelling(id).decode("utf-8", "replace")


def _frame(bundle: Bundle, task: MaskedLM | Pairs) -> tuple[list[int], list[int]]:
    """What stands around the texts that the model was trained on."""
    if isinstance(task, Pairs):
        return [task.cls_id], [task.sep_id]
    return list(bundle.tokenizer.opening), [id for id in (bundle.tokenizer.eos_id,) if id is not None]
