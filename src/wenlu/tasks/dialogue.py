"""Go on with a conversation: what the assistant says next, learnt from all that it said."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import ClassVar, Literal, Self

import numpy as np
import torch
from pydantic import PositiveInt
from torch import Tensor

from wenlu.corpus.chats import Turn, conversation_in
from wenlu.corpus.ragged import Ragged
from wenlu.corpus.record import Record
from wenlu.corpus.source import SourceSpec
from wenlu.errors import DataError
from wenlu.metrics import Columns, chrf, chrf_columns, distinct, distinct_columns, mean_length, mean_length_columns
from wenlu.models import Ability, Family, LanguageModel
from wenlu.tasks.dialogues.chat import Chat
from wenlu.tasks.dialogues.packed import PackedRows, packed, told_apart
from wenlu.tasks.dialogues.rows import ChatRow, Writer
from wenlu.tasks.labelled.generative import (
    GenerativeConfig,
    GenerativeTask,
    Given,
    WrittenRows,
    drawn_places,
    no_answer,
)
from wenlu.tasks.labelled.task import Role
from wenlu.tasks.labelled.text_measure import TextMeasure
from wenlu.tasks.labelled.written_language import language_of
from wenlu.tasks.task import IGNORED, Batch, Draw
from wenlu.tokenizers import ROLE_TOKENS, Tokenizer, end_of_turn, with_chat_template

ANSWER_SHARE = 4
"""One of so many parts of a row stays free for the answer that a model is asked for, unless told."""


class DialogueConfig(GenerativeConfig):
    """How conversations are learnt.

    Attributes:
        language: a code such as "zh" or "en", by which the metrics cut replies into words; "auto" is "zh" where most of
            their letters are Chinese characters, else "en".
        max_tokens: of a conversation, in training and when the model is asked; "auto" is `train.context`.
        max_reply_tokens: of these so many stay free for the answer when it is asked; "auto" is a quarter of them.
        loss_on: what is learnt: each turn of the assistant, or the last one of a conversation alone.
        packing: training lays several conversations into a row of `train.context` tokens, and none sees another; a step
            has as many rows, and so more conversations.
    """

    suits: ClassVar[str] = "families that continue text"
    roles: ClassVar[tuple[Role, ...]] = (
        Role("text", "text", "all that is said, or a single message of the user"),
        Role("messages", "messages", "the turns of a conversation", is_optional=True),
    )
    name: Literal["dialogue"] = "dialogue"
    language: str = "auto"
    max_tokens: PositiveInt | Literal["auto"] = "auto"
    max_reply_tokens: PositiveInt | Literal["auto"] = "auto"
    loss_on: Literal["assistant", "completion"] = "assistant"
    packing: bool = False

    def accepts(self, family: Family) -> bool:
        return Ability.CAUSAL in family.abilities

    @property
    def special_tokens(self) -> tuple[str, ...]:
        return ROLE_TOKENS

    def read_columns(self) -> tuple[str, ...]:
        return ()

    def source_of(self, spec: SourceSpec) -> SourceSpec:
        named = self.columns.get("messages")
        return spec if spec.chats or spec.turns else spec.model_copy(update={"chats": named or "auto"})

    def made_for(self, family: Family, context: int) -> Self:  # noqa: ARG002
        return self if self.max_tokens != "auto" else self.model_copy(update={"max_tokens": context})

    def room(self, context: int) -> int:
        """The most tokens of a conversation."""
        return context if self.max_tokens == "auto" else min(self.max_tokens, context)

    @property
    def trained_context(self) -> int | None:
        return None if self.max_tokens == "auto" else self.max_tokens

    def learnt(self, examples: Sequence[Chat]) -> Self:
        """Raises DataError where nobody answers."""
        said = [chat.turns[place].content for chat in examples for place in chat.replies]
        if not said:
            raise DataError(
                f"data.train: none of {len(examples):,} conversations has a turn of the assistant to learn from"
            )
        return self if self.language != "auto" else self.model_copy(update={"language": language_of(said)})

    def texts_of(self, record: Record) -> Iterator[str]:
        return (turn.content for turn in Dialogue.example_of(record, self).turns if turn.content)


class Dialogue(GenerativeTask):
    """Each turn of the assistant is learnt from all turns before it, written as the chat template writes them.

    A tokenizer without a chat template gets one, which is saved with the model.
    """

    name = "dialogue"
    settings = DialogueConfig
    example = Chat
    metrics = ()
    target = "reply token"
    ability = "goes on with conversations"
    condition = "history"
    by_likelihood = True
    converses = True
    config: DialogueConfig

    def __init__(self, config: DialogueConfig, tokenizer: Tokenizer) -> None:
        super().__init__(config, with_chat_template(tokenizer))
        self.writer = Writer(self.tokenizer, end_of_turn(self.tokenizer))

    @classmethod
    def example_of(cls, record: Record, config: DialogueConfig) -> Chat:
        name = config.column("messages")
        told = record.meta.get(name)
        if told is None:
            return Chat.of([Turn("user", record.text.strip())], record.id)
        try:
            turns = conversation_in(told, name)
        except DataError as error:
            raise DataError(f"{record.id}: {error}") from error
        return Chat.of([replace(turn, content=turn.content.strip()) for turn in turns], record.id)

    @property
    def end_id(self) -> int:
        return self.writer.end_id

    @property
    def has_encoder(self) -> bool:
        return False

    def prompts(self, examples: Sequence[Chat], context: int) -> list[list[int]]:
        """Raises DataError that names a conversation which the chat template refuses."""
        room = self.config.room(context)
        free = self.config.max_reply_tokens
        room -= min(room // 2, room // ANSWER_SHARE if free == "auto" else free)
        asked = []
        for chat in examples:
            try:
                asked.append(self.writer.prompt(chat.history, room))
            except DataError as error:
                raise DataError(f"{chat.id}: {error}") from error
        return asked

    def references(self, examples: Sequence[Chat]) -> list[str]:
        replies = []
        for chat in examples:
            if chat.reply is None:
                raise no_answer(chat.id, "reply")
            replies.append(chat.reply)
        return replies

    def all_targets(self, examples: Sequence[Chat]) -> list[str]:
        return [chat.turns[place].content for chat in examples for place in self._learnt(chat)]

    def _learnt(self, chat: Chat) -> tuple[int, ...]:
        """The places of the turns that are learnt."""
        return chat.replies if self.config.loss_on == "assistant" else chat.replies[-1:]

    def rows(self, examples: Sequence[Chat], context: int) -> WrittenRows:
        """As `learnt_rows`, several in one where they are packed."""
        found = self.learnt_rows(examples, context)
        return packed(found) if self.config.packing else found

    def learnt_rows(self, examples: Sequence[Chat], context: int) -> WrittenRows:
        """Each conversation in as few rows as it fits; those in which nobody answers have none.

        Raises DataError where nothing can be learnt.
        """
        room = self.config.room(context)
        rows: list[ChatRow] = []
        owners: list[int] = []
        refused: list[str] = []
        missing = 0
        for number, chat in enumerate(examples):
            try:
                found = list(self.writer.rows(chat.turns, room, self._learnt(chat)))
            except DataError as error:
                refused.append(f"{chat.id}: {error}")
                continue
            rows += found
            owners += [number] * len(found)
            missing += len(self._learnt(chat)) - sum(len(row.spans) for row in found)
        if not rows:
            raise DataError(f"no turn of an assistant to learn from; {refused[0] if refused else 'nobody answers'}")
        sizes = [self._bytes(row, examples[owner]) for row, owner in zip(rows, owners, strict=True)]
        return WrittenRows(
            Ragged.of([row.ids[:-1] for row in rows]),
            length=context,
            pad_id=self.tokenizer.pad_id or 0,
            owners=np.array(owners),
            targets=Ragged.of([_targets(row) for row in rows]),
            sizes=np.array(sizes),
            notes=_notes(examples, rows, owners, refused, missing),
        )

    def batch(self, draw: Draw) -> Batch:
        """Padded on the right, where no mask is needed: padding stands behind all that is real.

        Conversations in a row have segments, unless `train.separate_documents` is false.
        """
        source, places = draw.source, draw.places
        assert isinstance(source, WrittenRows), f"{self.name} draws from conversations"
        assert source.targets is not None, "a batch to learn from has targets"
        segments = told_apart(draw.rows.segments) if isinstance(source, PackedRows) else None
        return Batch(
            input_ids=torch.from_numpy(draw.rows.ids),
            targets=torch.from_numpy(source.targets.padded(places, IGNORED)),
            segments=None if segments is None or not draw.separate_documents else torch.from_numpy(segments),
            num_tokens=int(source.inputs.sizes[places].sum()),
        )

    def states(self, model: LanguageModel, batch: Batch) -> Tensor:
        return model.hidden(batch.input_ids, segments=batch.segments)  # (B, T, D)

    def drawn(self, examples: Sequence[Chat], most: int | None, seed: int) -> list[Given]:
        """One of the assistant's turns of each conversation, at random: the last ones are all farewells."""
        draw = np.random.default_rng(seed)
        answered = [place for place, chat in enumerate(examples) if chat.replies]
        found = []
        for place in (answered[number] for number in drawn_places(len(answered), most, seed)):
            chat = examples[place]
            found.append(Given(chat.asked_at(chat.replies[int(draw.integers(len(chat.replies)))]), place))
        return found

    def text_measures(self) -> tuple[TextMeasure, ...]:
        """chrF, a weak sign where many answers are good; how various the answers are, and how long."""
        language = self.config.language
        return (
            TextMeasure(chrf(), chrf_columns),
            *(TextMeasure(distinct(n, language), partial(_distinct, language=language)) for n in (1, 2)),
            TextMeasure(mean_length(language), partial(_length, language=language)),
        )

    def _bytes(self, row: ChatRow, chat: Chat) -> int:
        whole = row.spans[:-1] if row.is_cut else row.spans
        size = sum(len(self._said(row, span.start, span.stop, chat.turns[span.place])) for span in whole)
        if row.is_cut:
            size += len(self.tokenizer.decode(row.ids[row.spans[-1].start :]).encode())
        return size

    def _said(self, row: ChatRow, start: int, stop: int, turn: Turn) -> bytes:
        """What a turn says, or, where it calls tools, what the template makes of that."""
        text = self.tokenizer.decode(row.ids[start:stop]) if turn.tool_calls else turn.content
        return text.encode()


def _targets(row: ChatRow) -> list[int]:
    """The token behind each place but the last, where it is learnt."""
    learnt = [IGNORED] * (len(row.ids) - 1)
    for span in row.spans:
        learnt[span.start - 1 : span.stop - 1] = row.ids[span.start : span.stop]
    return learnt


def _distinct(predictions: Sequence[str], _: Sequence[Sequence[str]], language: str) -> Columns:
    return distinct_columns(predictions, language)


def _length(predictions: Sequence[str], _: Sequence[Sequence[str]], language: str) -> Columns:
    return mean_length_columns(predictions, language)


def _notes(
    examples: Sequence[Chat], rows: Sequence[ChatRow], owners: Sequence[int], refused: Sequence[str], missing: int
) -> tuple[str, ...]:
    long = len({owner for row, owner in zip(rows, owners, strict=True) if row.dropped})
    cut = sum(row.is_cut for row in rows)
    silent = sum(not chat.replies for chat in examples)
    count = f"of {len(examples):,} conversations"
    said = (
        (long, f"{long:,} {count} are longer than train.context: later turns do not see the first ones; raise it"),
        (cut, f"{cut:,} of the assistant's turns are too long for train.context and lose their end; raise it"),
        (missing, f"{missing:,} of the assistant's turns have no room in train.context and are left out; raise it"),
        (silent, f"{silent:,} {count} have no turn of the assistant and are left out"),
        (
            len(refused),
            f"{len(refused):,} {count} are refused and left out; the first: {refused[0] if refused else ''}",
        ),
    )
    return tuple(note for number, note in said if number)
