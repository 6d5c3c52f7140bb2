"""What the checks of a model look at: a task, a model, and a few rows to learn."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Self

import numpy as np
import torch
from torch import nn

from wenlu.corpus.examples import Examples
from wenlu.corpus.mixed_examples import MixedExamples
from wenlu.corpus.packing import Ids, Rows
from wenlu.models import LanguageModel
from wenlu.models.layers.decoder import Decoder
from wenlu.tasks import Batch, CausalLM, Draw, GenerativeTask, Loss, Preference, PrefixLM, Task
from wenlu.tasks.multi_task import MixedBatch
from wenlu.training.validation import device_of

EIGHT = 8
JITTER = 0.02
LARGE = 20_000_000
"""Parameters, from which on a model is cut to its first layers before it is trained to see whether it learns."""
KEPT_LAYERS = 2

Layout = Literal["next", "written", "in place", "head"]
"""Where the targets stand: of the token behind each place of the input, in a text of their own that a decoder writes,
at the places that they are asked about, or behind a head of the task's own."""


@dataclass(frozen=True)
class Subject:
    """Attributes:
    places: rows of the source; eight of them, or all where there are fewer.
    is_new: the model's weights were drawn; else they are a base's.
    """

    task: Task
    model: LanguageModel
    source: Rows
    places: Ids
    separate_documents: bool = True
    is_new: bool = True

    @classmethod
    def of(cls, task: Task, model: LanguageModel, source: Rows, **facts: Any) -> Self:
        """With eight rows of the source, short ones and with different answers where it has such."""
        places = eight(source)
        return cls(task, model, task.prepared(source, model, places), places, **facts)

    def batch(self, places: Ids | None = None) -> Batch:
        chosen = self.places if places is None else places
        draw = Draw.at(self.source, chosen, separate_documents=self.separate_documents)
        return self.task.batch(draw).to(device_of(self.model))

    def loss(self, batch: Batch) -> Loss:
        return self.task.loss(self.model, batch)

    def copied(self) -> Self:
        """With a model of its own to change, in evaluation mode: no dropout, no smoothing."""
        model = copy.deepcopy(self.model)
        model.eval()
        return replace(self, model=model)

    def cut(self) -> Self:
        """With the first layers alone of a large model."""
        return replace(self, model=shallow(self.model))

    def jittered(self) -> Self:
        """A copy whose weights moved a little at random: the outputs of a new model's layers are zero."""
        found = self.copied()
        random = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for weight in found.model.parameters():
                weight.add_(torch.randn(weight.shape, generator=random).to(weight), alpha=JITTER)
        return found


def layout(task: Task, batch: Batch) -> Layout:
    if isinstance(task, GenerativeTask):
        return "written" if task.has_encoder else "next"
    if isinstance(task, CausalLM | PrefixLM | Preference):
        return "next"
    if batch.decoder_input_ids is not None:
        return "written"
    return "in place" if batch.targets.shape == batch.input_ids.shape and not hasattr(task, "head") else "head"


def parts_of(task: Task, batch: Batch) -> Iterator[tuple[Task, Batch]]:
    """The batch with its task; of several tasks each member's own."""
    if isinstance(batch, MixedBatch):
        members = task.members  # type: ignore[attr-defined]  # only several tasks mix batches
        yield from ((members[name], part) for name, part in batch.parts.items())
    else:
        yield task, batch


def eight(source: Rows) -> Ids:
    """Places of eight rows: of examples short ones that differ, with the different labels in turn."""
    if isinstance(source, MixedExamples) or not isinstance(source, Examples):
        return np.arange(min(EIGHT, len(source)))
    sizes = source.inputs.sizes if source.targets is None else source.inputs.sizes + source.targets.sizes
    order = np.argsort(sizes, kind="stable")
    seen: set[bytes] = set()
    places = []
    for place in order.tolist():
        content = source.inputs[place].tobytes()
        if content not in seen and len(source.inputs[place]) > 2:
            seen.add(content)
            places.append(place)
    labels = source.labels
    if labels is not None and labels.ndim == 1 and places:
        places = _in_turn(places, [labels[place].item() for place in places])
    return np.array((places or order.tolist())[:EIGHT], np.int64)


def _in_turn(places: Sequence[int], labels: Sequence[Any]) -> list[int]:
    """The places, such that the first few have as many different labels as there are."""
    met: dict[Any, int] = {}
    turns = []
    for place, label in zip(places, labels, strict=True):
        met[label] = met.get(label, -1) + 1
        turns.append((met[label], place))
    rank = {place: number for number, place in enumerate(places)}
    return [place for _, place in sorted(turns, key=lambda turn: (turn[0], rank[turn[1]]))]


def shallow(model: LanguageModel, most: int = LARGE) -> LanguageModel:
    """The model itself up to so many parameters, else a copy of its first layers."""
    if sum(weight.numel() for weight in model.parameters()) <= most:
        return model
    memo: dict[int, Any] = {}
    for module in model.modules():
        for name, child in module.named_children():
            if name == "layers" and isinstance(child, nn.ModuleList) and len(child) > KEPT_LAYERS:
                memo[id(child)] = copy.deepcopy(nn.ModuleList(child[:KEPT_LAYERS]), memo)
    cut = copy.deepcopy(model, memo)
    for module in cut.modules():
        if isinstance(module, LanguageModel) and isinstance(getattr(module, "layers", None), nn.ModuleList):
            _tell(module)
    return cut


def _tell(model: LanguageModel) -> None:
    """Give what the model knows of each of its layers the length that it has now."""
    config: Any = model.config
    told: dict[str, Any] = {"num_hidden_layers": KEPT_LAYERS}
    if "layer_types" in type(config).model_fields:
        told["layer_types"] = config.layer_types[:KEPT_LAYERS]
    model.config = config.model_copy(update=told)
    if isinstance(model, Decoder):
        model.views = model.views[:KEPT_LAYERS]
