"""A model as it is served: what it can be asked, and what is said of it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from msgspec.structs import replace as with_changes

from wenlu.bundle import Bundle
from wenlu.errors import ConfigError, DataError, UsageError, WeightsError
from wenlu.evaluation.linear.prediction import Stored
from wenlu.explanation.explain import Explainer, explains
from wenlu.generation.embedder import as_embedder
from wenlu.generation.forward import context_of
from wenlu.generation.picture_chat import PictureChat
from wenlu.models.layers.encoder_decoder import EncoderDecoder
from wenlu.server.engine.pictures import answers_about_one
from wenlu.server.engine.tools import knows_tools
from wenlu.server.messages import Ability, ModelInfo
from wenlu.tasks import (
    CausalLM,
    Dialogue,
    Embedding,
    GenerativeTask,
    Grading,
    ImageTextRetrieval,
    LabelledTask,
    MaskedLM,
    MultiTask,
    Preference,
    QuestionAnswering,
    Reward,
    Task,
    TextClassification,
    TokenClassification,
)
from wenlu.tasks.coding.gaps import Sentinels
from wenlu.tasks.corruption.pairs import Pairs
from wenlu.tasks.pictured.writing import PicturedWritingTask

_LABELLED: tuple[tuple[type[Task], Ability], ...] = (
    (Embedding, "embed"),
    (TextClassification, "classify"),
    (TokenClassification, "extract"),
    (QuestionAnswering, "answer"),
    (Grading, "grade"),
    (Reward, "grade"),
    (GenerativeTask, "translate"),
)
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True)
class Served:
    """A model by the name that requests call it.

    Attributes:
        bundle: or a linear model.
        adapter: the engine's name of it, where it shares another's weights.
        eyes: how pictures are shown in a conversation with it.
    """

    info: ModelInfo
    bundle: Bundle | Stored
    adapter: str | None = None
    eyes: PictureChat | None = None

    @property
    def name(self) -> str:
        return self.info.name

    @property
    def writes(self) -> bool:
        """Whether it answers `Generate`."""
        return "complete" in self.info.abilities or answers_about_one(self.bundle)

    @cached_property
    def explainer(self) -> Explainer:
        """Asked from one thread; the first explanation waits for the digest of the weights."""
        return Explainer(self.bundle)


def served(name: str, bundle: Bundle, *, parent: str | None = None, adapter: str | None = None) -> Iterator[Served]:
    """The model under its name; one that learnt several tasks, each of them as NAME/TASK.

    Raises UsageError for one that cannot be asked anything; WeightsError where its chat template cannot be rendered.
    """
    bundle = as_embedder(bundle)
    if isinstance(bundle.task, MultiTask):
        for member, task in bundle.task.members.items():
            yield from served(f"{name}/{member}", replace(bundle, task=task), parent=parent, adapter=adapter)
        return
    info = ModelInfo(
        name=name,
        abilities=abilities_of(bundle),
        created=created(bundle.path),
        context=context_of(bundle.model),
        parameters=sum(weight.numel() for weight in bundle.model.parameters()),
        parent=parent,
        tools=knows_tools(bundle.tokenizer.chat_template),
        loaded=True,
    )
    eyes = PictureChat.of(bundle)
    info = with_changes(info, sees=eyes is not None or answers_about_one(bundle))
    if isinstance(bundle.task, LabelledTask) and not isinstance(bundle.task, Dialogue | Preference):
        info = _labelled(info, bundle.task)
    if isinstance(bundle.task, Embedding):
        size = bundle.task.embed(bundle.model, ["."]).shape[1]
        info = with_changes(info, dimensions=int(size))
    if isinstance(bundle.task, PicturedWritingTask):
        ends = sorted({*bundle.end_ids, bundle.task.end_id})
        bundle = replace(bundle, generation={**bundle.generation, "eos_token_id": ends})
    elif "chat" in info.abilities:
        check_template(bundle)
    yield Served(info, bundle, adapter, eyes)


def served_linear(name: str, stored: Stored, path: Path) -> Served:
    """A linear model of `wenlu compare`."""
    task = stored.model.task
    abilities = (*_abilities_of_labelled(task), *_explains(stored))
    info = ModelInfo(name=name, abilities=abilities, created=created(path), loaded=True)
    info = _labelled(info, task)
    return Served(with_changes(info, columns=(*info.columns, *stored.model.features.config.columns)), stored)


def abilities_of(bundle: Bundle) -> tuple[Ability, ...]:
    """Raises UsageError where there is none."""
    task, model = bundle.task, bundle.model
    if isinstance(task, CausalLM | Dialogue | Preference):
        found: list[Ability] = ["complete"]
        if bundle.tokenizer.chat_template is not None:
            found.insert(0, "chat")
        if sentinels_of(bundle) is not None:
            found.append("fill-in-the-middle")
        return (*found, *_explains(bundle))
    if isinstance(task, PicturedWritingTask):
        return ("chat",)
    if isinstance(task, ImageTextRetrieval):
        raise UsageError(
            f"{bundle.path}: cannot be served yet: it matches texts and pictures; ask it with: wenlu predict"
        )
    if isinstance(task, LabelledTask):
        return (*_abilities_of_labelled(task), *_explains(bundle))
    if isinstance(model, EncoderDecoder):
        return ("complete",)
    does = "fills in masks, which no endpoint asks for" if isinstance(task, MaskedLM | Pairs) else "answers nothing"
    raise UsageError(f"{bundle.path}: cannot be served: {type(model).__name__} {does}; ask it with: wenlu predict")


def sentinels_of(bundle: Bundle) -> Sentinels | None:
    """The tokens around the parts of a text with a gap, where the model knows them."""
    try:
        return Sentinels.of(bundle.tokenizer, None)
    except ConfigError:
        return None


def check_template(bundle: Bundle) -> None:
    """Render a conversation, and read it: what comes back must be what the template wrote, but for white space.

    Raises WeightsError where it is not, or cannot be rendered.
    """
    tokenizer = bundle.tokenizer
    template = tokenizer.chat_template
    assert template is not None, "asked of models that chat"
    messages = [{"role": "user", "content": "Hello, 你好!"}]
    try:
        written, ids = template.render(messages), tokenizer.apply_chat_template(messages)
    except DataError as error:
        raise WeightsError(f"{bundle.path}: its chat template refuses one message of a user: {error}") from error
    if any(id == tokenizer.unk_id for id in ids):
        return  # characters that the vocabulary has not cannot come back
    read = tokenizer.decode(ids, skip_special=False)
    if _SPACE.sub("", read) != _SPACE.sub("", written):
        raise WeightsError(
            f"{bundle.path}: its chat template writes {written[:200]!r}, of which its tokenizer makes {read[:200]!r}; "
            "do both belong to the model?"
        )


def created(path: Path) -> int:
    """When a model's files were written."""
    file = path / "config.json"
    return int((file if file.is_file() else path).stat().st_mtime)


def _abilities_of_labelled(task: Task) -> tuple[Ability, ...]:
    return (next(ability for kind, ability in _LABELLED if isinstance(task, kind)),)


def _explains(model: Bundle | Stored) -> tuple[Ability, ...]:
    return ("explain",) if explains(model) else ()


def _labelled(info: ModelInfo, task: LabelledTask) -> ModelInfo:
    labels = next((found for name in ("labels", "types", "traits") if (found := getattr(task.config, name, None))), ())
    columns = tuple(role.name for role in task.config.roles if not role.is_answer)
    return with_changes(info, task=task.name, labels=tuple(map(str, labels)), columns=columns)
