"""Give each word of a text a tag: named entities, parts of speech, and the words of Chinese among its characters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import PurePosixPath
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import field_validator
from torch import Tensor

from wenlu.corpus.examples import Examples
from wenlu.corpus.packing import Ids
from wenlu.corpus.ragged import Ragged
from wenlu.corpus.record import Record
from wenlu.corpus.source import SourceSpec
from wenlu.corpus.sources import conll, conllu
from wenlu.errors import ConfigError, DataError
from wenlu.metrics import ENTITY_F1, ENTITY_PRECISION, ENTITY_RECALL, TAG_MACRO_F1, WORD_ACCURACY, Columns, Metric
from wenlu.metrics.entities import entity_columns, per_type
from wenlu.metrics.tags import per_tag, tag_columns, word_columns
from wenlu.models import LanguageModel
from wenlu.tasks.labelled.headed import Headed
from wenlu.tasks.labelled.layout import WINDOW_OVERLAP, Layout
from wenlu.tasks.labelled.reading import ReadingConfig, ReadingTask
from wenlu.tasks.labelled.task import Role, counted, parsed, value_of
from wenlu.tasks.tagging.alignment import Subwords, TaggedRows, tagged_rows
from wenlu.tasks.tagging.decoding import TaggedWords, Tagset, decoded
from wenlu.tasks.tagging.examples import Cut, TaggedText, segmented, usual_cut, with_mentions, with_tags
from wenlu.tasks.tagging.head import RowScores, TaggerHead, chain_loss, head_of
from wenlu.tasks.tagging.schemes import BMES, IOB2, OUTSIDE, Scheme, detect, scheme_of, spans, tags_for, tags_of
from wenlu.tasks.tagging.words import Mention, Words
from wenlu.tasks.task import IGNORED, Batch, Loss, Part
from wenlu.tokenizers import Tokenizer

_OF_COLUMNS = (conll.KIND, conllu.KIND)


class TokenClassificationConfig(ReadingConfig):
    """What the tags mean, and how the model decides on them.

    Attributes:
        kind: entities that the tags write by a scheme; a tag of its own a word; or words of a text without blanks
            (BMES over its characters), learnt of texts with blanks between words, or of lists of words.
        labels: of entities, or tags; by default those of the training part, sorted.
        scheme: how the data write entities; "auto" finds it in the training part. Where it is named, tags that do not
            keep to it are taken for what they look like.
        decode_scheme: how the model does; "as-read" is that of the data.
        crf: learn scores of neighbouring tags too (Lample et al. 2016, arXiv:1603.01360). With it and without, no tag
            ever follows one that it cannot.
        words: where a text without `tokens` is cut: at all signs, or not at those inside of words (U.N., 1996-08-22);
            "auto" is as the tokens of the training part were. Chinese is cut into characters.
    """

    suits: ClassVar[str] = "families that read text"
    class_head: ClassVar[str | None] = "token-classification"
    of_answering: ClassVar[tuple[str, ...]] = ("abstain_below", "words")
    roles: ClassVar[tuple[Role, ...]] = (
        Role("text", "text", "the text"),
        Role("tokens", "tokens", "its words, a JSON list", is_optional=True),
        Role("tags", "tags", "a tag for each word, a JSON list", is_answer=True),
        Role("entities", "entities", "entities: start, end and label of each", is_optional=True, is_answer=True),
    )
    name: Literal["token-classification"] = "token-classification"
    kind: Literal["entities", "tags", "segmentation"] = "entities"
    labels: tuple[str, ...] = ()
    scheme: str = "auto"
    decode_scheme: str = "IOB2"
    crf: bool = False
    words: Literal["auto"] | Cut = "auto"

    @field_validator("scheme", "decode_scheme")
    @classmethod
    def _known(cls, value: str) -> str:
        if value in ("auto", "as-read"):
            return value
        try:
            return scheme_of(value).name
        except ConfigError as error:
            raise ValueError(str(error)) from error

    @property
    def tagset(self) -> Tagset:
        """The tags that the model gives."""
        match self.kind:
            case "tags":
                return Tagset(self.labels)
            case "segmentation":
                return Tagset(tags_for([""], BMES)[1:], BMES)
            case "entities":
                scheme = self.written
                return Tagset(tags_for(self.labels, scheme), scheme)

    @property
    def read(self) -> Scheme:
        return IOB2 if self.scheme == "auto" else scheme_of(self.scheme)

    @property
    def written(self) -> Scheme:
        return self.read if self.decode_scheme == "as-read" else scheme_of(self.decode_scheme)

    @property
    def unlike_a_class(self) -> str | None:
        return "none has a CRF" if self.crf else super().unlike_a_class

    def columns_of(self, spec: SourceSpec) -> tuple[str, ...]:
        """Tags and their tokens, or entities: as named; else entities of Label Studio, and tags of others."""
        named = {"tokens", "tags", "entities"} & self.columns.keys()
        roles = set(named)
        if self.kind != "segmentation":
            if not named & {"tags", "entities"}:
                roles.add("entities" if spec.kind == "label-studio" else "tags")
            ending = PurePosixPath(spec.path).suffix.lower()
            has_tokens = any(
                spec.kind == kind.name or (spec.kind == "auto" and ending in kind.suffixes) for kind in _OF_COLUMNS
            )
            if "tags" in roles and (has_tokens or not named):
                roles.add("tokens")
        return tuple(self.column(role.name) for role in self.roles[1:] if role.name in roles)

    def counts_characters(self, specs: Sequence[SourceSpec]) -> bool:
        return any(self.column("entities") in self.columns_of(spec) for spec in specs)

    def learnt(self, examples: Sequence[TaggedText]) -> Self:
        known = [example for example in examples if example.is_answered]
        if not known:
            raise DataError(
                "the training part has no answers; name their column: data.tags=COLUMN with a tag a word, or "
                "data.entities=COLUMN with start, end and label of each"
            )
        words = usual_cut(examples) if self.words == "auto" else self.words
        if self.kind == "segmentation":
            return self.model_copy(update={"words": words})
        tags = [example.tags for example in known if example.tags is not None]
        found = {mention.label for example in known for mention in example.mentions or ()}
        scheme = self.scheme
        if self.kind == "tags":
            found |= {tag for one in tags for tag in one}
        else:
            scheme = detect(tags).name if tags and scheme == "auto" else self.read.name
            found |= {tag.partition("-")[2] for one in tags for tag in one if tag != OUTSIDE}
        labels = self.labels or tuple(sorted(found))
        if not labels:
            raise DataError("no text of the training part has an entity: every tag is O; is it the right column?")
        return self.model_copy(update={"labels": labels, "scheme": scheme, "words": words})


class TokenClassification(ReadingTask):
    """The first sub-word of a word answers for it, and the best tags are found over the whole text.

    A text that is longer than a row is read in rows that overlap; each word is asked for in the one that has most of
    what stands around it. With a CRF, the words that a row answers for are learnt as one chain, which begins and ends
    with the scores of a text's ends only where the text does.
    """

    name = "token-classification"
    settings = TokenClassificationConfig
    example = TaggedText
    metrics = (ENTITY_F1, ENTITY_PRECISION, ENTITY_RECALL, WORD_ACCURACY, TAG_MACRO_F1)
    target = "word"
    ability = "tags the words of a text"
    config: TokenClassificationConfig

    def __init__(self, config: TokenClassificationConfig, tokenizer: Tokenizer) -> None:
        super().__init__(config, tokenizer)
        self.layout = Layout.of(tokenizer)
        self.tagset = config.tagset
        self.numbers = counted(self.tagset.tags)

    @classmethod
    def example_of(cls, record: Record, config: TokenClassificationConfig) -> TaggedText:
        tokens = value_of(record, "tokens", config)
        if config.kind == "segmentation":
            return segmented(record, tokens)
        cut: Cut = "signs" if config.words == "auto" else config.words
        tags = value_of(record, "tags", config)
        if tags is None and value_of(record, "entities", config) is not None:
            return with_mentions(record, tokens, parsed(record, "entities", config), cut)
        return with_tags(record, tokens, tags, cut)

    @property
    def names(self) -> tuple[str, ...]:
        return self.tagset.tags

    def head(self, hidden_size: int) -> TaggerHead:
        return TaggerHead(hidden_size, len(self.tagset.tags), self.config.head_dropout, crf=self.config.crf)

    def rows(self, examples: Sequence[TaggedText], context: int) -> Examples:
        """Targets stand at the words' first sub-words; labels say whether the text begins and ends in the row.

        Where no example has an answer there are no labels, and the targets only say where words are. Raises DataError
        for a tag that the training part does not have.
        """
        is_answered = any(example.is_answered for example in examples)
        ids: list[Ids] = []
        targets: list[Ids] = []
        ends: list[tuple[bool, bool]] = []
        owners: list[int] = []
        for number, example in enumerate(examples):
            subwords, tagged = self.cut(example.words, context)
            if example.is_answered:
                classes = self.classes(example)[subwords.numbers]
            else:
                classes = np.full(len(subwords.numbers), IGNORED if is_answered else 0)
            first, last = (tagged.row_of[0], tagged.row_of[-1]) if len(tagged.row_of) else (0, 0)
            for row, (tokens, row_targets) in enumerate(zip(tagged.rows, tagged.targets(classes), strict=True)):
                ids.append(tokens)
                targets.append(row_targets)
                ends.append((bool(row == first), bool(row == last)))
                owners.append(number)
        return Examples(
            Ragged.of(ids),
            length=context,
            pad_id=self.tokenizer.pad_id or 0,
            owners=np.array(owners, np.int64),
            targets=Ragged.of(targets),
            labels=np.array(ends, np.bool_).reshape(-1, 2) if is_answered else None,
        )

    def cut(self, words: Words, context: int) -> tuple[Subwords, TaggedRows]:
        """The tokens of a text, and the rows that they are read in."""
        subwords = Subwords.of(words, self.tokenizer)
        overlap = max(0, int(WINDOW_OVERLAP * self.layout.room(context, pair=False)))
        frame = self.layout.before, self.layout.behind
        return subwords, tagged_rows(subwords, context, overlap=overlap, frame=frame)

    def classes(self, example: TaggedText) -> Ids:
        """(V,) the number of each word's tag; raises DataError for one that the training part does not have."""
        tags = self.gold_tags(example)
        for tag in tags:
            if tag not in self.numbers:
                raise DataError(
                    f"{example.id}: tag {tag!r} is not one of those of the training part: "
                    f"{', '.join(self.tagset.tags[:20])}; leave the record out, or name all labels in task.labels"
                )
        return np.array([self.numbers[tag] for tag in tags], np.int64)

    def gold_tags(self, example: TaggedText) -> Sequence[str]:
        """What the tags of an example are, in the scheme that the model decodes in; raises DataError."""
        if self.tagset.scheme is None:
            if example.tags is None:
                raise DataError(f"{example.id}: no tags to learn or judge by; name their column: data.tags=COLUMN")
            return example.tags
        try:
            if example.tags is not None:
                entities = spans(example.tags, self.config.read, strict=False)
            else:
                entities = example.words.place(example.mentions or ()).entities
            return tags_of(entities, len(example.words), self.tagset.scheme)
        except DataError as error:
            raise DataError(f"{example.id}: {error}") from error

    def loss(self, model: LanguageModel, batch: Batch) -> Loss:
        """Summed negative log-likelihood in nats, and the number of words; right are the best of each word alone."""
        headed = self.headed(model)
        scores, lengths = self._scores(headed, batch)
        assert batch.labels is not None, "a batch to learn from has answers"
        classes = batch.targets[batch.targets != IGNORED]
        crf = head_of(headed).crf
        if crf is None:
            total = F.cross_entropy(scores, classes, reduction="sum")
        else:
            total = chain_loss(crf, scores, classes, lengths, batch.labels)
        count = len(classes)
        part = Part(total.item(), count, int((scores.argmax(dim=1) == classes).sum()))
        assert batch.attention_mask is not None, "a batch of texts has a mask"
        return Loss(total, count, {"word": part}, tokens=int(batch.attention_mask.sum()))

    def _scores(self, headed: Headed, batch: Batch) -> tuple[Tensor, Tensor]:
        """(N, L) of the words of all rows, one row after the other, and (B,) how many each row has."""
        is_word = batch.targets != IGNORED
        scores: Tensor = headed.task_head(self.states(headed, batch)[is_word])
        return scores.to(torch.promote_types(scores.dtype, torch.float32)), is_word.sum(dim=1)

    def outputs(self, model: Headed, batch: Batch) -> list[RowScores]:
        scores, lengths = self._scores(model, batch)
        crf = head_of(model).crf
        parts = np.split(scores.cpu().numpy(), lengths.cumsum(0).cpu().numpy()[:-1])
        return [RowScores(part, crf) for part in parts]

    def bare(self, examples: Sequence[TaggedText]) -> list[TaggedText]:
        """Only their words are read."""
        return [replace(example, tags=None, mentions=None) for example in examples]

    def answered(
        self,
        examples: Sequence[TaggedText],
        outputs: Sequence[Sequence[RowScores]],
        source: Examples,  # noqa: ARG002
    ) -> list[TaggedWords]:
        texts = [example.words for example in examples]
        scores = [self._of_all(words, rows) for words, rows in zip(texts, outputs, strict=True)]
        return decoded(texts, scores, self.tagset, outputs[0][0].crf)

    def _of_all(self, words: Words, rows: Sequence[RowScores]) -> np.ndarray[Any, Any]:
        """(V, L); words that the tokenizer makes nothing of have what neighbours and scheme leave them."""
        found = np.concatenate([row.values for row in rows])
        if len(found) == len(words):
            return found
        scores = np.zeros((len(words), found.shape[1]), found.dtype)
        scores[Subwords.of(words, self.tokenizer).numbers] = found
        return scores

    def measures(self) -> tuple[Metric, ...]:
        if self.config.kind == "tags":
            return WORD_ACCURACY, TAG_MACRO_F1
        return ENTITY_F1, ENTITY_PRECISION, ENTITY_RECALL, WORD_ACCURACY

    def judged(self, examples: Sequence[TaggedText], answers: Sequence[TaggedWords]) -> Columns:
        """Entities by their characters, so that one whose ends are inside of words is never right."""
        unknown = next((example.id for example in examples if not example.is_answered), None)
        if unknown is not None:
            raise DataError(f"{unknown}: neither tags nor entities to judge by; name their column")
        gold, found = [self.gold_tags(example) for example in examples], [answer.tags for answer in answers]
        columns = word_columns(gold, found)
        if self.config.kind == "tags":
            return {**columns, **tag_columns(gold, found), "gold": _column(gold), "predicted": _column(found)}
        wanted = [{_span(mention) for mention in self._mentions(example)} for example in examples]
        given = [{_span(one.mention) for one in answer.entities} for answer in answers]
        own = {"gold": _column(wanted), "predicted": _column(given)}
        return {**columns, **entity_columns(wanted, given), **own}

    def details(self, columns: Columns) -> dict[str, Any]:
        """A row for each tag, or each kind of entity."""
        gold, predicted = columns["gold"].tolist(), columns["predicted"].tolist()
        match self.config.kind:
            case "tags":
                return {"per_class": [asdict(row) for row in per_tag(gold, predicted)]}
            case "entities":
                return {"per_class": [asdict(row) for row in per_type(gold, predicted)]}
            case "segmentation":
                return {}

    def _mentions(self, example: TaggedText) -> Sequence[Mention]:
        if example.mentions is not None:
            return example.mentions
        assert example.tags is not None, "an example that is judged has an answer"
        return [example.words.mention(one) for one in spans(example.tags, self.config.read, strict=False)]

    def told(self, answer: TaggedWords) -> dict[str, Any]:
        """`entities` with `start` and `end` in characters; their probability is the product over their words."""
        words = answer.words
        if self.config.kind == "segmentation":
            parts = [words.text[one.mention.start : one.mention.end] for one in answer.entities]
            tokens = [token for part in parts for token in part.split()]
            return {"prediction": " ".join(tokens), "tokens": tokens}
        common = {"tokens": words.texts, "tags": list(answer.tags)}
        if self.config.kind == "tags":
            of_words = [Mention(*span, tag) for span, tag in zip(words.spans, answer.tags, strict=True)]
            marked = [_marked(words.text, *pair) for pair in zip(of_words, answer.probabilities, strict=True)]
            return {"prediction": list(answer.tags), "words": marked, **common}
        entities = [_marked(words.text, one.mention, one.probability) for one in answer.entities]
        return {
            "prediction": [{"text": one["text"], "label": one["label"]} for one in entities],
            "entities": entities,
            **common,
        }


def _column(values: Sequence[Any]) -> np.ndarray[Any, Any]:
    """(n,) of what is no number."""
    column = np.empty(len(values), object)
    for place, value in enumerate(values):
        column[place] = value
    return column


def _span(mention: Mention) -> tuple[int, int, str]:
    return mention.start, mention.end, mention.label


def _marked(text: str, mention: Mention, probability: float) -> dict[str, Any]:
    return {**vars(mention), "text": text[mention.start : mention.end], "probability": round(probability, 6)}
