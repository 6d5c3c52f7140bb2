"""A model as one of the two that are compared: what it is asked, and how its texts are framed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from wenlu.bundle import Bundle
from wenlu.errors import UsageError
from wenlu.generation.engine import Engine, Request
from wenlu.generation.forward import before_answer, context_of, inference
from wenlu.generation.source import frame_source
from wenlu.generation.text import constraints
from wenlu.models import Ability, family_of
from wenlu.models.layers.encoder_decoder import EncoderDecoder
from wenlu.models.marian import MarianConfig
from wenlu.tasks import Batch, ReadingTask
from wenlu.tokenizers import Tokenizer

Kind = Literal["causal", "seq2seq", "masked", "vectors"]


@dataclass(frozen=True)
class Side:
    """One of the two.

    Attributes:
        answer: gives logits, or vectors, (1, T, V) of ids (1, T); of an encoder–decoder the logits of these ids as
            the target, while they are the source too.
        go_on: the likeliest `count` next tokens of each prompt, one after another, or the answer to each source.
        frame: puts around the ids of a text what stands around it.
    """

    name: str
    kind: Kind
    tokenizer: Tokenizer
    answer: Callable[[Tensor], Tensor]
    go_on: Callable[[list[list[int]], int], list[list[int]]]
    frame: Callable[[list[int]], list[int]]
    context: int | None
    dtype: str
    ends: frozenset[int] = frozenset()
    """Tokens at which an answer ends."""


def side_of(bundle: Bundle, name: str | Path) -> Side:
    """A loaded model as one side of a comparison; raises UsageError for a target with a vocabulary of its own."""
    model = bundle.model
    kind = _kind(bundle)
    if isinstance(model.config, MarianConfig) and model.config.target_vocab_size < bundle.tokenizer.vocab_size:
        raise UsageError(
            f"{name}: writes {model.config.target_vocab_size} tokens and reads {bundle.tokenizer.vocab_size}; the two "
            "vocabularies of such a model are not compared yet, give one that shares them"
        )
    frame: Callable[[list[int]], list[int]] = partial(_framed, bundle.tokenizer, kind)
    if kind == "seq2seq":
        frame = partial(frame_source, bundle)
    dtype = str(next(model.parameters()).dtype).removeprefix("torch.")
    return Side(
        name=str(name),
        kind=kind,
        tokenizer=bundle.tokenizer,
        answer=partial(_answer, bundle),
        go_on=partial(_go_on, bundle),
        frame=frame,
        context=context_of(model),
        dtype=dtype,
        ends=bundle.end_ids,
    )


def task_side(bundle: Bundle, name: str | Path) -> Side:
    """A model of a task with a head: the numbers that the head gives of each text, or of each of its tokens."""
    kind = _kind(bundle)
    return replace(
        side_of(bundle, name),
        kind="vectors",
        answer=partial(_read, bundle),
        frame=partial(_framed, bundle.tokenizer, "masked" if kind == "vectors" else kind),
    )


def _read(bundle: Bundle, ids: Tensor) -> Tensor:
    task = bundle.task
    assert isinstance(task, ReadingTask), "asked of models with a head"
    ids = ids.to(next(bundle.model.parameters()).device)
    mask = torch.ones_like(ids)
    with inference(bundle.model):
        found = task.read(bundle.model, Batch(ids, ids, attention_mask=mask, token_types=torch.zeros_like(ids)))
    return (found if found.dim() == 3 else found[:, None]).cpu()


def _kind(bundle: Bundle) -> Kind:
    abilities = family_of(bundle.model).abilities
    if Ability.ENCODER_DECODER in abilities:
        return "seq2seq"
    if Ability.CAUSAL in abilities:
        return "causal"
    return "masked" if getattr(bundle.model.config, "head", None) == "masked-lm" else "vectors"


def _framed(tokenizer: Tokenizer, kind: Kind, ids: list[int]) -> list[int]:
    """An opening before the ids; both ends around them where the model reads both ways."""
    if kind == "causal":
        return [*tokenizer.opening, *ids]
    begin, end = tokenizer.bos_id, tokenizer.eos_id
    return ids if begin is None or end is None else [begin, *ids, end]


def _answer(bundle: Bundle, ids: Tensor) -> Tensor:
    model = bundle.model
    ids = ids.to(next(model.parameters()).device)
    with inference(model):
        if isinstance(model, EncoderDecoder):
            found: Tensor = model(ids, decoder_input_ids=shifted(model, ids))
        else:
            found = model(ids)
    return found.cpu()


def shifted(model: EncoderDecoder, ids: Tensor) -> Tensor:
    """What the decoder reads of a target (B, T): the token that begins one, and all but its last."""
    start = torch.tensor([before_answer(model, [])], device=ids.device).expand(len(ids), 1)
    return torch.cat([start, ids[:, :-1]], dim=1)


def _go_on(bundle: Bundle, prompts: list[list[int]], count: int) -> list[list[int]]:
    engine = Engine(bundle.model, max_batch=len(prompts), weights="torch")  # as the logits that are compared
    rules = constraints(bundle)
    size = bundle.tokenizer.vocab_size
    rows = {
        engine.submit(Request(prompt, max_new_tokens=count, constraints=rules, vocab_size=size)): row
        for row, prompt in enumerate(prompts)
    }
    found: list[list[int]] = [[] for _ in prompts]
    while engine.busy:
        for emission in engine.step():
            found[rows[emission.id]].append(emission.token)
    return found
