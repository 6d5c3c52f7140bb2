"""Prompts as ids, and the pictures that they show."""

from __future__ import annotations

from torch import Tensor

from wenlu.bundle import Bundle
from wenlu.corpus.pictures.picture import BadPicture
from wenlu.corpus.pictures.sight import Shown
from wenlu.errors import WenluError
from wenlu.generation.picture_chat import PictureChat
from wenlu.generation.source import source_ids
from wenlu.models.layers.encoder import Encoder
from wenlu.models.layers.encoder_decoder import EncoderDecoder
from wenlu.server.engine.pictures import answers_about_one, in_parts, pictured
from wenlu.server.engine.problem import Problem
from wenlu.server.engine.served import sentinels_of
from wenlu.server.engine.tools import knows_tools, told
from wenlu.server.messages import ChatPrompt, Prompt, TextPrompt, TokenPrompt


def encoded(
    bundle: Bundle, prompt: Prompt, *, eyes: PictureChat | None = None, framed: bool = True
) -> tuple[list[int], Tensor | None]:
    """The ids of a prompt and `pixel_values` (M, C, H, W) of its pictures; raises Problem.

    Args:
        eyes: how the model is shown pictures in a conversation. framed: as the model expects it.
    """
    try:
        match prompt:
            case TokenPrompt(ids=ids):
                return checked(bundle, ids), None
            case TextPrompt():
                return _text(bundle, prompt, framed=framed), None
            case ChatPrompt() if answers_about_one(bundle):
                return pictured(bundle, prompt)
            case ChatPrompt(pictures=pictures) if pictures and eyes is None:
                raise Problem("request", "this model reads no pictures; send text", param="prompt.messages")
            case ChatPrompt():
                return _chat(bundle, prompt, eyes)
    except BadPicture as error:
        raise Problem.of(error, param="prompt.messages") from error
    except WenluError as error:
        raise Problem.of(error, param="prompt") from error


def checked(bundle: Bundle, ids: tuple[int, ...], *, param: str = "prompt") -> list[int]:
    """Ids that a client made; raises Problem for one that the vocabulary has not."""
    size = bundle.tokenizer.vocab_size
    strange = next((id for id in ids if not 0 <= id < size), None)
    if strange is not None:
        raise Problem(
            "request",
            f"token {strange} is none of this model's {size:,}; its own tokenizer gives ids (/tokenize), or send text",
            param=param,
        )
    return list(ids)


def _text(bundle: Bundle, prompt: TextPrompt, *, framed: bool) -> list[int]:
    tokenizer = bundle.tokenizer
    if prompt.suffix is not None:
        sentinels = sentinels_of(bundle)
        if sentinels is None:
            raise Problem(
                "request", "this model was not taught to fill gaps, so it reads no suffix", param="prompt.suffix"
            )
        parts = tokenizer.encode_batch_inside([prompt.text, prompt.suffix])
        return [*tokenizer.opening, *sentinels.arranged(*parts, suffix_first=False)]
    if not framed:
        return tokenizer.encode(prompt.text)
    if isinstance(bundle.model, EncoderDecoder):
        return source_ids(bundle, prompt.text)
    if isinstance(bundle.model, Encoder):
        before, behind = tokenizer.frame
        return [*before, *tokenizer.encode(prompt.text), *behind]
    return [*tokenizer.opening, *tokenizer.encode(prompt.text)]


def _chat(bundle: Bundle, prompt: ChatPrompt, eyes: PictureChat | None) -> tuple[list[int], Tensor | None]:
    tokenizer = bundle.tokenizer
    template = tokenizer.chat_template
    if template is None:
        raise Problem("request", "this model has no chat template, so it knows no roles; ask it to complete a text")
    messages, tools = told(prompt, knows=knows_tools(template))
    begun: list[int] = []
    if prompt.continues:
        if not messages or messages[-1]["role"] != "assistant":
            raise Problem(
                "request", "the answer can go on only with a last message of the assistant", param="prompt.messages"
            )
        begun = tokenizer.encode_batch_inside([messages[-1]["content"]])[0]
        messages = messages[:-1]
    pixels = None
    if eyes is None or not prompt.pictures:
        ids = tokenizer.apply_chat_template(messages, tools=tools, variables=prompt.variables)
    else:
        shown = [Shown.at(url) for url in prompt.pictures]
        ids, pixels = eyes.prompt(in_parts(messages, len(shown)), shown, tools=tools, variables=prompt.variables)
    return [*ids, *begun], pixels
