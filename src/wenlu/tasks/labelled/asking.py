"""What stands around a text that a chat model is asked about."""

from __future__ import annotations

from wenlu.errors import ConfigError
from wenlu.tokenizers import Tokenizer


def around_source(tokenizer: Tokenizer, said: str, source: str) -> tuple[list[int], list[int]]:
    """The tokens before and behind `source`, which stands once in what a user says, up to where the assistant begins.

    Raises:
        ConfigError: the chat template does not write it once.
        DataError, WeightsError: as `ChatTemplate.pieces`.
    """
    template = tokenizer.chat_template
    assert template is not None, "only models with a chat template are asked in roles"
    sides: tuple[list[int], list[int]] = [], []
    side = 0
    for number, piece in enumerate(template.pieces([{"role": "user", "content": said}])):
        if piece.special:
            sides[min(side, 1)].append(tokenizer.special_tokens[piece.text])
            continue
        for place, part in enumerate(piece.text.split(source)):
            side += place > 0
            encode = tokenizer.encode_batch_inside if number or place else tokenizer.encode_batch
            sides[min(side, 1)].extend(encode([part])[0])
    if side != 1:
        raise ConfigError(
            f"the chat template writes what a user says {side} times, so that no source can stand in it; set "
            "task.chat=false"
        )
    return sides
