"""Prompts with pictures, as ids with placeholders and the pictures' pixels."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from wenlu.bundle import Bundle
from wenlu.corpus.pictures.sight import Shown
from wenlu.errors import WenluError
from wenlu.evaluation.linear.prediction import Stored
from wenlu.generation.forward import context_of
from wenlu.generation.picture_chat import IMAGE
from wenlu.server.engine.problem import Problem
from wenlu.server.messages import PICTURE, ChatPrompt
from wenlu.tasks.pictured.writing import PicturedPair, PicturedWritingTask

LONGEST = 512


def answers_about_one(bundle: Bundle | Stored) -> bool:
    """Whether a model was taught single questions about pictures, rather than to converse."""
    return isinstance(bundle, Bundle) and isinstance(bundle.task, PicturedWritingTask)


def pictured(bundle: Bundle, prompt: ChatPrompt) -> tuple[list[int], Tensor]:
    """The ids and `pixel_values` (M, C, H, W) of what a model that answers about single pictures is asked.

    That is one message of a user with one picture, and a question where the task asks any. Raises Problem.
    """
    task = bundle.task
    assert isinstance(task, PicturedWritingTask), "asked of models that were taught so"
    if prompt.tools:
        raise Problem("request", "this model calls no functions", param="prompt.tools")
    messages = prompt.messages
    if len(messages) != 1 or messages[0]["role"] != "user":
        raise Problem(
            "request",
            f"this model answers one message of a user, with a picture, and remembers no others; {len(messages)} "
            "messages were sent",
            param="prompt.messages",
        )
    content = str(messages[0]["content"])
    if len(prompt.pictures) != 1 or content.count(PICTURE) != 1:
        raise Problem("request", f"one picture is expected, not {len(prompt.pictures)}", param="prompt.messages")
    question = content.replace(PICTURE, "").strip()
    asks = not task.config.roles[0].is_answer
    if asks and not question:
        raise Problem("request", "nothing is asked of the picture; send a text beside it", param="prompt.messages")
    if question and not asks:
        raise Problem(
            "request",
            f"this model {task.ability} and reads no text beside them; send the picture alone",
            param="prompt.messages",
        )
    context = task.config.trained_context or min(context_of(bundle.model) or LONGEST, LONGEST)
    try:
        example = PicturedPair(question, picture=Shown.at(prompt.pictures[0]))
        ids = task.prompts([example], context)[0]
        return ids, task.pictures([example])[0]
    except WenluError as error:
        raise Problem.of(error, param="prompt.messages") from error


def in_parts(messages: Sequence[Mapping[str, Any]], pictures: int) -> list[Mapping[str, Any]]:
    """Messages with a part for each picture that stands in their contents; raises Problem where there are more or
    fewer than were sent."""
    marks = sum(str(message.get("content", "")).count(PICTURE) for message in messages)
    if marks != pictures:
        raise Problem(
            "request",
            f"a message holds the character U+{ord(PICTURE):04X}, which stands for pictures; remove it from the text",
            param="prompt.messages",
        )
    return [{**message, "content": _parts(str(message.get("content", "")))} for message in messages]


def _parts(content: str) -> str | list[dict[str, str]]:
    """What was joined by line ends, apart again."""
    if PICTURE not in content:
        return content
    parts: list[dict[str, str]] = []
    for number, text in enumerate(re.split(f"\n?{PICTURE}\n?", content)):
        parts += ([IMAGE] if number else []) + ([{"type": "text", "text": text}] if text else [])
    return parts
