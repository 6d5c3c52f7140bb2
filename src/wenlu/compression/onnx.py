"""A model as an ONNX graph, through torch's exporter, and that graph as a model again, through onnxruntime.

The graph takes `input_ids` (batch, time) of int64 and, unless the model is recurrent, `attention_mask` (batch, time), 0
where a row is padded, on either side; an encoder–decoder `decoder_input_ids` (batch, target) as well. It answers with
`logits` (batch, time or target, vocabulary), or with `hidden` (batch, time, width) of a bare encoder. All lengths are
free. It keeps no memory between calls. A recurrent model needs no mask for padding on the right, and has none.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from wenlu.errors import MissingExtra, UsageError, WeightsError
from wenlu.models import Ability, Family, LanguageModel

_LOGGERS = ("torch.onnx", "onnxscript", "onnx_ir")


def export_onnx(path: Path, model: LanguageModel, family: Family) -> None:
    """Write `model` in float32 to `path`; weights beyond two gigabytes go into a file beside it.

    Raises:
        UsageError: a family whose graph has no form with a free length, or that reads pictures: the graph takes texts.
        WeightsError: torch's exporter cannot trace the model.
        MissingExtra: onnx or onnxscript are not installed.
    """
    if any(isinstance(module, nn.RNN | nn.LSTMCell) for module in model.modules()):
        raise UsageError(
            f"format = 'onnx': the exporter has no form for a model of family {family.name} whose length stays free; "
            "use format = 'hf'"
        )
    if family.abilities & {Ability.SEES, Ability.MATCHES}:
        raise UsageError(
            f"format = 'onnx': the graph would read texts only, but {family.name} reads pictures too; use format = 'hf'"
        )
    _require("onnx", "onnxscript")
    was_training = model.training
    traced = _traced(model, family).eval()
    batch, time, target = (torch.export.Dim(name, min=1) for name in ("batch", "time", "target"))
    example = torch.ones(2, example_length(model), dtype=torch.int64)
    inputs: dict[str, tuple[Tensor, dict[int, Any]]] = {
        "input_ids": (example, {0: batch, 1: time}),
        "attention_mask": (example.clone(), {0: batch, 1: time}),
        "decoder_input_ids": (example[:, :-2].clone(), {0: batch, 1: target}),
    }
    taken = {name: inputs[name] for name in traced.takes}
    try:
        with _quiet(), torch.no_grad():
            program = torch.onnx.export(
                traced,
                tuple(value for value, _ in taken.values()),
                dynamo=True,
                input_names=list(taken),
                output_names=["logits" if _has_vocabulary(model) else "hidden"],
                dynamic_shapes={name: lengths for name, (_, lengths) in taken.items()},
                verbose=False,
            )
            assert program is not None, "without a file name the exporter returns what it made"
            if isinstance(traced, _Recurrent):
                _free_lengths(program)
            program.save(str(path), external_data=_bytes_of(model) > _MOST_IN_ONE_FILE)
    except torch.onnx.errors.OnnxExporterError as error:
        raise WeightsError(f"the model cannot be exported as ONNX: {str(error).splitlines()[0]}") from error
    finally:
        model.train(was_training)


def example_length(model: LanguageModel) -> int:
    """The length at which a model is traced: beyond every window of its attention, so that the graph has them.

    What a model does at lengths beyond its window only is not traced at a shorter one, and the exporter is silent.
    """
    context = getattr(model.config, "max_position_embeddings", _SHORTEST)
    windows = [getattr(model.config, name, None) or 0 for name in ("sliding_window", "local_attention")]
    return max(_SHORTEST, *(window + 2 for window in windows if window + 4 < context))


_SHORTEST = 7


class OnnxModel:
    """Answers with the output of an ONNX file, on the CPU; raises MissingExtra without onnxruntime."""

    def __init__(self, path: Path, *, threads: int = 0) -> None:
        _require("onnxruntime")
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or torch.get_num_threads()
        options.log_severity_level = 3
        self._session: Any = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

        self.takes: tuple[str, ...] = tuple(value.name for value in self._session.get_inputs())

    def __call__(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, decoder_input_ids: Tensor | None = None
    ) -> Tensor:
        """(B, T, V) of (B, T) ids; the mask, where none is given, says that nothing is padded."""
        given = {
            "input_ids": input_ids,
            "attention_mask": torch.ones_like(input_ids) if attention_mask is None else attention_mask,
            "decoder_input_ids": decoder_input_ids,
        }
        feeds = {name: value for name in self.takes if (value := given[name]) is not None}
        (found,) = self._session.run(None, {name: np.ascontiguousarray(value.numpy()) for name, value in feeds.items()})
        return torch.from_numpy(found)


class _Traced(nn.Module):
    """A call with nothing but what the graph takes, whose signature the exporter reads."""

    takes: tuple[str, ...]

    def __init__(self, model: LanguageModel) -> None:
        super().__init__()
        self.model = model


class _Masked(_Traced):
    takes = ("input_ids", "attention_mask")

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        out: Tensor = self.model(input_ids, attention_mask=attention_mask)
        return out


class _Recurrent(_Traced):
    takes = ("input_ids",)

    def forward(self, input_ids: Tensor) -> Tensor:
        out: Tensor = self.model(input_ids)
        return out


class _TwoTexts(_Traced):
    takes = ("input_ids", "attention_mask", "decoder_input_ids")

    def forward(self, input_ids: Tensor, attention_mask: Tensor, decoder_input_ids: Tensor) -> Tensor:
        out: Tensor = self.model(input_ids, attention_mask=attention_mask, decoder_input_ids=decoder_input_ids)
        return out


def _traced(model: LanguageModel, family: Family) -> _Traced:
    if Ability.ENCODER_DECODER in family.abilities:
        return _TwoTexts(model)
    return _Recurrent(model) if Ability.RECURRENT in family.abilities else _Masked(model)


def _free_lengths(program: torch.onnx.ONNXProgram) -> None:
    """Say of the output that its lengths are free, and nothing of what lies between: behind a loop over the steps the
    exporter writes down the length that it traced, about which onnxruntime warns at every other."""
    import onnx_ir

    graph = program.model.graph
    for node in graph.all_nodes():
        for value in node.outputs:
            value.shape = None
    (output,) = graph.outputs
    output.shape = onnx_ir.Shape(["batch", "time", None])


_MOST_IN_ONE_FILE = 2**31 - 2**24
"""Bytes: a protocol buffer ends at 2 GiB."""


def _bytes_of(model: nn.Module) -> int:
    return sum({id(weight): weight.nbytes for weight in model.parameters()}.values())


def _has_vocabulary(model: LanguageModel) -> bool:
    return not isinstance(model.lm_head, nn.Identity)


def _require(*packages: str) -> None:
    from importlib.util import find_spec

    for package in packages:
        if find_spec(package) is None:
            raise MissingExtra(package, extra="onnx", purpose="export a model as ONNX")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's progress and warnings, which speak to its developers, off the terminal."""
    levels = {name: logging.getLogger(name).level for name in _LOGGERS}
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
