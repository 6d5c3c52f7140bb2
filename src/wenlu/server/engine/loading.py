"""Bring models that share weights into memory: one by itself, or one with adapters."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from wenlu.bundle import Bundle, VectorsBundle, load_any, model_path
from wenlu.config import did_you_mean
from wenlu.errors import MissingExtra, UsageError, WeightsError, WenluError
from wenlu.evaluation.linear.prediction import linear_folder, load_stored
from wenlu.generation.caches import Packing
from wenlu.generation.engine import Engine
from wenlu.generation.guides.spellings import spellings_of
from wenlu.generation.native_runner import packing_of
from wenlu.generation.pages import has_pages, page_shape
from wenlu.models import LanguageModel
from wenlu.models.adapters import base_named, is_adapter
from wenlu.models.layers.decoder import Decoder
from wenlu.server.engine.served import Served, served, served_linear
from wenlu.server.settings import EngineConfig

PREFILL_TOKENS = 128
"""Of prompts, that one step reads: so long does whoever is being answered wait for those who come."""
SHARE = 4
"""Keys and values of a model get at most one part of the budget in so many, unless one whole text takes more."""
_PACKED = {None: 0.0, "float32": 4.0, "bfloat16": 2.0, "int8": 1.2, "int4": 0.7}
"""Bytes a number of weights that are packed for the native call."""


@dataclass(frozen=True)
class Loaded:
    """Models in memory.

    Attributes:
        engine: of those that write. nbytes: that all take. began: when they were loaded, a clock's seconds.
    """

    models: Mapping[str, Served]
    engine: Engine | None
    nbytes: int
    began: float

    @property
    def most_tokens(self) -> int | None:
        """Of one prompt and its answer, that there are pages for."""
        return None if self.engine is None else self.engine.most_tokens


def grouped(models: Iterable[tuple[str, str]]) -> list[tuple[tuple[str, str], ...]]:
    """Models with the adapters of each behind it; an adapter whose base is not among them stands by itself.

    Raises as `load` does.
    """
    alone: dict[str, list[tuple[str, str]]] = {}
    by_path: dict[Path, str] = {}
    beside: list[tuple[str, str]] = []
    for name, given in models:
        if linear_folder(given) is None and _is_adapter(given):
            beside.append((name, given))
            continue
        alone[name] = [(name, given)]
        if linear_folder(given) is None:
            by_path.setdefault(model_path(given).resolve(), name)
    for name, given in beside:
        path = _base_of(given)
        base = None if path is None else by_path.get(path)
        alone.setdefault(base or name, []).append((name, given))
    return [tuple(group) for group in alone.values()]


def weights_bytes(given: str) -> int:
    """What the files of a model's weights have; of a linear model nothing worth counting."""
    if linear_folder(given) is not None:
        return 0
    path = model_path(given)
    files = [path] if path.is_file() else path.glob("*.safetensors")
    return sum(file.stat().st_size for file in files)


def load_group(group: Sequence[tuple[str, str]], config: EngineConfig, budget: int) -> Loaded:
    """Raises as `wenlu.load`; UsageError for what cannot be served, or does not fit the budget in bytes."""
    (name, given), *adapters = group
    linear = linear_folder(given)
    if linear is not None:
        one = served_linear(name, load_stored(linear), linear)
        return Loaded({name: one}, None, 0, time.monotonic())
    size = weights_bytes(given)
    if size > budget:
        raise UsageError(
            f"{name}: its weights have {size:,} bytes, and engine.memory_gigabytes leaves {budget:,} for all models; "
            "raise it, or compress the model: wenlu compress"
        )
    bundle = _bundle(name, given)
    models = {one.name: one for one in served(name, bundle)}
    with_adapter: dict[str, LanguageModel] = {}
    for own, path in adapters:
        adapted = bundle.with_adapter(path)
        models |= {one.name: one for one in served(own, adapted, parent=name, adapter=own)}
        with_adapter[own] = adapted.model
    writers = {own: model for own, model in with_adapter.items() if own in models and models[own].writes}
    writes = bool(writers) or (name in models and models[name].writes)
    weights = _nbytes([bundle.model, *with_adapter.values()], config.weights if writes else "torch")
    engine = None
    if writes:
        engine = _engine(bundle.model, writers, config, budget, weights)
        _know_spellings(models.values())
    pages = 0 if engine is None else engine.stats().pages.budget
    if weights > budget:
        raise UsageError(
            f"{name}: takes {weights:,} bytes in memory, and engine.memory_gigabytes leaves {budget:,} for all models; "
            "raise it, or compress the model: wenlu compress"
        )
    return Loaded(models, engine, weights + pages, time.monotonic())


def _bundle(name: str, given: str) -> Bundle:
    bundle = load_any(given)
    if isinstance(bundle, VectorsBundle):
        raise UsageError(f"{name}: {given} holds word vectors, which read no text; ask them: wenlu predict {given}")
    return bundle


def _engine(
    model: LanguageModel, adapters: Mapping[str, LanguageModel], config: EngineConfig, budget: int, weights: int
) -> Engine:
    build = partial(
        Engine, model, max_batch=config.max_batch, max_prefill_tokens=PREFILL_TOKENS, invariant=config.invariant,
        adapters=adapters,
    )  # fmt: skip
    if not has_pages(model):
        return build()
    assert isinstance(model, Decoder), "only they have pages"
    shape = page_shape(model, config.cache)
    text = shape.pages(model.config.max_position_embeddings) * shape.nbytes
    memory = min(config.max_batch * text, max(budget // SHARE, text), max(shape.nbytes, budget - weights))
    return build(cache=config.cache, weights=config.weights, memory=memory)


def _nbytes(models: Sequence[LanguageModel], packing: Packing) -> int:
    """Of the models, shared weights once, and of what the native call reads in their place."""
    tensors = {
        weight.data_ptr(): weight.nbytes for model in models for weight in (*model.parameters(), *model.buffers())
    }
    numbers = sum(weight.numel() for weight in models[0].parameters())
    packed = _PACKED[packing_of(models[0], packing)] if has_pages(models[0]) else 0.0
    return sum(tensors.values()) + int(packed * numbers)


def _know_spellings(models: Iterable[Served]) -> None:
    """Work out what forms are read with, so that no request waits for it; nothing without llguidance."""
    for one in models:
        if isinstance(one.bundle, Bundle) and one.writes:
            try:
                spellings_of(one.bundle.tokenizer).vocabulary(first=False)
            except MissingExtra:
                return


def _is_adapter(given: str) -> bool:
    try:
        return is_adapter(model_path(given))
    except WeightsError:  # word vectors, say: `load` tells what is wrong
        return False


def _base_of(given: str) -> Path | None:
    try:
        return model_path(base_named(model_path(given))).resolve()
    except WenluError:
        return None


def unknown(name: str, known: Sequence[str]) -> str:
    """What is said of a model that is not served."""
    return f"no model {name!r:.200} is served; {did_you_mean(name, known)}"
