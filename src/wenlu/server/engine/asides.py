"""Requests about a tokenizer, which need no step of any model."""

from __future__ import annotations

from wenlu.bundle import Bundle
from wenlu.errors import DataError
from wenlu.server.engine.problem import Problem
from wenlu.server.engine.prompts import checked, encoded
from wenlu.server.engine.served import Served
from wenlu.server.messages import Describe, Description, Detokenize, Tokenize, Tokens

Aside = Tokenize | Detokenize | Describe


def reply_to(asked: Aside, served: Served) -> Tokens | Description:
    """Raises Problem."""
    bundle = served.bundle
    if not isinstance(bundle, Bundle):
        raise Problem("request", f"{served.name} is a linear model, which reads words and has no tokenizer")
    tokenizer = bundle.tokenizer
    match asked:
        case Tokenize():
            ids, _ = encoded(bundle, asked.prompt, eyes=served.eyes, framed=asked.framed)
            strings = tuple(map(tokenizer.token, ids))
            text = tokenizer.decode(ids, skip_special=False)
            return Tokens(id=asked.id, ids=tuple(ids), text=text, strings=strings, context=served.info.context)
        case Detokenize():
            try:
                text = tokenizer.decode(checked(bundle, asked.ids, param="ids"), skip_special=False)
            except DataError as error:  # an id between others that the vocabulary has not
                raise Problem.of(error, param="ids") from error
            return Tokens(id=asked.id, ids=asked.ids, text=text, context=served.info.context)
        case Describe():
            template = tokenizer.chat_template
            bos, eos, pad = (
                None if id is None else tokenizer.token(id)
                for id in (tokenizer.bos_id, tokenizer.eos_id, tokenizer.pad_id)
            )
            return Description(
                id=asked.id,
                specials=dict(tokenizer.special_tokens),
                bos=bos,
                eos=eos,
                pad=pad,
                vocab_size=tokenizer.vocab_size,
                context=served.info.context,
                chat_template=None if template is None else template.source,
            )
