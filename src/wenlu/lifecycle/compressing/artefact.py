"""One smaller model: made, written, read again, compared with its model, scored; or refused."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from wenlu import __version__
from wenlu.bundle import Bundle, load
from wenlu.compression.method import Kind, LayerError, MethodConfig
from wenlu.compression.methods import label_of, method_of
from wenlu.compression.vocabulary import old_ids
from wenlu.errors import ParityError
from wenlu.lifecycle.compressing.settings import CompressConfig
from wenlu.lifecycle.compressing.speed import Speed, measure
from wenlu.lifecycle.compressing.texts import Texts
from wenlu.lifecycle.ladder.outcome import bytes_below
from wenlu.lifecycle.model_card import CARD
from wenlu.lifecycle.model_folder import write_bundle
from wenlu.lifecycle.parity import LOSSY, Parity, compare
from wenlu.lifecycle.parity_record import write_parity
from wenlu.lifecycle.parity_side import Side, side_of, task_side
from wenlu.progress import Named, Progress
from wenlu.rundir import atomic, is_run
from wenlu.tasks import ReadingTask

EVALUATIONS = "evaluations"
_CARD = {
    "en": "\n## Compression\n\nMade by Wenlu {version} of {model}: {chain}. On {texts} texts: KL divergence {kl} nats "
    "a token, the same likeliest token at {top1}. {verdict}\n",
    "zh": "\n## 压缩\n\n由文炉 {version} 从 {model} 制成：{chain}。在 {texts} 篇文字上：每词元 KL 散度 {kl} 纳特，"
    "最可能词元一致率 {top1}。{verdict}\n",
}
_VERDICT = {
    "en": (
        "It answers as its kind should.",
        "**It answers otherwise than its kind should, and was kept all the same.**",
    ),
    "zh": ("回答与同类成品应有的接近程度相符。", "**回答偏离超出同类成品的界限，仍按要求保留。**"),
}


@dataclass(frozen=True)
class Artefact:
    """What a chain came to.

    Attributes:
        path: None where it was refused. evaluation: the folder with its scores.
        seconds: of making it. bytes: of its folder. layers: what its last step that reads texts moved.
    """

    name: str
    chain: tuple[MethodConfig, ...]
    path: Path | None
    evaluation: Path
    parity: Parity
    seconds: float
    bytes: int
    speed: Speed | None
    layers: tuple[LayerError, ...]

    @property
    def verdict(self) -> str:
        if self.parity.equal:
            return "passed"
        return "refused" if self.path is None else "accepted"


def make(chain: tuple[MethodConfig, ...], out: Path, model: Bundle, texts: Texts, progress: Progress) -> Artefact:
    """Write `out/LABEL`, unless what is there answers too unlike `model`.

    Raises:
        UsageError, WeightsError: a step that the model does not fit.
    """
    name, config = label_of(chain), texts.config
    told = Named(name, progress)
    evaluation = out / EVALUATIONS / name
    evaluation.mkdir(parents=True, exist_ok=True)
    made: Artefact | None = None
    try:
        with atomic.atomic_folder(out / name) as folder:
            begun = time.perf_counter()
            bundle, layers = _compressed(chain, config, texts, told)
            seconds = time.perf_counter() - begun
            write_bundle(folder, bundle, name=name, run=_run_of(model.path), language=config.language)
            del bundle
            again = load(folder)
            parity = _compared(model, again, chain, config, texts, told)
            _write_verdict(folder, name, chain, config, parity)
            size = bytes_below(folder)
            replace(texts, progress=told).evaluate(again).save(evaluation)
            speed = measure(folder, config.compress.measured_tokens) if config.compress.measure else None
            made = Artefact(name, chain, out / name, evaluation, parity, seconds, size, speed, layers)
            if not parity.equal and not config.compress.accept_divergence:
                made = replace(made, path=None)
                raise _Refused
    except _Refused:
        progress.warn(f"{name}: {why(parity)}; nothing was kept. compress.accept_divergence=true would")
    assert made is not None, "what was written was compared"
    return made


def why(parity: Parity) -> str:
    """What lies beyond its threshold."""
    numbers = parity.to_json()
    shown = ", ".join(f"{name} = {_short(numbers.get(name))}" for name in parity.failed)
    return f"answers otherwise than the model ({shown})"


def kind_of(chain: Sequence[MethodConfig]) -> Kind:
    """The kind of the step that may change most."""
    return max((step.kind for step in chain), key=[*LOSSY].index)


def side(bundle: Bundle, name: str) -> Side:
    return task_side(bundle, name) if isinstance(bundle.task, ReadingTask) else side_of(bundle, name)


def refused_all(artefacts: Sequence[Artefact]) -> ParityError:
    told = "; ".join(f"{each.name} {why(each.parity)}" for each in artefacts)
    return ParityError(
        f"{told}. Nothing was kept: more bits or smaller groups may be near enough, or thresholds that you set "
        "yourself (parity.kl_nats=…); compress.accept_divergence=true keeps them and says so in their cards"
    )


class _Refused(Exception):
    """The folder is not to get its name."""


def _compressed(
    chain: tuple[MethodConfig, ...], config: CompressConfig, texts: Texts, progress: Progress
) -> tuple[Bundle, tuple[LayerError, ...]]:
    bundle = load(config.model, task=config.task)
    layers: tuple[LayerError, ...] = ()
    for step in chain:
        calibration = texts.calibration if step.is_calibrated else None
        done = method_of(step).apply(bundle, step, calibration, progress)
        bundle, layers = done.bundle, done.layers or layers
    return bundle, layers


def _compared(
    model: Bundle, made: Bundle, chain: tuple[MethodConfig, ...], config: CompressConfig, texts: Texts, told: Progress
) -> Parity:
    settings = config.parity
    if settings.dtype == "auto":
        settings = settings.model_copy(update={"dtype": kind_of(chain)})
    held_out = [record.text for record in texts.held_out]
    own, other = side(model, config.model), side(made, label_of(chain))
    if model.tokenizer.fingerprint != made.tokenizer.fingerprint:
        own = in_words_of(own, other, old_ids(model.tokenizer, made.tokenizer))
    return compare(own, other, held_out, settings, progress=told)


def in_words_of(own: Side, other: Side, old: Tensor) -> Side:
    """The side asked with the tokens of another that has fewer, (V',) by their old numbers, and answering with these:
    the chances of the others are shared out in proportion."""
    new = {int(id): place for place, id in enumerate(old)}

    def answer(ids: Tensor) -> Tensor:
        found = own.answer(old[ids])
        return found if own.kind == "vectors" else found[..., old]

    def go_on(prompts: list[list[int]], count: int) -> list[list[int]]:
        given = [[int(old[id]) for id in prompt] for prompt in prompts]
        return [[new.get(id, -1) for id in row] for row in own.go_on(given, count)]

    return replace(own, tokenizer=other.tokenizer, frame=other.frame, answer=answer, go_on=go_on)


def _write_verdict(
    folder: Path, name: str, chain: tuple[MethodConfig, ...], config: CompressConfig, parity: Parity
) -> None:
    write_parity(folder, parity, model=config.model, chain=[step.model_dump(mode="json") for step in chain])
    said = _CARD[config.language].format(
        version=__version__,
        model=Path(config.model).name,
        chain=name,
        texts=parity.texts,
        kl=_short(parity.mean_kl_nats),
        top1="–" if parity.top1_agreement is None else f"{parity.top1_agreement:.1%}",
        verdict=_VERDICT[config.language][not parity.equal],
    )
    card = (folder / CARD).read_text(encoding="utf-8")
    atomic.write_text(folder / CARD, card + said)


def _run_of(path: Path) -> Path | None:
    return next((folder for folder in (path, path.parent) if is_run(folder)), None)


def _short(value: Any) -> str:
    match value:
        case float():
            return f"{value:.4g}"
        case [float() as before, float() as after]:
            return f"{after:.4g} in place of {before:.4g}"
        case None:
            return "–"
    return str(value)
