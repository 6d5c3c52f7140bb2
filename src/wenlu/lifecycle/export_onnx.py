"""An ONNX graph as one side of a comparison, and what it must answer besides texts: other lengths, padded rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from wenlu.bundle import Bundle
from wenlu.compression.onnx import OnnxModel, example_length
from wenlu.errors import ParityError
from wenlu.generation.forward import before_answer, context_of, inference
from wenlu.generation.text import constraints
from wenlu.lifecycle.parity_side import Side, shifted, side_of
from wenlu.lifecycle.parity_texts import TEXTS
from wenlu.models.layers.encoder_decoder import EncoderDecoder


def onnx_side(graph: OnnxModel, bundle: Bundle) -> Side:
    """The graph in place of the model of `bundle`.

    Raises ParityError where it answers otherwise at a length that texts seldom have, or where rows are padded.
    """
    for length in (1, example_length(bundle.model) + 2):
        _check_rows(graph, bundle, [length])
    if "attention_mask" in graph.takes:
        longest = example_length(bundle.model) + 2
        _check_rows(graph, bundle, [longest, longest // 2, 1])
    side = side_of(bundle, "onnx")
    return replace(side, answer=partial(_answer, graph, bundle), go_on=partial(_go_on, graph, bundle))


def _answer(graph: OnnxModel, bundle: Bundle, ids: Tensor) -> Tensor:
    model = bundle.model
    return graph(ids, decoder_input_ids=shifted(model, ids) if isinstance(model, EncoderDecoder) else None)


def _go_on(graph: OnnxModel, bundle: Bundle, prompts: list[list[int]], count: int) -> list[list[int]]:
    """The likeliest next tokens, all read anew for each."""
    rows: dict[int, list[int]] = {}
    for length in {len(prompt) for prompt in prompts}:  # rows of one length need no padding
        alike = [row for row, prompt in enumerate(prompts) if len(prompt) == length]
        found = _continued(graph, bundle, [prompts[row] for row in alike], count)
        rows |= zip(alike, found, strict=True)
    return [rows[row] for row in range(len(prompts))]


def _continued(graph: OnnxModel, bundle: Bundle, prompts: list[list[int]], count: int) -> list[list[int]]:
    """The same for prompts of one length."""
    rules, size = constraints(bundle), bundle.tokenizer.vocab_size
    before = [before_answer(bundle.model, prompt) for prompt in prompts]
    source = torch.tensor(prompts)
    answers: list[list[int]] = [[] for _ in prompts]
    for _ in range(count):
        texts = torch.tensor([[*start, *answer] for start, answer in zip(before, answers, strict=True)])
        if isinstance(bundle.model, EncoderDecoder):
            logits = graph(source, decoder_input_ids=texts)[:, -1, :size]
        else:
            logits = graph(texts)[:, -1, :size]
        logits = rules.apply(logits, before, answers, [count] * len(answers))
        for answer, token in zip(answers, logits.argmax(-1).tolist(), strict=True):
            answer.append(token)
    return answers


def _check_rows(graph: OnnxModel, bundle: Bundle, lengths: Sequence[int]) -> None:
    """Let the graph answer rows of these lengths, padded on the right, then on the left, and the model each alone."""
    model = bundle.model
    context = context_of(model)
    longest = max(lengths)
    if context is not None and longest + 2 > context:
        return
    known = [number for text in TEXTS for number in bundle.tokenizer.encode(text)]
    rows = [(known[row:] * (1 + (longest + row) // len(known)))[:length] for row, length in enumerate(lengths)]
    for on_left in (False, True) if len(rows) > 1 else (False,):
        ids, mask = torch.zeros(len(rows), longest, dtype=torch.int64), torch.zeros(len(rows), longest).long()
        for row, numbers in enumerate(rows):
            place = slice(longest - len(numbers), longest) if on_left else slice(len(numbers))
            ids[row, place], mask[row, place] = torch.tensor(numbers), 1
        target = ids[:, : 1 + longest // 2] if isinstance(model, EncoderDecoder) else None
        found = graph(ids, mask, target)
        for row, numbers in enumerate(rows):
            with inference(model):
                alone = torch.tensor([numbers])
                mine = model(alone) if target is None else model(alone, decoder_input_ids=target[row : row + 1])
            has_times = target is None and found.ndim == 3
            theirs = found[row][mask[row].bool()] if has_times else found[row]
            _compare(mine[0], theirs, len(numbers), padding=longest - len(numbers))


def _compare(mine: Tensor, theirs: Tensor, length: int, *, padding: int) -> None:
    apart = float((mine.double() - theirs.double()).abs().max())
    if not apart <= 1e-3 + 1e-4 * float(mine.abs().max()):
        padded = f" and {padding} of padding" if padding else ""
        raise ParityError(
            f"format onnx: with {length} tokens{padded} the graph answers otherwise than the model: a number differs "
            f"by {apart:.3g}, so nothing was written; the exporter has no form for what this model does with length"
        )
