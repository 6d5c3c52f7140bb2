"""Chat templates for tokenizers that come without one: how conversations are written by models that are taught them
here.

A vocabulary that has tokens for the roles writes a turn as its role's token, what is said, and `<|end|>`; another one
writes the role as a word on a line of its own and ends each turn with its end of text. Either way a turn ends with one
token, which is no text, so that a model can learn where to stop.
"""

from __future__ import annotations

from dataclasses import replace

from wenlu.errors import ConfigError
from wenlu.tokenizers.tokenizer import Tokenizer

END = "<|end|>"
ROLE_TOKENS = ("<|system|>", "<|user|>", "<|assistant|>", "<|tool|>", END)
"""Of a vocabulary that is learnt for conversations."""

_SAID = "{{ message.content | trim }}{% if message.tool_calls %}{{ message.tool_calls | tojson }}{% endif %}"
BY_TOKENS = (
    "{% for message in messages %}<|{{ message.role }}|>" + _SAID + "<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
BY_WORDS = (
    "{% for message in messages %}{{ message.role | capitalize }}:\n" + _SAID + "{{ eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}Assistant:\n{% endif %}"
)


def with_chat_template(tokenizer: Tokenizer) -> Tokenizer:
    """The tokenizer itself where it has a chat template, else a copy with one of ours.

    Raises ConfigError where it has no token that could end a turn.
    """
    if tokenizer.chat_template is not None:
        return tokenizer
    if set(ROLE_TOKENS) <= set(tokenizer.special_tokens):
        template = BY_TOKENS
    elif tokenizer.eos_id is not None:
        template = BY_WORDS
    else:
        raise ConfigError(
            "the tokenizer has neither a chat template nor a token that ends a text, so no turn could end; name one as "
            "eos_token in its config"
        )
    return tokenizer.with_settings(replace(tokenizer.settings, template=template))


def end_of_turn(tokenizer: Tokenizer) -> int:
    """The token that the chat template writes behind what the assistant says.

    Raises:
        ConfigError: it writes none.
        DataError, WeightsError: as `apply_chat_template`.
    """
    asked = [{"role": "user", "content": "a"}]
    prompt = tokenizer.apply_chat_template(asked)
    whole = tokenizer.apply_chat_template([*asked, {"role": "assistant", "content": "b"}], add_generation_prompt=False)
    said = whole[len(prompt) :] if whole[: len(prompt)] == prompt else whole[:-2:-1]
    special = frozenset(tokenizer.special_tokens.values())
    end = next((token for token in said if token in special), None)
    if end is None:
        raise ConfigError(
            "the chat template writes no special token behind an answer, so a model could not learn where to stop; "
            "give the model another template (chat_template.jinja)"
        )
    return end
