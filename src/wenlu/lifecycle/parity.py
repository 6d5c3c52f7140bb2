"""Do two models answer alike? The same texts through both: ids, logits, continuations, bits per byte, framing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, PositiveInt
from torch import Tensor

from wenlu.bundle import Bundle, load
from wenlu.compression.method import Kind as Lossy
from wenlu.config import Config, check, override
from wenlu.errors import DataError, UsageError
from wenlu.lifecycle.evaluate import HeldOutConfig, read_texts
from wenlu.lifecycle.parity_framing import same_ends, same_template
from wenlu.lifecycle.parity_side import Kind, Side, side_of
from wenlu.lifecycle.parity_texts import TEXTS
from wenlu.lifecycle.served import Endpoint
from wenlu.lifecycle.served_parity import ServedParity, served_parity
from wenlu.models.low_rank import low_rank_layers
from wenlu.models.quantised import quantised_layers
from wenlu.progress import QUIET, Progress


class Thresholds(Config):
    """How far two models that answer alike may be apart.

    Attributes:
        logits: the largest difference of a logit (of a number in a vector); None: not judged, as a lossy form is
            judged by what comes of its logits.
        relative: on top of it, this share of the largest logit of the position, by which numbers are rounded.
        kl_nats: mean Kullback–Leibler divergence of the second model's next token from the first's.
        top1: least share of positions with the same likeliest token.
        cosine: least cosine of two vectors.
        same_continuation: whether greedy continuations must be equal.
        dearer: by which share the second's bits per byte may be over the first's; None: not judged.
    """

    logits: float | None = Field(ge=0)
    relative: float = Field(ge=0)
    kl_nats: float = Field(ge=0)
    top1: float = Field(ge=0, le=1)
    cosine: float = Field(ge=-1, le=1)
    same_continuation: bool
    dearer: float | None = Field(default=None, ge=0)


LOSSY: dict[Lossy, tuple[float, float, float, float]] = {
    "vocabulary": (1e-5, 0.999, 1 - 1e-6, 1e-3),
    "int8": (0.02, 0.93, 0.999, 0.01),
    "w8a8": (0.1, 0.8, 0.99, 0.02),
    "int4": (0.6, 0.55, 0.9, 0.15),
    "pruned": (0.6, 0.55, 0.9, 0.15),
    "low-rank": (0.6, 0.55, 0.9, 0.15),
    "cut": (0.6, 0.55, 0.9, 0.15),
}
"""Of what compression makes: KL divergence in nats, top-1 agreement, cosine of vectors, share of bits per byte.

On SmolLM2-135M rtn-int8 is at 0.003 nats and 95 %, smoothquant at 0.04 and 87 %, wanda-0.3 at 0.26 and 69 %, gptq-int4
at 0.39 and 63 %; rtn-int4 at 0.69 and 50 %, wanda-0.5 at 1.0 and 39 % and magnitude-0.5 at 2.9 and 13 % are too far.
"""

THRESHOLDS = {
    name: Thresholds(
        logits=logits, relative=relative, kl_nats=kl, top1=top1, cosine=1 - cosine, same_continuation=continues
    )
    for name, logits, relative, kl, top1, cosine, continues in (
        ("float64", 1e-9, 1e-9, 1e-12, 1.0, 1e-12, True),
        ("float32", 1e-3, 1e-5, 1e-6, 0.999, 1e-6, True),
        ("float16", 0.25, 1e-2, 1e-3, 0.98, 1e-4, False),
        ("bfloat16", 2.0, 5e-2, 1e-2, 0.93, 1e-3, False),
        ("q8_0", 2.0, 5e-2, 1e-2, 0.93, 1e-3, False),
    )
} | {
    name: Thresholds(
        logits=None, relative=0, kl_nats=kl, top1=top1, cosine=cosine, same_continuation=False, dearer=dearer
    )
    for name, (kl, top1, cosine, dearer) in LOSSY.items()
}
"""By the coarser of the two types of numbers."""


class ParitySettings(Config):
    """The section `[parity]`; what is "auto" follows from the types of the two models' numbers.

    Attributes:
        dtype: whose thresholds to take.
        texts: how many at most. text_tokens: of each, from its beginning.
        prompt_tokens: of each text that are continued, by `new_tokens`; an encoder–decoder reads the whole text as
            its source, and in place of costs of a translation those of the same text as its target are compared.
    """

    dtype: Literal["auto", "float64", "float32", "float16", "bfloat16", "q8_0"] | Lossy = "auto"
    logits: float | Literal["auto"] = "auto"
    relative: float | Literal["auto"] = "auto"
    kl_nats: float | Literal["auto"] = "auto"
    top1: float | Literal["auto"] = "auto"
    cosine: float | Literal["auto"] = "auto"
    same_continuation: bool | Literal["auto"] = "auto"
    dearer: float | Literal["auto"] = "auto"
    texts: PositiveInt = 64
    text_tokens: PositiveInt = 256
    prompt_tokens: PositiveInt = 12
    new_tokens: PositiveInt = 32

    def thresholds(self, dtypes: Sequence[str]) -> Thresholds:
        """Those of the coarsest of `dtypes`, with what is set by hand."""
        order = list(THRESHOLDS)
        name = max(dtypes, key=order.index) if self.dtype == "auto" else self.dtype
        given = {key: value for key in Thresholds.model_fields if (value := getattr(self, key)) != "auto"}
        return check(Thresholds, {**THRESHOLDS[name].model_dump(), **given}, where="parity")


class ParityConfig(Config):
    """What `wenlu parity` takes."""

    data: HeldOutConfig = HeldOutConfig()
    parity: ParitySettings = ParitySettings()


@dataclass(frozen=True)
class Difference:
    """The first place where the two are too far apart: `position` counts the tokens of text number `text`."""

    text: int
    position: int
    what: str


@dataclass(frozen=True)
class Parity:
    """What was found; a number is None where the models have nothing of the kind.

    Attributes:
        failed: names of what lies beyond its threshold; empty: the two answer alike.
        same_template: whether conversations are written with the same ids. same_ends: whether answers end at the same
            tokens.
        bits_per_byte: of the texts' tokens, given what stands before each text, or given the text as a source.
    """

    a: str
    b: str
    kind: Kind
    texts: int
    tokens: int
    same_ids: bool
    max_difference: float | None
    mean_kl_nats: float | None
    top1_agreement: float | None
    min_cosine: float | None
    same_continuation: bool | None
    same_template: bool | None
    same_ends: bool | None
    bits_per_byte: tuple[float, float] | None
    thresholds: dict[str, Any]
    failed: tuple[str, ...]
    first_difference: Difference | None

    @property
    def equal(self) -> bool:
        return not self.failed

    def to_json(self) -> dict[str, Any]:
        return {"equal": self.equal, **asdict(self)}


def parity(a: str, b: str, overrides: Sequence[str] = (), *, progress: Progress = QUIET) -> Parity | ServedParity:
    """Compare two models, `a` being the one that `b` should answer like.

    A model with quantised maps, or with maps of low rank, has the thresholds of these.

    Args:
        a: what `load` takes; so is `b`, or the address of a server: "http://127.0.0.1:8000", with "#NAME" of one of
            its models.
        overrides: of `[parity]`, and `data.test=FILE` in place of the built-in texts.

    Raises:
        UsageError: one continues text and the other does not.
        ConfigError, DataError, WeightsError: what cannot be read.
        ResourceError: a server that cannot be reached.
    """
    config = check(ParityConfig, override({}, overrides), where="parity")
    if b.startswith(("http://", "https://")):
        url, _, name = b.partition("#")
        count = config.parity.texts
        return served_parity(a, Endpoint(url), name=name or None, data=config.data.test, texts=count, progress=progress)
    texts = [record.text for record in read_texts(config.data.test, progress)] if config.data.test else TEXTS
    sides = [_lossy(bundle, side_of(bundle, name)) for name, bundle in ((a, load(a)), (b, load(b)))]
    return compare(sides[0], sides[1], texts, config.parity, progress=progress)


def _lossy(bundle: Bundle, side: Side) -> Side:
    """The side with the kind of what compression put into the model, in place of the type of its other numbers."""
    grids = [layer.config for layer in quantised_layers(bundle.model).values()]
    kinds: dict[Lossy, bool] = {
        "low-rank": bool(low_rank_layers(bundle.model)),
        "int4": any(grid.bits == 4 for grid in grids),
        "w8a8": any(grid.activation_bits is not None for grid in grids),
        "int8": bool(grids),
    }
    kind = next((kind for kind, is_there in kinds.items() if is_there), None)
    return side if kind is None else replace(side, dtype=kind)


def compare(a: Side, b: Side, texts: Sequence[str], settings: ParitySettings, *, progress: Progress = QUIET) -> Parity:
    """Answer `texts` with both sides; the errors are those of `parity`."""
    if a.kind != b.kind:
        raise UsageError(
            f"{a.name} ({a.kind}) and {b.name} ({b.kind}) answer with different things; compare alike models"
        )
    found = _Found(a, b, settings.thresholds((a.dtype, b.dtype)))
    texts = [text for text in texts if text][: settings.texts]
    if not texts:
        raise DataError("no texts to compare the models on; give some with data.test=FILE")
    progress.start("compare", total=len(texts), unit="texts")
    for number, text in enumerate(texts):
        found.read(number, text, settings)
        progress.update(number + 1)
    found.go_on(settings)
    progress.finish(f"{len(texts)} texts, {found.tokens:,} tokens")
    return found.result(len(texts))


class _Found:
    """Sums over the texts so far."""

    def __init__(self, a: Side, b: Side, thresholds: Thresholds) -> None:
        self.a, self.b, self.thresholds = a, b, thresholds
        self.tokens = 0
        self.positions = 0
        self.bytes = 0
        self.same_ids = True
        self.same_continuation = True
        self.prompts: dict[int, list[int]] = {}
        self.max_difference = 0.0
        self.is_beyond = False
        self.kl = 0.0
        self.agreeing = 0
        self.min_cosine = 1.0
        self.nats = [0.0, 0.0]
        self.first: Difference | None = None

    def read(self, number: int, text: str, settings: ParitySettings) -> None:
        ids, others = (side.frame(side.tokenizer.encode(text)) for side in (self.a, self.b))
        if ids != others:
            at = next(
                (i for i, (x, y) in enumerate(zip(ids, others, strict=False)) if x != y), min(len(ids), len(others))
            )
            self.same_ids = False
            shown = [
                side.tokenizer.token(row[at]) if at < len(row) else "nothing"
                for side, row in ((self.a, ids), (self.b, others))
            ]
            self._note(number, at, f"token {shown[0]!r} against {shown[1]!r}")
            return
        longest = min(
            settings.text_tokens, *(side.context for side in (self.a, self.b) if side.context is not None), 2**30
        )
        ids = ids[:longest]
        self.tokens += len(ids)
        tensor = torch.tensor([ids])
        mine, theirs = (side.answer(tensor)[0].double() for side in (self.a, self.b))  # (T, V)
        width = min(mine.shape[-1], theirs.shape[-1])
        if self.a.kind == "vectors" and mine.shape != theirs.shape:
            raise UsageError(
                f"{self.a.name} and {self.b.name} answer with {mine.shape[-1]} and {theirs.shape[-1]} numbers"
            )
        mine, theirs = mine[..., :width], theirs[..., :width]
        self._distances(number, mine, theirs)
        if self.a.kind == "vectors":
            self._cosines(number, mine, theirs)
            return
        self._likelihoods(number, mine, theirs)
        if self.a.kind == "causal":
            self._costs(ids[1:], mine[:-1], theirs[:-1])
            if longest > settings.new_tokens:
                self.prompts[number] = ids[: min(settings.prompt_tokens, longest - settings.new_tokens)]
        if self.a.kind == "seq2seq":
            self._costs(ids, mine, theirs)
            if all(side.context is None or side.context >= settings.new_tokens for side in (self.a, self.b)):
                self.prompts[number] = ids

    def go_on(self, settings: ParitySettings) -> None:
        """Let both continue the beginnings of the texts, by the likeliest token each time."""
        if not self.prompts:
            return
        prompts = list(self.prompts.values())
        both = [side.go_on(prompts, settings.new_tokens) for side in (self.a, self.b)]
        for text, prompt, mine, theirs in zip(self.prompts, prompts, *both, strict=True):
            if mine == theirs:
                continue
            self.same_continuation = False
            if self.thresholds.same_continuation:
                at = next(i for i, (x, y) in enumerate(zip(mine, theirs, strict=True)) if x != y)
                shown = [side.tokenizer.token(row[at]) for side, row in ((self.a, mine), (self.b, theirs))]
                begin = 0 if self.a.kind == "seq2seq" else len(prompt)
                self._note(text, begin + at, f"goes on with {shown[0]!r} against {shown[1]!r}")

    def result(self, texts: int) -> Parity:
        counted = max(1, self.positions)
        read = self.tokens > 0
        likely = read and self.a.kind != "vectors"
        predicts = read and self.a.kind in ("causal", "seq2seq")
        bits = [nats / math.log(2) / max(1, self.bytes) for nats in self.nats]
        found = Parity(
            a=self.a.name,
            b=self.b.name,
            kind=self.a.kind,
            texts=texts,
            tokens=self.tokens,
            same_ids=self.same_ids,
            max_difference=self.max_difference if read else None,
            mean_kl_nats=self.kl / counted if likely else None,
            top1_agreement=self.agreeing / counted if likely else None,
            min_cosine=self.min_cosine if read and not likely else None,
            same_continuation=self.same_continuation if self.prompts else None,
            same_template=same_template(self.a, self.b),
            same_ends=same_ends(self.a, self.b),
            bits_per_byte=(bits[0], bits[1]) if predicts else None,
            thresholds=self.thresholds.model_dump(),
            failed=(),
            first_difference=self.first,
        )
        failed = _failed(found, self.thresholds, self.is_beyond)
        return replace(found, failed=failed, first_difference=self.first if failed else None)

    def _note(self, text: int, position: int, what: str) -> None:
        if self.first is None:
            self.first = Difference(text, position, what)

    def _distances(self, text: int, mine: Tensor, theirs: Tensor) -> None:
        apart = (mine - theirs).abs().nan_to_num(nan=math.inf).amax(dim=-1)  # (T,)
        self.max_difference = max(self.max_difference, float(apart.max()))
        if self.thresholds.logits is None:
            return
        beyond = ~(apart <= self.thresholds.logits + self.thresholds.relative * mine.abs().amax(dim=-1))
        if bool(beyond.any()):
            self.is_beyond = True
            at = int(beyond.nonzero()[0])
            self._note(text, at, f"a number differs by {float(apart[at]):.3g}")

    def _cosines(self, text: int, mine: Tensor, theirs: Tensor) -> None:
        cosines = F.cosine_similarity(mine, theirs, dim=-1).nan_to_num(nan=-1.0)
        self.min_cosine = min(self.min_cosine, float(cosines.min()))
        if self.min_cosine < self.thresholds.cosine:
            self._note(text, int(cosines.argmin()), f"a cosine of {float(cosines.min()):.6f}")

    def _likelihoods(self, text: int, mine: Tensor, theirs: Tensor) -> None:
        p, q = mine.log_softmax(-1), theirs.log_softmax(-1)
        self.kl += float(F.kl_div(q, p, reduction="sum", log_target=True).nan_to_num(nan=math.inf))
        same = mine.argmax(-1) == theirs.argmax(-1)
        self.agreeing += int(same.sum())
        self.positions += len(same)
        if self.thresholds.top1 == 1 and not bool(same.all()):
            self._note(text, int((~same).nonzero()[0]), "another likeliest token")

    def _costs(self, ids: list[int], mine: Tensor, theirs: Tensor) -> None:
        """Add what the tokens `ids` cost, each under the logits before it."""
        targets = torch.tensor(ids, dtype=torch.int64)
        for side, logits in enumerate((mine, theirs)):
            self.nats[side] += float(F.cross_entropy(logits, targets, reduction="sum")) if ids else 0.0
        self.bytes += len(self.a.tokenizer.decode(ids).encode())


def _failed(found: Parity, most: Thresholds, is_beyond: bool) -> tuple[str, ...]:
    verdicts = {
        "same_ids": found.same_ids,
        "max_difference": not is_beyond,
        "mean_kl_nats": found.mean_kl_nats is None or found.mean_kl_nats <= most.kl_nats,
        "top1_agreement": found.top1_agreement is None or found.top1_agreement >= most.top1,
        "min_cosine": found.min_cosine is None or found.min_cosine >= most.cosine,
        "same_continuation": not (most.same_continuation and found.same_continuation is False),
        "same_template": found.same_template is not False,
        "same_ends": found.same_ends is not False,
        "bits_per_byte": not _is_dearer(found.bits_per_byte, most.dearer),
    }
    return tuple(name for name, passed in verdicts.items() if not passed)


def _is_dearer(bits: tuple[float, float] | None, dearer: float | None) -> bool:
    return bits is not None and dearer is not None and not bits[1] <= bits[0] * (1 + dearer)
