"""A model as an ONNX graph, through torch's exporter, and that graph as a model again, through onnxruntime.

The graph has one input, `input_ids` (batch, time) of int64, and one output: `logits` (batch, time, vocabulary), or
`hidden` (batch, time, width) of a bare encoder. Both lengths are free. It keeps no memory between calls and knows no
padding; a causal model needs none on the right.
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

INPUT = "input_ids"
_LOGGERS = ("torch.onnx", "onnxscript", "onnx_ir")


def export_onnx(path: Path, model: LanguageModel, family: Family) -> None:
    """Write `model` in float32 to `path`; weights beyond two gigabytes go into a file beside it.

    Raises:
        UsageError: a family whose graph has no form with a free length.
        WeightsError: torch's exporter cannot trace the model.
        MissingExtra: onnx or onnxscript are not installed.
    """
    if family.abilities & {Ability.RECURRENT, Ability.ENCODER_DECODER}:
        raise UsageError(
            f"format = 'onnx': the exporter has no form for a model of family {family.name} whose length stays free; "
            "use format = 'hf'"
        )
    _require("onnx", "onnxscript")
    example = torch.zeros(2, example_length(model), dtype=torch.int64)
    lengths = {0: torch.export.Dim("batch", min=1), 1: torch.export.Dim("time", min=1)}
    was_training = model.training
    wrapped = _OneInput(model).eval()
    try:
        with _quiet(), torch.no_grad():
            program = torch.onnx.export(
                wrapped,
                (example,),
                dynamo=True,
                input_names=[INPUT],
                output_names=["logits" if _has_vocabulary(model) else "hidden"],
                dynamic_shapes={INPUT: lengths},
                verbose=False,
            )
            assert program is not None, "without a file name the exporter returns what it made"
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

    def __call__(self, input_ids: Tensor) -> Tensor:
        """(B, T, V) of (B, T) ids."""
        (found,) = self._session.run(None, {INPUT: np.ascontiguousarray(input_ids.numpy())})
        return torch.from_numpy(found)


class _OneInput(nn.Module):
    """The call with nothing but ids, whose signature the exporter reads."""

    def __init__(self, model: LanguageModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor) -> Tensor:
        out: Tensor = self.model(input_ids)
        return out


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
