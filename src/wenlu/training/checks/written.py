"""Whether what is trained on, decoded, is what the examples teach, whole and with its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from wenlu.tasks import Draw, GenerativeTask
from wenlu.tokenizers import Tokenizer
from wenlu.training.checks.finding import Finding
from wenlu.training.checks.places import runs

FEW, HALF = 0.05, 0.5


@dataclass(frozen=True)
class Answers:
    """Of the answers of some examples, how many are learnt whole, whole and with the token that ends them, cut short,
    or otherwise than they are written; and how many of them all have the end."""

    total: int
    whole: int
    ended: int
    cut: int
    other: int
    sample: str = ""


def answers(task: GenerativeTask, examples: Sequence[Any], context: int) -> Answers:
    source = task.learnt_rows(examples, context)
    batch = task.batch(Draw.at(source, np.arange(len(source))))
    by_owner: dict[int, list[list[int]]] = {}
    for row, owner in enumerate(source.owners.tolist()):
        by_owner.setdefault(owner, []).extend(runs(batch.targets[row]))
    total = whole = ended = cut = other = 0
    sample = ""
    for owner, example in enumerate(examples):
        texts = [text for text in task.all_targets([example]) if text]
        found = by_owner.get(owner, [])
        ended += sum(run[-1] == task.end_id for run in found)
        total += len(found)
        for run in found:
            bare = _bare(task, run)
            if any(_is(task.tokenizer, bare, text) for text in texts):
                whole += 1
            elif any(_begins(task.tokenizer, bare, text) for text in texts) and run[-1] != task.end_id:
                cut += 1
            elif texts:
                other += 1
                sample = sample or task.tokenizer.decode(run, skip_special=False)
    return Answers(total, whole, ended, cut, other, sample)


def _bare(task: GenerativeTask, run: list[int]) -> list[int]:
    """The run without its end and, behind an encoder, without the special tokens that begin it."""
    ids = run[:-1] if run[-1] == task.end_id else run
    special = {*task.tokenizer.special_tokens.values()}
    while task.has_encoder and ids and ids[0] in special:
        ids = ids[1:]
    while task.has_encoder and ids and ids[-1] in special:
        ids = ids[:-1]
    return ids


def _is(tokenizer: Tokenizer, ids: list[int], text: str) -> bool:
    if ids in (tokenizer.encode(text), tokenizer.encode_batch_inside([text])[0]):
        return True
    return tokenizer.decode(ids, skip_special=False).strip(" ") == text


def _begins(tokenizer: Tokenizer, ids: list[int], text: str) -> bool:
    if not ids:
        return False
    for whole in (tokenizer.encode(text), tokenizer.encode_batch_inside([text])[0]):
        if whole[: len(ids)] == ids:
            return True
    return text.startswith(tokenizer.decode(ids, skip_special=False).strip(" ").rstrip("�"))


def answer_findings(found: Answers) -> list[Finding]:
    """Mask, truncation and end of what is written."""
    if not found.total:
        return []
    total = found.total
    numbers = {"answers": total, "whole": found.whole, "cut": found.cut, "ended": found.ended}
    findings = [_mask(found, numbers), _truncation(found, numbers)]
    if found.whole:
        share = found.ended / total
        unended = found.whole + found.other - found.ended
        if unended > FEW * (found.whole + found.other):
            findings.append(
                Finding(
                    "end-is-trained",
                    "failure",
                    f"{found.ended:,} of {total:,} answers end in the token that ends them",
                    "Put the end-of-text token behind each answer, or the model never learns where to stop.",
                    {"share": share},
                )
            )
        else:
            findings.append(
                Finding("end-is-trained", "pass", f"{found.ended:,} of {total:,} answers are learnt with their end")
            )
    return findings


def _mask(found: Answers, numbers: Mapping[str, float]) -> Finding:
    share = found.other / found.total
    said = f"{found.total - found.other:,} of {found.total:,} trained stretches are an answer, or its beginning"
    if share > FEW:
        fix = "Train exactly on the answers: the mask begins or ends at another token than they do."
        return Finding(
            "mask",
            "failure" if share > HALF else "warning",
            f"{said}; one that is not: {found.sample[:80]!r}",
            fix,
            numbers,
        )
    return Finding("mask", "pass", said, numbers=numbers)


def _truncation(found: Answers, numbers: Mapping[str, float]) -> Finding:
    share = found.cut / found.total
    said = f"{found.cut:,} of {found.total:,} answers are cut ({share:.1%})"
    if share > FEW:
        fix = "Raise train.context or task.max_target_tokens, or leave long examples out: cut answers have no end."
        return Finding("truncation", "failure" if share >= HALF else "warning", said, fix, numbers)
    return Finding("truncation", "pass", said, numbers=numbers)


def text_truncation(encoded: Sequence[int], held: Sequence[int]) -> Finding:
    """Of texts that a head reads: their tokens, and how many of these the rows hold."""
    lost = sum(max(0, whole - kept) for whole, kept in zip(encoded, held, strict=True))
    cut = sum(kept < whole for whole, kept in zip(encoded, held, strict=True))
    share = lost / max(1, sum(encoded))
    said = f"{cut:,} of {len(encoded):,} texts are longer than a row, which cuts {share:.1%} of all tokens"
    if share > HALF:
        fix = 'Raise train.context, or read more of long texts: task.long="head-tail" or "windows".'
        return Finding("truncation", "warning", said, fix, {"share": share, "texts": cut})
    return Finding("truncation", "pass", said, numbers={"share": share, "texts": cut})
