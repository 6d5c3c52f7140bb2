"""A `Generate` as the engine takes it: everything that can be done before a step."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass

from wenlu.bundle import Bundle
from wenlu.config import check
from wenlu.errors import ConfigError, WenluError
from wenlu.generation.answer import Answer
from wenlu.generation.echo import check_echo
from wenlu.generation.engine import Request
from wenlu.generation.settings import Sampling, SamplingConfig
from wenlu.generation.text import begins_text, constraints
from wenlu.models.layers.encoder_decoder import EncoderDecoder
from wenlu.server.engine.forms import Forms
from wenlu.server.engine.pictures import answers_about_one
from wenlu.server.engine.problem import Problem, too_long
from wenlu.server.engine.prompts import encoded
from wenlu.server.engine.served import Served
from wenlu.server.engine.tools import calling
from wenlu.server.messages import ChatPrompt, Form, Generate, TextPrompt

MOST_TOP = 20
_UNBOUNDED = 1 << 30
"""Tokens of an answer, where nothing bounds it but the deadline."""


@dataclass(frozen=True)
class Prepared:
    """A request as the engine takes it.

    Attributes:
        text: of the prompt, where it is to be told.
        encode_seconds: that the prompt took, with its template.
        requests: one for each answer. answers: what gathers their text, which knows the prompt already.
    """

    asked: Generate
    bundle: Bundle
    ids: list[int]
    text: str
    seed: int
    encode_seconds: float
    requests: Sequence[Request]
    answers: Sequence[Answer]


def prepare(asked: Generate, served: Served, most_tokens: int | None, forms: Forms) -> Prepared:
    """Everything that can be done before the engine is asked; raises Problem.

    Args:
        most_tokens: of prompt and answer, that there is memory for.
    """
    bundle = served.bundle
    if not isinstance(bundle, Bundle) or not served.writes:
        does = ", ".join(served.info.abilities)
        raise Problem("request", f"{served.name} writes no text; it can be asked to {does}")
    _check_counts(asked)
    settings = _settings(asked)
    began = time.perf_counter()
    if answers_about_one(bundle) and not isinstance(asked.prompt, ChatPrompt):
        raise Problem("request", "this model is asked about pictures, which only a chat can show", param="prompt")
    ids, pixels = encoded(bundle, asked.prompt, eyes=served.eyes)
    encode_seconds = time.perf_counter() - began
    limit = _limit(bundle, ids, asked.max_tokens, most_tokens)
    rules = _rules(asked, bundle)
    form, param = asked.form, None
    if isinstance(asked.prompt, ChatPrompt) and (grammar := calling(asked.prompt)) is not None:
        if form is not None:
            raise Problem("request", "an answer that has to call functions can have no other form", param="form")
        form, param = Form(grammar=grammar), "prompt.tools"
    compiled = None if form is None else forms.read(bundle, form, param=param)
    if form is not None and asked.ignore_end:
        raise Problem("request", "ignore_end goes on where the form ends the answer; remove one", param="ignore_end")
    echoes = asked.echo and asked.logprobs is not None
    try:
        if echoes:
            check_echo(bundle.model)
        said = constraints(bundle)
    except WenluError as error:
        raise Problem.of(error, param="echo" if echoes else None) from error
    seed = secrets.randbits(53) if asked.seed is None else asked.seed % 2**64
    begins = begins_text(bundle, ids)
    requests = [
        Request(
            prompt=ids,
            max_new_tokens=limit,
            rules=rules,
            constraints=said,
            stop_ids=frozenset() if asked.ignore_end else bundle.end_ids,
            vocab_size=bundle.tokenizer.vocab_size,
            seed=seed,
            choice=choice,
            priority=asked.priority,
            salt=asked.salt,
            adapter=served.adapter,
            top_logprobs=asked.logprobs or 0,
            prompt_logprobs=echoes and choice == 0,
            guide=None if compiled is None else compiled.guide(begins),
            pixel_values=pixels,
        )
        for choice in range(max(asked.n, asked.best_of))
    ]
    text = ""
    if asked.echo:
        is_text = isinstance(asked.prompt, TextPrompt) and asked.prompt.suffix is None
        text = asked.prompt.text if is_text and isinstance(asked.prompt, TextPrompt) else bundle.tokenizer.decode(ids)
    answers = [Answer(bundle, ids, settings, tells_broken=False) for _ in requests]
    return Prepared(asked, bundle, ids, text, seed, encode_seconds, requests, answers)


def _limit(bundle: Bundle, ids: Sequence[int], wanted: int | None, most_tokens: int | None) -> int:
    """How many tokens the answer may have; raises Problem where not one may."""
    if not ids:
        raise Problem("request", "the prompt has no tokens; give at least one character", param="prompt")
    context = bundle.config.context
    if isinstance(bundle.model, EncoderDecoder):
        if context is not None and len(ids) > context:
            raise too_long(context, len(ids))
        room = context
    else:
        bounds = [bound for bound in (context, most_tokens) if bound is not None]
        context = min(bounds, default=None)
        room = None if context is None else context - len(ids)
        if context is not None and room is not None and room < 1:
            raise too_long(context, len(ids))
    limit = _UNBOUNDED if wanted is None else max(1, wanted)
    return limit if room is None else min(limit, room)


def _check_counts(asked: Generate) -> None:
    """Raise Problem for what no number can mean."""
    least = {"n": (asked.n, 1), "best_of": (asked.best_of, 0), "max_tokens": (asked.max_tokens, 0)}
    for name, (given, smallest) in least.items():
        if given is not None and given < smallest:
            raise Problem("request", f"{name} is {given}, and at least {smallest} is expected", param=name)
    if asked.logprobs is not None and not 0 <= asked.logprobs <= MOST_TOP:
        raise Problem(
            "request",
            f"logprobs is {asked.logprobs}; 0 to {MOST_TOP} of the likeliest tokens are told",
            param="logprobs",
        )


def _settings(asked: Generate) -> SamplingConfig:
    try:
        return check(SamplingConfig, {"stop": asked.stop}, where="stop")
    except ConfigError as error:
        raise Problem("request", _without_place(error, "stop"), param="stop") from error


def _rules(asked: Generate, bundle: Bundle) -> Sampling:
    given = {name: getattr(asked.rules, name) for name in asked.rules.__struct_fields__}
    size = bundle.tokenizer.vocab_size
    strange = next((id for id in asked.rules.logit_bias if not 0 <= id < size), None)
    if strange is not None:
        raise Problem("request", f"token {strange} is none of this model's {size:,}", param="rules.logit_bias")
    try:
        return check(Sampling, given, where="rules")
    except ConfigError as error:
        message = _without_place(error, "rules")
        raise Problem("request", message, param=f"rules.{message.partition(':')[0]}") from error


def _without_place(error: ConfigError, where: str) -> str:
    """A complaint in a line, without the heading that names where the settings stand."""
    return " ".join(str(error).removeprefix(f"{where}:").split())
