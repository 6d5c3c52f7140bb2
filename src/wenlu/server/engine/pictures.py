"""Prompts with pictures, as ids with placeholders and the pictures' pixels."""

from __future__ import annotations

from torch import Tensor

from wenlu.bundle import Bundle
from wenlu.corpus.pictures.sight import Shown
from wenlu.errors import WenluError
from wenlu.generation.forward import context_of
from wenlu.server.engine.problem import Problem
from wenlu.server.messages import PICTURE, ChatPrompt, Prompt
from wenlu.tasks.pictured.writing import PicturedPair, PicturedWritingTask

LONGEST = 512


def sees(bundle: Bundle) -> bool:
    """Whether users may show it pictures."""
    return isinstance(bundle.task, PicturedWritingTask)


def pictured(bundle: Bundle, prompt: Prompt) -> tuple[list[int], Tensor]:
    """The ids and `pixel_values` (M, C, H, W) of what a model that sees is asked.

    That is one message of a user with one picture, and a question where the task asks any. Raises Problem.
    """
    task = bundle.task
    assert isinstance(task, PicturedWritingTask), "asked of models that see"
    if not isinstance(prompt, ChatPrompt):
        raise Problem("request", "this model is asked about pictures, which only a chat can show", param="prompt")
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
