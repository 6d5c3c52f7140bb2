"""A text that a user and a model write in turns."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from wenlu.bundle import Bundle
from wenlu.corpus.pictures.sight import Shown
from wenlu.errors import DataError, UsageError
from wenlu.generation.answer import Piece
from wenlu.generation.forward import context_of
from wenlu.generation.picture_chat import PictureChat, content_of
from wenlu.generation.settings import SamplingConfig
from wenlu.generation.text import stream_ids
from wenlu.rundir import atomic
from wenlu.tasks import Dialogue, Preference


@dataclass(frozen=True)
class Turn:
    """What the user wrote, and how the model went on, as far as it came.

    Attributes:
        pictures: paths of those that the user showed.
    """

    user: str
    answer: str
    pictures: tuple[str, ...] = ()


class Conversation:
    """Turns with a model.

    A model with a chat template answers in its role: it reads the turns as its template writes them. A base model
    knows no roles and continues the text so far: the system text and all turns, each on a new line. Where that
    outgrows the model's context, the oldest turns are forgotten; the system text stays.

    Attributes:
        system: stands above all turns.
        forgotten: tokens that the last answer could not see any more.
        eyes: how the model is shown pictures; None of one that sees none.
    """

    def __init__(self, bundle: Bundle, system: str = "") -> None:
        bundle.require_causal()
        self.bundle = bundle
        self.system = system
        self.turns: list[Turn] = []
        self.forgotten = 0
        self.eyes = PictureChat.of(bundle)
        self._answers = 0

    @property
    def in_roles(self) -> bool:
        """Whether the model answers as an assistant, rather than going on with the text."""
        return self.bundle.tokenizer.chat_template is not None

    @property
    def text(self) -> str:
        """All that has been written."""
        return self._head() + self._dialogue()

    def answer(self, user: str, sampling: SamplingConfig, pictures: Sequence[str] = ()) -> Generator[Piece, None, None]:
        """Answer `user`, or continue the text after it; an empty one lets the model go on where it stopped.

        Args:
            pictures: paths of pictures that the user shows with it.

        Closing the iterator ends the turn, which keeps what came so far. Each answer draws with another seed:
        `sampling.seed` for the first, one more for each that follows.

        Raises:
            UsageError: neither context nor `user` holds a token, or the system text or `user` fills the context; or
                the model sees no pictures.
            DataError, WeightsError: the chat template refuses the messages, or cannot be rendered; or a picture cannot
                be used.
        """
        turn, pixels = Turn(user, "", tuple(pictures)), None
        if pictures:
            self._seeing()
        if self.in_roles:
            ids, pixels = self._in_roles([*self.turns, turn], sampling)
        else:
            ids = self._prompt(_on_new_line(self._dialogue(), user), sampling)
        seed = (sampling.seed + self._answers) % 2**64
        pieces = stream_ids(self.bundle, ids, sampling.model_copy(update={"seed": seed}), pixels)
        return self._keep(turn, pieces)

    def look(self, picture: str) -> None:
        """See whether a picture can be shown; raises UsageError where the model sees none, BadPicture for a bad one."""
        self._seeing().sight.gallery([Shown.at(picture)])

    def reset(self) -> None:
        """Forget the turns, not the system text."""
        self.turns = []
        self.forgotten = 0

    def undo(self) -> Turn:
        """Take back the last turn; raises UsageError where there is none."""
        if not self.turns:
            raise UsageError("there is no turn to take back yet; write something first")
        return self.turns.pop()

    def load(self, path: Path) -> dict[str, Any]:
        """Take up a conversation that `save` wrote to a .json file, in place of this one; returns its settings.

        Raises DataError for another file; this conversation then stays as it is.
        """
        try:
            whole = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise DataError(f"{path}: is no conversation; /save FILE.json writes one that can be loaded") from error
        try:
            turns = [
                Turn(_text(turn["user"]), _text(turn["answer"]), tuple(map(_text, turn.get("pictures", ()))))
                for turn in whole["turns"]
            ]
            system, settings = _text(whole["system"]), dict(whole["settings"])
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"{path}: is no conversation: system, settings and turns belong to it ({error!r})"
            ) from error
        self.turns, self.system, self.forgotten = turns, system, 0
        return settings

    def save(self, path: Path, sampling: SamplingConfig) -> None:
        """Write the text, or all that made it where `path` ends in .json.

        Raises UsageError where `path` exists, ResourceError where it cannot be written.
        """
        if path.exists():
            raise UsageError(f"{path}: exists already; choose another name")
        content = self.text + "\n"
        if path.suffix == ".json":
            whole = {
                "model": str(self.bundle.path),
                "system": self.system,
                "settings": sampling.model_dump(mode="json", exclude_defaults=True),
                "turns": [{key: value for key, value in asdict(turn).items() if value != ()} for turn in self.turns],
            }
            content = json.dumps(whole, ensure_ascii=False, indent=2) + "\n"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise atomic.failed_to_write(path, error) from error
        atomic.write_text(path, content)

    def _keep(self, turn: Turn, pieces: Iterator[Piece]) -> Generator[Piece, None, None]:
        parts: list[str] = []
        try:
            for piece in pieces:
                parts.append(piece.text)
                yield piece
        finally:
            self.turns.append(replace(turn, answer="".join(parts)))
            self._answers += 1

    def _seeing(self) -> PictureChat:
        if self.eyes is None:
            raise UsageError("this model sees no pictures in a conversation; say it in words")
        return self.eyes

    def _head(self) -> str:
        return self.system if not self.system or self.system.endswith("\n") else f"{self.system}\n"

    def _dialogue(self) -> str:
        text = ""
        for turn in self.turns:
            text = _on_new_line(text, "\n".join([*(f"[{path}]" for path in turn.pictures), turn.user]))
            text = _on_new_line(text, turn.answer) if self.in_roles and turn.user else text + turn.answer
        return text

    def _in_roles(self, turns: list[Turn], sampling: SamplingConfig) -> tuple[list[int], Tensor | None]:
        """The system text and as many of the last `turns` as leave room for an answer, as the template writes them."""
        turns = _joined(turns)
        ids, pixels = self._written(turns)
        whole = len(ids)
        context = self._context()
        room = None if context is None else context - min(sampling.max_new_tokens, context // 2)
        while room is not None and len(ids) > room:
            if len(turns) == 1:
                raise UsageError(
                    f"the system text and this message have {len(ids)} tokens and leave no room in the model's context "
                    f"of {context}; shorten them"
                )
            turns = turns[1:]
            ids, pixels = self._written(turns)
        self.forgotten = whole - len(ids)
        return ids, pixels

    def _context(self) -> int | None:
        """What the model reads at once, or what it read when it learnt to converse."""
        task = self.bundle.task
        learnt = task.config.trained_context if isinstance(task, Dialogue | Preference) else None
        found = [length for length in (context_of(self.bundle.model), learnt) if length is not None]
        return min(found, default=None)

    def _written(self, turns: list[Turn]) -> tuple[list[int], Tensor | None]:
        """The ids of `turns` and their pictures; the last one is open: the model goes on behind its answer."""
        messages: list[dict[str, Any]] = [{"role": "system", "content": self.system}] if self.system else []
        for turn in turns:
            messages.append({"role": "user", "content": content_of(turn.user, len(turn.pictures))})
            messages.append({"role": "assistant", "content": turn.answer})
        tokenizer, pixels = self.bundle.tokenizer, None
        if self.eyes is None:
            ids = tokenizer.apply_chat_template(messages[:-1])
        else:
            shown = [Shown.at(path) for turn in turns for path in turn.pictures]
            ids, pixels = self.eyes.prompt(messages[:-1], shown)
        return [*ids, *tokenizer.encode(turns[-1].answer)], pixels

    def _prompt(self, dialogue: str, sampling: SamplingConfig) -> list[int]:
        """The tokenizer's opening, system text and as much of the end of `dialogue` as leaves room for an answer."""
        tokenizer = self.bundle.tokenizer
        whole = [*tokenizer.opening, *tokenizer.encode(self._head() + dialogue)]
        self.forgotten = 0
        context = context_of(self.bundle.model)
        if context is None:
            return whole
        room = context - min(sampling.max_new_tokens, context // 2)
        if len(whole) <= room:
            return whole
        head = [*tokenizer.opening, *tokenizer.encode(self._head())]
        if len(head) >= room:
            raise UsageError(
                f"the system text has {len(head)} tokens and leaves no room in the model's context of {context}; "
                f"shorten it"
            )
        tail = tokenizer.encode(dialogue)[len(head) - room :]
        self.forgotten = len(whole) - len(head) - len(tail)
        return [*head, *tail]


def _joined(turns: list[Turn]) -> list[Turn]:
    """Each answer in one piece, which an empty line of the user only continued; raises UsageError without a user."""
    result: list[Turn] = []
    for turn in turns:
        if turn.user or turn.pictures:
            result.append(turn)
        elif result:
            result[-1] = replace(result[-1], answer=result[-1].answer + turn.answer)
    if not result:
        raise UsageError("there is no answer to go on with yet; write something first")
    return result


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _on_new_line(text: str, more: str) -> str:
    """`more` below `text`; where it is empty `text` stays open, to be continued."""
    return f"{text}\n{more}" if text and more and not text.endswith("\n") else text + more
