"""Put texts and pictures into one space, so that those which belong together are near: search, zero-shot naming."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from wenlu.corpus.examples import Examples
from wenlu.corpus.pictures.sight import Gallery
from wenlu.corpus.ragged import Ragged, Values
from wenlu.corpus.record import Record
from wenlu.errors import ConfigError, DataError
from wenlu.metrics import Columns, Metric, recall_at
from wenlu.models import Ability, Family, LanguageModel
from wenlu.models.layers.dual_encoder import DualEncoder
from wenlu.models.siglip import Siglip
from wenlu.progress import QUIET, Progress
from wenlu.tasks.embedding import contrast
from wenlu.tasks.labelled.layout import Layout, parts
from wenlu.tasks.labelled.matching import Candidates, places
from wenlu.tasks.labelled.task import Role, value_of
from wenlu.tasks.pictured.task import IMAGE, Pictured, PicturedConfig, PicturedTask, asked_picture, picture_of
from wenlu.tasks.task import Batch, Draw, Loss, Part
from wenlu.tokenizers import Tokenizer

AT_ONCE = 64
"""Texts or pictures of a forward pass that answers."""
MEASURES = tuple(recall_at(k, of) for of in ("image", "text") for k in (1, 5, 10))


class ImageTextRetrievalConfig(PicturedConfig):
    """How texts and pictures are matched.

    Attributes:
        loss: "infonce" (Radford et al. 2021, arXiv:2103.00020): each text chooses its picture among those of the
            forward pass, and each picture its text. "sigmoid" (Zhai et al. 2023, arXiv:2303.15343): of each pair of a
            text and a picture it is asked by itself whether they belong together; it needs a bias, as SigLIP has, and
            batches larger than a laptop's.
        labels: what pictures are named with when they are predicted: the one that is nearest.
        prompt: what a label is read in, with {} for it, as "a photo of a {}".
    """

    suits: ClassVar[str] = "families that match texts and pictures"
    of_answering: ClassVar[tuple[str, ...]] = ("abstain_below", "labels", "prompt")
    roles: ClassVar[tuple[Role, ...]] = (
        Role("text", "text", "what is said of the picture", is_answer=True),
        IMAGE,
    )
    name: Literal["image-text-retrieval"] = "image-text-retrieval"
    loss: Literal["infonce", "sigmoid"] = "infonce"
    labels: tuple[str, ...] = ()
    prompt: str = "{}"

    def accepts(self, family: Family) -> bool:
        return Ability.MATCHES in family.abilities

    def made_for(self, family: Family, context: int) -> Self:  # noqa: ARG002
        """Raises ConfigError for the sigmoid loss with a family that has no bias to begin at rest with."""
        if self.loss == "sigmoid" and family.model is not Siglip:
            raise ConfigError(f'task.loss="sigmoid": {family.name} has no bias; take model.family="siglip"')
        return self

    def new_model_settings(self, tokenizer: Tokenizer) -> Mapping[str, Any]:
        return {} if tokenizer.pad_id is None else {"pad_token_id": tokenizer.pad_id}


@dataclass(frozen=True, eq=False)
class Matched:
    """What a model says of an example.

    Attributes:
        vector: of the picture.
        image_rank, text_rank: where its own picture stands among all of the split for its text, and its text for its
            picture; from 1. similarity: of the two, a cosine. All None where the text is unknown.
        label, probability: the name that is nearest, and how sure that is.
    """

    vector: Values
    image_rank: int | None = None
    text_rank: int | None = None
    similarity: float | None = None
    label: str | None = None
    probability: float | None = None


class PictureMatches(Examples):
    """Texts as rows, and the pictures that they belong to.

    Attributes:
        labels: (R, 2) which distinct text each is, and which distinct picture of the gallery it belongs to.
    """

    def __init__(self, inputs: Ragged, *, gallery: Gallery, **facts: Any) -> None:
        super().__init__(inputs, **facts)
        self.gallery = gallery


class ImageTextRetrieval(PicturedTask):
    """Vectors that are near where a text and a picture belong together.

    The loss of a batch is not that of its parts, and `train.micro_batch_tokens` limits how many others there are. A
    picture that stands in the batch twice counts once, and what belongs to an equal text is no negative.
    """

    name = "image-text-retrieval"
    settings = ImageTextRetrievalConfig
    example = Pictured
    metrics = MEASURES
    target = "text"
    ability = "matches texts and pictures"
    is_separable = False
    config: ImageTextRetrievalConfig

    def __init__(self, config: ImageTextRetrievalConfig, tokenizer: Tokenizer) -> None:
        super().__init__(config, tokenizer)
        self.layout = Layout.of(tokenizer)

    @classmethod
    def example_of(cls, record: Record, config: ImageTextRetrievalConfig) -> Pictured:
        return Pictured(picture_of(record), value_of(record, "text", config), record.id)

    def asked_example(self, record: Record, config: Any) -> Pictured:
        return Pictured(asked_picture(record, config), None, record.id)

    def set_out(self, trained: LanguageModel, rows: int) -> None:
        """Let SigLIP's bias begin where a batch of so many pairs is at rest: at the logarithm of p / (1 - p), p being
        the share of pairs that belong together."""
        if isinstance(trained, Siglip) and self.config.loss == "sigmoid":
            with torch.no_grad():
                trained.logit_bias.fill_(-math.log(max(1, rows - 1)))

    def rows(self, examples: Sequence[Pictured], context: int) -> PictureMatches:
        """Raises DataError for an example without a text, or whose picture cannot be used."""
        texts = [_text(example) for example in examples]
        gallery = self.gallery(examples)
        numbers = {text: number for number, text in enumerate(dict.fromkeys(texts))}
        labels = np.stack([np.array([numbers[text] for text in texts], np.int64), gallery.numbers], axis=1)
        return PictureMatches(
            self._read(texts, context),
            length=context,
            pad_id=self.tokenizer.pad_id or 0,
            labels=labels,
            gallery=gallery,
        )

    def batch(self, draw: Draw) -> Batch:
        """Texts padded on the right, the distinct pictures that they belong to, and as labels (B, 2) which text each is
        and which of these pictures belongs to it."""
        source = draw.source
        assert isinstance(source, PictureMatches), f"{self.name} draws from texts with pictures"
        assert source.labels is not None, "a text belongs to a picture"
        labels = source.labels[draw.places]
        needed, local = np.unique(labels[:, 1], return_inverse=True)
        return Batch(
            input_ids=torch.from_numpy(draw.rows.ids),
            targets=torch.empty(0),
            attention_mask=torch.from_numpy((draw.rows.segments == 0).astype(np.int64)),
            labels=torch.from_numpy(np.stack([labels[:, 0], local.astype(np.int64)], axis=1)),
            pixel_values=torch.from_numpy(source.gallery.values(needed.tolist())),
        )

    def loss(self, model: LanguageModel, batch: Batch) -> Loss:
        """Summed nats of the texts; of the sigmoid loss those of all pairs that each is in."""
        assert isinstance(model, DualEncoder), f"{self.name} is for models that match"
        assert batch.labels is not None, "a batch to learn from has pairs"
        assert batch.attention_mask is not None, "a batch of texts has a mask"
        texts = model.embed_text(batch.input_ids, batch.attention_mask)
        images = model.embed_image(self.shown(model, batch))
        logits = model.similarity(texts, images)
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        if self.config.loss == "sigmoid":
            total, right = pairwise(logits, batch.labels)
        else:
            total, right = contrast(logits, batch.labels, symmetric=True)
        count = len(logits)
        read = int(batch.attention_mask.sum())
        return Loss(total, count, {"match": Part(total.item(), count, right)}, tokens=read)

    def answer(
        self, model: LanguageModel, examples: Sequence[Pictured], context: int, *, progress: Progress = QUIET
    ) -> list[Matched]:
        """The vector of each picture; its name where there are labels; and where all texts are known, the places of
        each picture and text among all of them. Raises BadPicture."""
        assert isinstance(model, DualEncoder), f"{self.name} is for models that match"
        if not examples:
            return []
        gallery = self.gallery(examples)
        images = self.embed_gallery(model, gallery, progress)
        found = [Matched(images[number]) for number in gallery.numbers.tolist()]
        if self.config.labels:
            found = self._named(model, found, context)
        if any(example.text is None for example in examples):
            return found
        said, digests = [_text(example) for example in examples], [example.picture.sha256 for example in examples]
        among_images, among_texts = Candidates.between(said, digests), Candidates.between(digests, said)
        row_of = dict(zip(digests, gallery.numbers.tolist(), strict=True))
        shown = images[[row_of[digest] for digest in among_images.texts]].astype(np.float64)
        texts = self.embed_texts(model, among_texts.texts, context, progress).astype(np.float64)
        image_ranks, similarities = places(lambda rows: texts[among_texts.own[rows]] @ shown.T, among_images)
        text_ranks, _ = places(lambda rows: shown[among_images.own[rows]] @ texts.T, among_texts)
        return [
            replace(each, image_rank=image, text_rank=text, similarity=similarity)
            for each, image, text, similarity in zip(found, image_ranks, text_ranks, similarities, strict=True)
        ]

    @torch.inference_mode()
    def embed_texts(self, model: DualEncoder, texts: Sequence[str], context: int, progress: Progress = QUIET) -> Values:
        """(n, P) of length one."""
        source = Examples(self._read(texts, context), length=context, pad_id=self.tokenizer.pad_id or 0)
        device, found = next(model.parameters()).device, list[Values]()
        progress.start("read", total=len(texts), unit="texts")
        for part in _parts(len(texts)):
            rows = source.read(part)
            mask = torch.from_numpy((rows.segments == 0).astype(np.int64)).to(device)
            found.append(model.eval().embed_text(torch.from_numpy(rows.ids).to(device), mask).float().cpu().numpy())
            progress.update(int(part[-1]) + 1)
        progress.finish(f"{len(texts):,} texts")
        return np.concatenate(found)

    @torch.inference_mode()
    def embed_gallery(self, model: DualEncoder, gallery: Gallery, progress: Progress = QUIET) -> Values:
        """(n, P) of length one, for each distinct picture."""
        found = list[Values]()
        progress.start("look", total=len(gallery), unit="pictures")
        for part in _parts(len(gallery)):
            values = torch.from_numpy(gallery.values(part.tolist()))
            found.append(model.eval().embed_image(values.to(model.logit_scale)).float().cpu().numpy())
            progress.update(int(part[-1]) + 1)
        progress.finish(f"{len(gallery):,} pictures")
        return np.concatenate(found)

    def measures(self) -> tuple[Metric, ...]:
        return MEASURES

    def judged(self, examples: Sequence[Pictured], answers: Sequence[Matched]) -> Columns:
        for example, answer in zip(examples, answers, strict=True):
            if answer.image_rank is None:
                raise DataError(f"{example.id}: no {self.config.column('text')!r} to compare with")
        return {
            "image_ranks": np.array([answer.image_rank for answer in answers], np.float64),
            "text_ranks": np.array([answer.text_rank for answer in answers], np.float64),
        }

    def told(self, answer: Matched) -> dict[str, Any]:
        """The label and its probability; the vector of the picture where there are no labels."""
        if answer.label is not None:
            told: dict[str, Any] = {"prediction": answer.label, "probability": round(answer.probability or 0.0, 6)}
        else:
            told = {"prediction": np.round(answer.vector.astype(np.float64), 6).tolist()}
        if answer.similarity is not None:
            told |= {"image_rank": answer.image_rank, "text_rank": answer.text_rank}
            told["similarity"] = round(answer.similarity, 6)
        return told

    def _named(self, model: DualEncoder, found: Sequence[Matched], context: int) -> list[Matched]:
        prompts = [self.config.prompt.replace("{}", label) for label in self.config.labels]
        texts = torch.from_numpy(self.embed_texts(model, prompts, context))
        images = torch.from_numpy(np.stack([each.vector for each in found]))
        with torch.inference_mode():
            logits = model.similarity(texts.to(model.logit_scale), images.to(model.logit_scale)).float().T.cpu()
        sure = logits.sigmoid() if self.config.loss == "sigmoid" else logits.softmax(dim=1)
        best = logits.argmax(dim=1)
        return [
            replace(each, label=self.config.labels[place], probability=float(row[place]))
            for each, place, row in zip(found, best.tolist(), sure, strict=True)
        ]

    def _read(self, texts: Sequence[str], context: int) -> Ragged:
        room = self.layout.room(context, pair=False)
        return Ragged.of(
            [self.layout.row(parts(ids, room, "head")[0])[0] for ids in self.tokenizer.encode_batch(texts)]
        )


def pairwise(logits: Tensor, labels: Tensor) -> tuple[Tensor, int]:
    """Summed nats of the sigmoid loss over all pairs, and how many texts are most like their own picture.

    Args:
        logits: (B, P). labels: (B, 2) the number of each text, and its picture; every picture that belongs to an equal
            text does to this one.
    """
    mine = F.one_hot(labels[:, 1], logits.size(1)).to(logits.dtype)
    equal = (labels[:, :1] == labels[:, 0]).to(logits.dtype)
    belongs = (equal @ mine) > 0  # (B, P)
    sign = torch.where(belongs, 1.0, -1.0)
    right = belongs.gather(1, logits.argmax(dim=1, keepdim=True)).sum()
    return -F.logsigmoid(sign * logits).sum(), int(right)


def _text(example: Pictured) -> str:
    if example.text is None:
        raise DataError(f"{example.id}: nothing is said of its picture")
    return example.text


def _parts(count: int) -> Iterator[np.ndarray[Any, np.dtype[np.int64]]]:
    numbers = np.arange(count)
    yield from (numbers[start : start + AT_ONCE] for start in range(0, count, AT_ONCE))
