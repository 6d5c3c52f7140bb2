"""Whether the examples can teach: how labels are spread, how often texts repeat, and what stands on both sides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Self

from wenlu.training.checks.finding import Finding, graded

CONSTANT, LOPSIDED = 0.99, 0.9
REPEATED_WARNS, REPEATED_FAILS = 0.1, 0.5
CONFLICTS_WARN, CONFLICTS_FAIL = 0.02, 0.2
LEAKED_WARNS, LEAKED_FAILS = 1e-9, 0.01


@dataclass(frozen=True)
class Known:
    """A record as far as these checks compare it.

    Attributes:
        key: of what is asked; the same where it differs in case and spaces alone.
        whole: of that and the answer.
        cluster: what near-duplicates share; empty where that is not known.
    """

    key: bytes
    whole: bytes
    cluster: str = ""

    @classmethod
    def of(cls, text: str, answer: str = "", cluster: str = "") -> Self:
        return cls(_digest(text), _digest(f"{text}\0{answer}"), cluster)


def _digest(text: str) -> bytes:
    plain = " ".join(text.casefold().split())
    return blake2b(plain.encode("utf-8", "replace"), digest_size=16).digest()


def label_balance(labels: Sequence[str], *, weighted: bool = False) -> Finding:
    """How much one label outweighs the others."""
    counts = Counter(labels)
    (most, count), fewest = counts.most_common(1)[0], min(counts.values())
    share = count / len(labels)
    said = f"{len(counts)} labels; {most[:40]!r} on {share:.1%} of {len(labels):,} texts, the rarest on {fewest:,}"
    numbers = {"labels": len(counts), "largest": share, "rarest": fewest}
    if len(counts) == 1 or share >= CONSTANT:
        fix = 'Collect texts with the other labels, or set task.class_weights="balanced": one answer fits all.'
        return Finding("label-balance", "warning" if weighted and len(counts) > 1 else "failure", said, fix, numbers)
    if share >= LOPSIDED:
        fix = 'Judge by macro F1 rather than accuracy, or set task.class_weights="balanced".'
        return Finding("label-balance", "warning", said, fix, numbers)
    return Finding("label-balance", "pass", said, numbers=numbers)


def duplicates(records: Sequence[Known]) -> Finding:
    """Which share of the training part says again what an earlier record says."""
    share = 1 - len({record.whole for record in records}) / len(records)
    near = 1 - len({record.cluster or record.whole for record in records}) / len(records)
    said = f"{share:.1%} of {len(records):,} training records repeat another one, {max(share, near):.1%} nearly"
    verdict = graded(share, warn=REPEATED_WARNS, fail=REPEATED_FAILS)
    fix = 'Remove them with data.steps = ["repair", "exact-dedup"], or "near-dedup": what repeats is learnt by heart.'
    numbers = {"exact": share, "near": max(share, near)}
    return Finding("duplicates", verdict, said, fix if verdict != "pass" else "", numbers)


def label_conflicts(records: Sequence[Known], labels: Sequence[str]) -> Finding:
    """Which share of the texts has, elsewhere, another label."""
    by_text: dict[bytes, set[str]] = {}
    for record, label in zip(records, labels, strict=True):
        by_text.setdefault(record.key, set()).add(label)
    conflicting = sum(len(by_text[record.key]) > 1 for record in records)
    share = conflicting / len(records)
    said = f"{conflicting:,} of {len(records):,} texts also stand with another label ({share:.1%})"
    verdict = graded(share, warn=CONFLICTS_WARN, fail=CONFLICTS_FAIL)
    fix = "Give each text one label: no model can tell equal texts apart."
    return Finding("label-conflicts", verdict, said, fix if verdict != "pass" else "", {"share": share})


def leakage(train: Sequence[Known], held_out: Sequence[Known], split: str) -> Finding:
    """Which share of a held-out part stands in training too, exactly or nearly."""
    keys, clusters = {record.key for record in train}, {record.cluster for record in train if record.cluster}
    exact = sum(record.key in keys for record in held_out)
    leaked = sum(record.key in keys or record.cluster in clusters for record in held_out)
    share = leaked / max(1, len(held_out))
    said = f"{leaked:,} of {len(held_out):,} records of {split} stand in training too ({share:.1%}), {exact:,} exactly"
    verdict = graded(share, warn=LEAKED_WARNS, fail=LEAKED_FAILS)
    fix = 'Leave data.decontaminate=true and split by "near-duplicates": a score on what was learnt says nothing.'
    numbers = {"share": share, "exact": exact}
    return Finding("leakage", verdict, said, fix if verdict != "pass" else "", numbers)
