"""The parts of a recipe's data as every rung sees them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from wenlu.corpus.prepare import read_split, splits
from wenlu.errors import DataError
from wenlu.evaluation.facts import facts_of
from wenlu.evaluation.judged import Judged
from wenlu.tasks import LabelledTask


@dataclass(frozen=True)
class Part:
    """Examples in their order, and the columns of each one's record."""

    judged: tuple[Judged, ...]
    columns: tuple[dict[str, str], ...]

    @classmethod
    def read(cls, root: Path, split: str, task: LabelledTask) -> Self:
        """That of the data below `root`; empty where there is none. Records that are no examples are left out, as
        the survey of the examples has told."""
        judged, columns = [], []
        for record in read_split(root / "data", split) if split in splits(root / "data") else ():
            try:
                example = type(task).example_of(record, task.config)
            except DataError:
                continue
            facts = facts_of(record, task.config)
            judged.append(Judged(record.id, record.meta.get("cluster") or record.id, example, facts))
            columns.append(dict(record.meta))
        return cls(tuple(judged), tuple(columns))

    @property
    def examples(self) -> list[Any]:
        return [each.example for each in self.judged]

    def drawn(self, most: int, seed: int) -> Self:
        """At most so many of them, in their order."""
        if len(self) <= most:
            return self
        places = sorted(np.random.default_rng(seed).choice(len(self), most, replace=False).tolist())
        return type(self)(tuple(self.judged[n] for n in places), tuple(self.columns[n] for n in places))

    def __len__(self) -> int:
        return len(self.judged)


@dataclass(frozen=True)
class Parts:
    """Fitted on `train`, chosen on `validation`, scored once on `test`."""

    task: LabelledTask
    train: Part
    validation: Part
    test: Part

    @classmethod
    def read(cls, root: Path, task: LabelledTask, held_out: str, most: int | None = None, seed: int = 0) -> Self:
        """Where `held_out` is the validation part nothing can be chosen on it, for it is what is scored.

        Args:
            most: held-out examples, drawn at random.
        """
        nothing = Part((), ())
        test = Part.read(root, held_out, task)
        return cls(
            task=task,
            train=Part.read(root, "train", task),
            validation=Part.read(root, "validation", task) if held_out != "validation" else nothing,
            test=test if most is None else test.drawn(most, seed),
        )
