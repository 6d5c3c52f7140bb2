"""The records of a recipe, sampled, and what the checks say of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from wenlu.corpus.pictures.reference import DIGEST
from wenlu.corpus.prepare import read_split, splits
from wenlu.corpus.record import Record
from wenlu.errors import DataError
from wenlu.lifecycle.examples import labelled_type
from wenlu.lifecycle.life import Life, member_root
from wenlu.tasks import GenerativeTask, LabelledTask, MultiTask, ReadingTask, Task, TextClassification
from wenlu.training import checks
from wenlu.training.checks import Finding, Known

MOST_READ = 100_000
"""Records of a part that are read; of larger ones the first."""
MOST_EXAMPLES, MOST_TEXTS, MOST_CHARACTERS, MOST_WRITTEN = 300, 40, 800, 64


@dataclass(frozen=True)
class Sample:
    """Of one task's records.

    Attributes:
        name: of the member, where there are several tasks.
        train, held_out: what is compared, of the training part and of others by their name.
        labels: of the training records, where each has one.
        examples, records: some, evenly from all of the training part. texts: a few of them, shortened.
    """

    name: str
    task: Task
    train: Sequence[Known]
    held_out: Mapping[str, Sequence[Known]]
    labels: Sequence[str] = ()
    examples: Sequence[Any] = ()
    records: Sequence[Record] = field(default=(), repr=False)
    texts: Sequence[str] = ()


def samples(life: Life, task: Task) -> list[Sample]:
    """One of each task."""
    if isinstance(task, MultiTask):
        return [_sample(member_root(life.root, name), member, name) for name, member in task.members.items()]
    return [_sample(life.root, task, "")]


def _sample(root: Path, task: Task, name: str) -> Sample:
    train: list[Known] = []
    labels: list[str] = []
    pairs: list[tuple[Record, Any]] = []
    stride = 1
    for number, (record, example) in enumerate(_read(root, "train", task)):
        train.append(_known(record, example))
        if isinstance(task, TextClassification) and example.labels and not task.config.several:
            labels.append(example.labels[0])
        if number % stride == 0:
            pairs.append((record, example))
            if len(pairs) > 2 * MOST_EXAMPLES:
                pairs, stride = pairs[::2], 2 * stride
    held_out = {
        split: [_known(record, example) for record, example in _read(root, split, task)]
        for split in splits(root / "data")
        if split != "train"
    }
    few = pairs[:: max(1, len(pairs) // MOST_TEXTS)][:MOST_TEXTS]
    return Sample(
        name,
        task,
        train,
        held_out,
        labels if len(labels) == len(train) else (),
        [example for _, example in pairs] if isinstance(task, LabelledTask) else (),
        [record for record, _ in pairs],
        [text[:MOST_CHARACTERS] for record, _ in few for text in _texts(task, record)][: 4 * MOST_TEXTS],
    )


def _read(root: Path, split: str, task: Task) -> Iterator[tuple[Record, Any]]:
    """Records with their examples, without those that are none."""
    records = islice(read_split(root / "data", split), MOST_READ)
    if not isinstance(task, LabelledTask):
        yield from ((record, None) for record in records)
        return
    kind = labelled_type(task.config)
    for record in records:
        try:
            yield record, kind.example_of(record, task.config)
        except DataError:
            continue


def _texts(task: Task, record: Record) -> Iterator[str]:
    if isinstance(task, LabelledTask):
        yield from task.config.texts_of(record)
    else:
        yield record.text


def _known(record: Record, example: Any) -> Known:
    """What tells a record from others: its text, its picture, and the rest of the question where there is more.

    Near-duplicates are told by the text alone, which says little where it is but a part of what is asked.
    """
    more = [value for name in ("second", "context") if isinstance(value := getattr(example, name, None), str)]
    more += [record.meta[DIGEST]] if DIGEST in record.meta else []
    answer = {name: value for name, value in vars(example).items() if name != "id"} if example is not None else ""
    return Known.of("\n".join([record.text, *more]), repr(answer), "" if more else record.meta.get("cluster", ""))


def data_findings(known: Sequence[Sample], context: int) -> list[Finding]:
    findings: list[Finding] = []
    for sample in known:
        own = _of_sample(sample, context)
        findings += [_named(finding, sample.name) for finding in own]
    return findings


def _named(finding: Finding, member: str) -> Finding:
    if not member:
        return finding
    return Finding(finding.name, finding.verdict, f"{member}: {finding.found}", finding.fix, finding.numbers)


def _of_sample(sample: Sample, context: int) -> list[Finding]:
    task = sample.task
    findings = [checks.duplicates(sample.train)]
    findings += [checks.leakage(sample.train, part, split) for split, part in sample.held_out.items() if part]
    if sample.labels:
        weighted = isinstance(task, TextClassification) and not isinstance(task.config.class_weights, str)
        findings.append(checks.label_balance(sample.labels, weighted=weighted))
        findings.append(checks.label_conflicts(sample.train, sample.labels))
    if isinstance(task, GenerativeTask):
        findings += checks.answer_findings(checks.written_answers(task, sample.examples[:MOST_WRITTEN], context))
    elif isinstance(task, ReadingTask):
        findings.append(_cut(task, sample, context))
    return findings


def _cut(task: ReadingTask, sample: Sample, context: int) -> Finding:
    """How much of the texts the rows hold; what stands around the texts counts as held."""
    examples, records = sample.examples[:MOST_EXAMPLES], sample.records[:MOST_EXAMPLES]
    lengths = [sum(map(len, task.tokenizer.encode_batch(list(_texts(task, record))))) for record in records]
    held = [0] * len(examples)
    source = task.rows(examples, context)
    for owner, size in zip(source.owners.tolist(), source.inputs.sizes.tolist(), strict=True):
        held[owner] += size
    return checks.text_truncation(lengths, held)
