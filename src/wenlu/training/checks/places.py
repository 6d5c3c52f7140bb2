"""What of the places of a batch is trained on, and whether that is what should be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from wenlu.tasks import IGNORED, Batch, CausalLM, Draw, Task
from wenlu.tokenizers import Tokenizer
from wenlu.training.checks.finding import Finding, graded
from wenlu.training.checks.subject import layout, parts_of
from wenlu.training.checks.view import Shares

MOSTLY = 0.5
"""From this share of padding on, or of rows that ask for nothing, there is a warning."""
SHOWN = 0.5
"""At most so many of the hidden tokens may stand in the input as they are."""


def trained_tokens(found: Shares) -> Finding:
    """Whether anything is learnt from the batches, and from most of their rows."""
    share = found.trained / max(1, found.read)
    numbers = {"trained": found.trained, "read": found.read, "share": share, "silent_rows": found.silent}
    said = f"{found.trained:,} targets in {found.rows:,} rows of {found.read:,} tokens ({share:.1%})"
    if not found.trained:
        return Finding(
            "trained-tokens",
            "failure",
            f"{said}: all targets are ignored",
            "Look at the first rows below: the answers are empty, cut away, or not where the task looks for them.",
            numbers,
        )
    silent = found.silent / max(1, found.rows)
    if silent >= MOSTLY:
        fix = "Raise train.context, or look at the first rows: most of them hold nothing to learn."
        return Finding("trained-tokens", "warning", f"{said}; {silent:.0%} of the rows ask for nothing", fix, numbers)
    return Finding("trained-tokens", "pass", said, numbers=numbers)


def padding_share(found: Shares) -> Finding:
    share = 1 - found.read / max(1, found.places)
    verdict = graded(share, warn=MOSTLY, fail=2.0)
    fix = "Lower train.context or train.batch_size, so that a step holds rows of about one length."
    said = f"{share:.1%} of {found.places:,} places are padding"
    return Finding("padding", verdict, said, fix if verdict != "pass" else "", {"share": share})


def padding_targets(task: Task, batches: Sequence[Batch], tokenizer: Tokenizer) -> Finding:
    """Whether padding is ever something to learn."""
    wrong = sum(
        int(_padding_asked(own, part, tokenizer).sum()) for batch in batches for own, part in parts_of(task, batch)
    )
    if wrong:
        return Finding(
            "padding-targets",
            "failure",
            f"{wrong:,} targets are padding",
            f"Give padded places the target {IGNORED}, which the loss passes over.",
            {"targets": wrong},
        )
    return Finding("padding-targets", "pass", "no target is padding")


def _padding_asked(task: Task, batch: Batch, tokenizer: Tokenizer) -> torch.Tensor:
    targets, ids, mask = batch.targets, batch.input_ids, batch.attention_mask
    if targets.ndim != 2 or len(targets) != len(ids):
        return torch.zeros(0, dtype=torch.bool)
    asked = targets != IGNORED
    where = layout(task, batch)
    aligned = where != "written" and targets.shape == ids.shape
    if aligned and mask is not None and mask.ndim == 2:
        return asked & (mask == 0)
    if where in ("next", "written") and tokenizer.pad_id is not None:
        pads = (targets == tokenizer.pad_id) & _trailing(targets == tokenizer.pad_id)
        if tokenizer.pad_id == tokenizer.eos_id:  # the first one may be the end of the text
            pads = pads & pads.roll(1, dims=1) & (torch.arange(pads.size(1), device=pads.device) > 0)
        return pads
    return torch.zeros(0, dtype=torch.bool)


def _trailing(flags: torch.Tensor) -> torch.Tensor:
    """Which flags of each row have none but set ones behind them."""
    return flags.flip(1).long().cumprod(1).flip(1).bool()


def shifted_targets(task: Task, batches: Sequence[Batch]) -> list[Finding]:
    """Whether each target is the token behind its place; of hidden tokens, whether they are hidden."""
    wrong = asked = shown = hidden = 0
    for own, part in (pair for batch in batches for pair in parts_of(task, batch)):
        where = layout(own, part)
        inputs = part.input_ids if where == "next" else part.decoder_input_ids
        if where in ("next", "written") and inputs is not None:
            here, behind = part.targets[:, :-1], inputs[:, 1:]
            is_asked = here != IGNORED
            is_asked &= is_asked.flip(1).cumsum(1).flip(1) > 1  # the last target of a row stands in no input
            asked += int(is_asked.sum())
            wrong += int((is_asked & (here != behind)).sum())
        elif where == "in place":
            is_asked = part.targets != IGNORED
            hidden += int(is_asked.sum())
            shown += int((is_asked & (part.targets == part.input_ids)).sum())
    if asked:
        return [_of_shifted(wrong, asked)]
    return [_of_shown(shown, hidden)] if hidden else []


def _of_shifted(wrong: int, asked: int) -> Finding:
    share = wrong / asked
    if wrong:
        said = f"{wrong:,} of {asked:,} targets are not the token behind their place ({share:.1%})"
        fix = "Shift the targets: that of place t is token t + 1; a model that is asked for the token it reads copies."
        return Finding("shifted-targets", "failure", said, fix, {"share": share})
    return Finding("shifted-targets", "pass", f"all of {asked:,} targets are the token behind their place")


def _of_shown(shown: int, hidden: int) -> Finding:
    share = shown / hidden
    said = f"{shown:,} of {hidden:,} tokens that are asked for stand in the input as they are ({share:.1%})"
    if share > SHOWN:
        fix = "Hide what is asked for: a model that sees it learns to copy."
        return Finding("hidden-targets", "failure", said, fix, {"share": share})
    return Finding("hidden-targets", "pass", said, numbers={"share": share})


def document_ends(task: Task, draws: Sequence[Draw], eos_id: int | None) -> list[Finding]:
    """Of text in packed rows: whether every document's end is learnt, and no token of the next from this one."""
    if not isinstance(task, CausalLM):
        return []
    ends = learnt = crossing = within = missed = 0
    for draw in draws:
        ids, segments = torch.from_numpy(draw.rows.ids), torch.from_numpy(draw.rows.segments)
        asked = task.batch(draw).targets != IGNORED
        crosses = segments[:, 1:] != segments[:, :-1]
        crossing += int((asked & crosses).sum())
        within += int((~crosses).sum())
        missed += int((~asked & ~crosses).sum())
        ends += int(crosses[:, 1:].sum())
        if eos_id is not None:  # which is the target of the place before
            learnt += int((asked[:, :-1] & crosses[:, 1:] & (ids[:, 1:-1] == eos_id)).sum())
    return [*_ends_found(ends, learnt), _crossings_found(crossing, missed, within)]


def _ends_found(ends: int, learnt: int) -> Iterator[Finding]:
    if not ends:
        return
    share = learnt / ends
    said = f"{learnt:,} of {ends:,} documents end in the token that ends a text, and learn it"
    fix = "Name the token that ends a text as eos_token of the tokenizer, and encode the text again."
    verdict = graded(1 - share, warn=0.01, fail=0.5)
    yield Finding("end-is-trained", verdict, said, fix if verdict != "pass" else "", {"share": share})


def _crossings_found(crossing: int, missed: int, within: int) -> Finding:
    if crossing or missed > 0.01 * within:
        return Finding(
            "mask",
            "failure",
            f"{crossing:,} targets belong to another document than what they follow, and {missed:,} of {within:,} "
            "inside of documents are ignored",
            "Ignore exactly the target behind the last token of a document: the mask is off by one or more.",
            {"crossing": crossing, "missed": missed},
        )
    return Finding("mask", "pass", f"all of {within:,} targets inside of documents are learnt, and none across")


def runs(targets: torch.Tensor) -> list[list[int]]:
    """What is asked for in one row, without what is ignored between."""
    found: list[list[int]] = [[]]
    for token in targets.tolist():
        if token != IGNORED:
            found[-1].append(token)
        elif found[-1]:
            found.append([])
    return [run for run in found if run]
