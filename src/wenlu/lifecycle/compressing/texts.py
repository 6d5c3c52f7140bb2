"""The texts that compression reads, and those that what it makes is judged by."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from wenlu.bundle import Bundle
from wenlu.compression.calibration import Calibration
from wenlu.corpus.prepare import read_split, splits
from wenlu.corpus.record import Record
from wenlu.corpus.sources import SourceList
from wenlu.errors import UsageError
from wenlu.evaluation import EvaluateConfig, Evaluation, evaluate_run, evaluate_texts
from wenlu.lifecycle.compressing.settings import CompressConfig
from wenlu.lifecycle.evaluate import read_texts
from wenlu.lifecycle.labelled_evaluation import evaluate_labelled_run, evaluate_records, held_out_split
from wenlu.lifecycle.life import member_root
from wenlu.progress import Progress
from wenlu.tasks import LabelledTask


@dataclass(frozen=True)
class Texts:
    """Those that the recipe gives, or those of the model's own run.

    Attributes:
        run: the directory with the `data/` that the model was trained on; None where there is none.
    """

    config: CompressConfig
    bundle: Bundle
    run: Path | None
    progress: Progress

    @classmethod
    def of(cls, config: CompressConfig, bundle: Bundle, progress: Progress) -> Texts:
        """Raises UsageError where there are no texts to judge by."""
        folders = [bundle.path, bundle.path.parent]
        if config.task is not None:
            folders = [member_root(folder, config.task) for folder in folders]
        run = next((folder for folder in folders if (folder / "data").is_dir()), None)
        if run is None and not config.data.test:
            raise UsageError(f"{config.model}: has no held-out texts of its own (no data/); give some: data.test=FILE")
        return cls(config, bundle, run, progress)

    @cached_property
    def calibration(self) -> Calibration | None:
        """A part of the training texts, drawn by the seed; None where there are none."""
        sweep = self.config.compress
        records: Sequence[Record] = ()
        if self.config.data.train:
            records = read_texts(self._told(self.config.data.train), self.progress)
        elif self.run is not None and "train" in splits(self.run / "data"):
            records = list(read_split(self.run / "data", "train"))
        texts = [record.text for record in records if record.text]
        if not texts:
            return None
        drawn = random.Random(self.config.seed).sample(texts, min(sweep.texts, len(texts)))
        return Calibration(tuple(drawn), sweep.text_tokens, whole=texts)

    @cached_property
    def held_out(self) -> list[Record]:
        """What the models are judged by."""
        if self.config.data.test:
            return read_texts(self._told(self.config.data.test), self.progress)
        assert self.run is not None, "without a run there are texts of the recipe"
        return list(read_split(self.run / "data", held_out_split(self.run, self.config.evaluate)))

    def evaluate(self, bundle: Bundle) -> Evaluation:
        """Score a model on the held-out texts, without a baseline beside it."""
        config = self._evaluate
        if self.config.data.test or self.run is None:
            told = config.model_copy(update={"split": "test"})
            if isinstance(bundle.task, LabelledTask):
                return evaluate_records(bundle, self.held_out, told, progress=self.progress)
            return evaluate_texts(bundle, self.held_out, told, progress=self.progress)
        if isinstance(bundle.task, LabelledTask):
            return evaluate_labelled_run(bundle, self.run, config, progress=self.progress)
        return evaluate_run(bundle, self.run, config, progress=self.progress)

    @property
    def _evaluate(self) -> EvaluateConfig:
        """Numbers stay in the model's own format, so that all models are read alike."""
        update: dict[str, object] = {"baseline": False}
        if self.config.evaluate.dtype == "auto":
            dtype = str(next(self.bundle.model.parameters()).dtype).removeprefix("torch.")
            update["dtype"] = dtype if dtype in ("float64", "float32", "bfloat16") else "float32"
        return self.config.evaluate.model_copy(update=update)

    def _told(self, specs: SourceList) -> SourceList:
        task = self.bundle.task
        return task.config.told(specs) if isinstance(task, LabelledTask) else specs
