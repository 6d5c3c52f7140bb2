"""Tasks that a model answers by writing a text to another one, learnt from pairs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

import numpy as np
import torch
from pydantic import PositiveInt, field_validator
from torch import Tensor

from wenlu.corpus.ragged import Ragged
from wenlu.corpus.record import Record
from wenlu.errors import ConfigError, DataError
from wenlu.models import Ability, Family, LanguageModel
from wenlu.models.layers.encoder_decoder import EncoderDecoder
from wenlu.tasks.labelled.asking import around_source
from wenlu.tasks.labelled.generative import GenerativeConfig, GenerativeTask, WrittenRows, no_answer
from wenlu.tasks.labelled.layout import parts
from wenlu.tasks.labelled.task import required, value_of
from wenlu.tasks.objective import padded
from wenlu.tasks.task import IGNORED, Batch, Draw
from wenlu.tokenizers import Tokenizer, end_of_turn

Way = Literal["encoder-decoder", "decoder"]
SOURCE = "{source}"


@dataclass(frozen=True)
class TextPair:
    """What is read, and what is to be written; None: unknown."""

    source: str
    target: str | None = None
    id: str = ""


class WritingConfig(GenerativeConfig):
    """How a text is asked for, and what of long ones is read and learnt. Roles: the source first, then the target.

    Attributes:
        prefix: stands before the source of an encoder–decoder, as T5's "summarize: ".
        template: what a decoder continues, with {source} in it once; the target follows right behind.
        chat: the template is what a user says, and the target what the assistant answers, as the chat template of
            the tokenizer writes them; "auto" does so with decoders that have one.
        long: what is read of a source that is too long: its head, its tail, or a quarter head and three quarters tail.
        way: an encoder–decoder reads the source and writes the target; a decoder continues the template with it.
        max_source_tokens: of what is asked, with all that stands around the source; "auto" is `train.context`, for
            decoders what the target leaves of it.
        max_target_tokens: of what is written, its end included; "auto" is `train.context`, for decoders half of it.
            A longer one loses its end in training, and is not told to end there.
    """

    suits: ClassVar[str] = "families that read one text and write another, or that continue text"
    of_answering: ClassVar[tuple[str, ...]] = (
        *("abstain_below", "long", "max_source_tokens", "max_target_tokens", "prefix", "template"),
    )
    name: str
    prefix: str = ""
    template: str = f"{SOURCE}\n"
    long: Literal["head", "tail", "head-tail"] = "head"
    chat: bool | Literal["auto"] = "auto"
    way: Way | Literal["auto"] = "auto"
    max_source_tokens: PositiveInt | Literal["auto"] = "auto"
    max_target_tokens: PositiveInt | Literal["auto"] = "auto"

    @field_validator("template")
    @classmethod
    def _has_one_source(cls, value: str) -> str:
        if value.count(SOURCE) != 1:
            raise ValueError(f"{value!r} has {value.count(SOURCE)} times {SOURCE}, where the source stands; once")
        return value

    @property
    def facts(self) -> Mapping[str, str]:
        """What else `prefix` and `template` may name in braces."""
        return {}

    def accepts(self, family: Family) -> bool:
        return bool(family.abilities & {Ability.ENCODER_DECODER, Ability.CAUSAL})

    def made_for(self, family: Family, context: int) -> Self:
        way: Way = "encoder-decoder" if Ability.ENCODER_DECODER in family.abilities else "decoder"
        if self.way not in ("auto", way):
            raise ConfigError(f"task.way={self.way!r}: {family.name} does it as {way}; leave it out")
        known = self.model_copy(update={"way": way})
        source, target = known.limits(context)
        return known.model_copy(update={"max_source_tokens": source, "max_target_tokens": target})

    def limits(self, context: int) -> tuple[int, int]:
        """The most tokens of what is asked and of what is written, in rows of `context`."""
        most = self.max_target_tokens
        if self.way == "decoder":
            target = context // 2 if most == "auto" else min(most, context - 1)
            room = context - target
        else:
            target = context if most == "auto" else min(most, context)
            room = context
        return room if self.max_source_tokens == "auto" else min(self.max_source_tokens, room), target

    @property
    def trained_context(self) -> int | None:
        source, target = self.max_source_tokens, self.max_target_tokens
        if source == "auto" or target == "auto":
            return None
        return source + target if self.way == "decoder" else max(source, target)

    def reads(self, record: Record) -> str:
        """What of a record is read."""
        return required(record, self.roles[0].name, self).strip()

    def texts_of(self, record: Record) -> Iterator[str]:
        yield self.reads(record)
        target = value_of(record, self.roles[1].name, self)
        if target:
            yield target


class WritingTask(GenerativeTask):
    """Write a target to a source: each of its tokens, and its end, is learnt from the source and those before it.

    Prompt and target are cut into tokens apart, so that what is asked of a model later is exactly what stood before
    the first target in training. Encoder–decoders have both texts framed alike, as the tokenizer frames texts.
    """

    example: ClassVar[type] = TextPair
    target = "target token"
    condition = "source"
    config: WritingConfig

    def __init__(self, config: WritingConfig, tokenizer: Tokenizer) -> None:
        super().__init__(config, tokenizer)
        end = [] if tokenizer.eos_id is None else [tokenizer.eos_id]
        has_chat = tokenizer.chat_template is not None
        if config.chat is True and not (has_chat and config.way == "decoder"):
            lacks = f"{config.way}s answer no user" if has_chat else "the tokenizer has no chat template"
            raise ConfigError(f"task.chat=true: {lacks}; leave it out")
        self._begin: list[int] = []
        if config.way == "decoder" and has_chat and config.chat:
            self._around = around_source(tokenizer, self._filled(config.template), SOURCE)
            self._end = [end_of_turn(tokenizer)]
        elif config.way == "decoder":
            before, _, after = self._filled(config.template).partition(SOURCE)
            self._around = [*tokenizer.opening, *tokenizer.encode(before)], tokenizer.encode(after)
            self._end = end
        else:
            begin, behind = tokenizer.frame if tokenizer.frame != ([], []) else ([], end)
            self._around = [*begin, *tokenizer.encode(self._filled(config.prefix))], behind
            self._begin, self._end = begin, behind or end
        if not self._end:
            raise ConfigError(
                f"the tokenizer has no token that ends a text, so {self.name} could not learn where to stop; name one "
                "as eos_token in its config"
            )

    @classmethod
    def example_of(cls, record: Record, config: WritingConfig) -> TextPair:
        source, target = (role.name for role in config.roles[:2])
        read, written = config.reads(record), value_of(record, target, config)
        if not required(record, source, config).strip():
            raise DataError(f"{record.id}: an empty {config.column(source)!r}, which {source} is read from")
        if written is not None and not written.strip():
            raise DataError(f"{record.id}: an empty {config.column(target)!r}, which {target} is read from")
        return TextPair(read, None if written is None else written.strip(), record.id)

    @property
    def end_id(self) -> int:
        """The token that ends an answer."""
        return self._end[-1]

    @property
    def has_encoder(self) -> bool:
        return self.config.way != "decoder"

    def prompts(self, examples: Sequence[TextPair], context: int) -> list[list[int]]:
        return self._prompts(examples, context)[0]

    def references(self, examples: Sequence[TextPair]) -> list[str]:
        for example in examples:
            if example.target is None:
                raise no_answer(example.id, self.config.roles[1].name)
        return self.all_targets(examples)

    def all_targets(self, examples: Sequence[TextPair]) -> list[str]:
        return [example.target for example in examples if example.target is not None]

    def rows(self, examples: Sequence[TextPair], context: int) -> WrittenRows:
        """Prompts, and the ids that are to be written to them."""
        asked, cut_sources = self._prompts(examples, context)
        notes = [_note(cut_sources, len(examples), "sources", f"their {self.config.long} is read", "max_source_tokens")]
        targets = sizes = None
        if all(example.target is not None for example in examples):
            found, cut = self._targets(examples, context)
            targets = Ragged.of(found)
            sizes = np.array(
                [self._bytes(ids, text) for ids, text in zip(found, self.all_targets(examples), strict=True)]
            )
            notes.append(_note(cut, len(examples), "targets", "they lose their end", "max_target_tokens"))
        return WrittenRows(
            Ragged.of(asked),
            length=context,
            pad_id=self.tokenizer.pad_id or 0,
            targets=targets,
            sizes=sizes,
            notes=tuple(note for note in notes if note),
        )

    def batch(self, draw: Draw) -> Batch:
        """Padded on the right. A decoder's row is its prompt and all of its target but the last token."""
        source, places = draw.source, draw.places
        assert isinstance(source, WrittenRows), f"{self.name} draws from examples"
        assert source.targets is not None, "a batch to learn from has targets"
        if self.has_encoder:
            sizes = torch.from_numpy(source.inputs.sizes[places])
            longest = int(sizes.max())
            is_padded = bool((sizes < longest).any())
            return Batch(
                input_ids=torch.from_numpy(source.inputs.padded(places, source.pad_id)),
                targets=torch.from_numpy(source.targets.padded(places, IGNORED)),
                attention_mask=(torch.arange(longest) < sizes[:, None]).long() if is_padded else None,
            )
        pairs = [(source.inputs[place], source.targets[place]) for place in places.tolist()]
        rows = [np.concatenate([prompt, target[:-1]]) for prompt, target in pairs]
        asked = [np.concatenate([np.full(len(prompt) - 1, IGNORED), target]) for prompt, target in pairs]
        num_tokens = sum(map(len, rows))  # padding stands behind all that is real, so no mask is needed
        return Batch(input_ids=padded(rows, source.pad_id), targets=padded(asked, IGNORED), num_tokens=num_tokens)

    def states(self, model: LanguageModel, batch: Batch) -> Tensor:
        if not self.has_encoder:
            return model.hidden(batch.input_ids)  # (B, T, D)
        shifted = shifted_right(batch.targets, start_id(model))
        return model.hidden(
            batch.input_ids, decoder_input_ids=shifted, attention_mask=batch.attention_mask
        )  # (B, T', D)

    def _filled(self, text: str) -> str:
        for name, fact in self.config.facts.items():
            text = text.replace(f"{{{name}}}", fact)
        return text

    def _prompts(self, examples: Sequence[TextPair], context: int) -> tuple[list[list[int]], int]:
        """The prompts, and how many sources were cut."""
        before, behind = self._around
        most, _ = self.config.limits(context)
        room = most - len(before) - len(behind)
        if room < 1:
            raise ConfigError(
                f"{self.name}: {len(before) + len(behind)} tokens stand around a source, of which {most} may be read; "
                "set a larger train.context or task.max_source_tokens, or a smaller task.max_target_tokens"
            )
        sources = self.tokenizer.encode_batch([example.source for example in examples])
        asked = [[*before, *parts(source, room, self.config.long)[0], *behind] for source in sources]
        return asked, sum(len(source) > room for source in sources)

    def _targets(self, examples: Sequence[TextPair], context: int) -> tuple[list[list[int]], int]:
        """The targets with their ends, and how many were cut."""
        _, most = self.config.limits(context)
        texts = self.tokenizer.encode_batch([example.target or "" for example in examples])
        whole = [[*self._begin, *ids, *self._end] for ids in texts]
        return [ids[:most] for ids in whole], sum(len(ids) > most for ids in whole)

    def _bytes(self, ids: Sequence[int], text: str) -> int:
        """Of the text that target tokens are of: the whole one where they have its end."""
        return len((text if ids[-1] == self.end_id else self.tokenizer.decode(ids)).encode())


def start_id(model: LanguageModel) -> int:
    """The token before every target of an encoder–decoder; raises ConfigError where its config names none."""
    config = model.config
    start = config.bos_token_id
    if isinstance(model, EncoderDecoder) and model.config.decoder_start_token_id is not None:
        start = model.config.decoder_start_token_id
    if start is None:
        raise ConfigError("the model names no token that begins a target; set model.decoder_start_token_id")
    return start


def shifted_right(targets: Tensor, start: int) -> Tensor:
    """Decoder inputs (B, T') of targets (B, T'): each sees those before it, and the first one `start`."""
    inputs = torch.cat([torch.full_like(targets[:, :1], start), targets[:, :-1]], dim=1)
    return inputs.masked_fill(inputs == IGNORED, start)


def _note(cut: int, of: int, what: str, so: str, setting: str) -> str:
    if not cut:
        return ""
    return f"{cut:,} of {of:,} {what} are longer than task.{setting}: {so}; raise it, or train.context"
