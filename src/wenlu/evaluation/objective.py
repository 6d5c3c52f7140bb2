"""Evaluate a pretraining objective: how often a model gives back what was hidden, beside the commonest answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from wenlu.bundle import Bundle
from wenlu.corpus.packing import Ids
from wenlu.corpus.passages import Passages
from wenlu.corpus.record import Record
from wenlu.corpus.shard_writer import write_tokens
from wenlu.corpus.shards import TokenData
from wenlu.errors import ConfigError, DataError
from wenlu.evaluation.bootstrap import paired_difference
from wenlu.evaluation.reading import dtype_of, in_dtype
from wenlu.evaluation.result import Evaluation
from wenlu.evaluation.scoring import score
from wenlu.evaluation.settings import EvaluateConfig
from wenlu.evaluation.source_scores import source_scores
from wenlu.metrics import TARGET_ACCURACY, TARGET_PERPLEXITY, Columns, Metric
from wenlu.models import LanguageModel
from wenlu.progress import QUIET, Progress
from wenlu.tasks import Draw, Objective

ROWS_AT_ONCE = 16
BASELINE_ROWS = 2048
LONGEST = 512


def evaluate_objective(
    bundle: Bundle,
    task: Objective,
    records: Sequence[Record],
    config: EvaluateConfig,
    *,
    training: TokenData | None = None,
    progress: Progress = QUIET,
) -> Evaluation:
    """Score the model at its own objective on texts, each text by itself.

    What is hidden is drawn with `config.seed` and the number of the passage, so that models are asked the same. The
    baseline gives the commonest answer of the training texts always, with its share (of tokens: an unigram) as
    probability.

    Raises DataError where there are no texts, or none is long enough.
    """
    if not records:
        raise DataError(f"the {config.split} split is empty; hold out more texts, or give some with data.test=FILE")
    model = in_dtype(bundle.model, config)
    context = _context(model, config)
    config = config.model_copy(update={"dtype": dtype_of(model), "context": context})
    with TemporaryDirectory() as folder:
        data = write_tokens(records, bundle.tokenizer, Path(folder) / "tokens")
        passages = task.passages(data, context)
        baseline = None
        if config.baseline and training is not None:
            baseline = _Commonest.of(task, task.passages(training, context), config.seed)
        found = _score(task, model, passages, baseline, config, progress)
    return _evaluation(task, records, found, config)


@dataclass(frozen=True)
class _Commonest:
    """Each part's answers counted in training texts."""

    counts: Mapping[str, Ids]

    @classmethod
    def of(cls, task: Objective, passages: Passages, seed: int) -> _Commonest:
        rows = np.sort(np.random.default_rng(seed).permutation(len(passages))[:BASELINE_ROWS])
        counts = {part: np.zeros(task.num_classes(part), np.int64) for part in task.parts}
        for start in range(0, len(rows), ROWS_AT_ONCE):
            numbers = rows[start : start + ROWS_AT_ONCE]
            batch = task.batch(Draw.at(passages, numbers, seed=seed))
            for part, answers in task.answers(batch).items():
                counts[part] += np.bincount(answers.numpy(), minlength=len(counts[part]))
        return cls(counts)

    def answer(self, part: str, targets: Ids) -> tuple[np.ndarray[tuple[int], np.dtype[np.float64]], Ids]:
        """Nats of each target, and whether it is the commonest; one is added to each count."""
        counts = self.counts[part]
        costs = np.log(counts.sum() + len(counts)) - np.log(counts + 1)
        return costs[targets], (targets == counts.argmax()).astype(np.int64)


Found = dict[tuple[str, str], Columns]
"""Columns of each part, (documents,) each, of the "model" and of the "baseline"."""


@torch.inference_mode()
def _score(
    task: Objective,
    model: LanguageModel,
    passages: Passages,
    baseline: _Commonest | None,
    config: EvaluateConfig,
    progress: Progress,
) -> Found:
    documents = passages.data.num_documents
    systems = ("model",) if baseline is None else ("model", "baseline")
    names = ("nll_nats", "targets", "correct")
    sums = {(part, system): {name: np.zeros(documents) for name in names} for part in task.parts for system in systems}
    device = next(model.parameters()).device
    random, was_training = torch.get_rng_state(), model.training
    torch.manual_seed(config.seed)
    model.eval()
    progress.start("score", total=len(passages), unit="passages")
    for start in range(0, len(passages), ROWS_AT_ONCE):
        numbers = np.arange(start, min(start + ROWS_AT_ONCE, len(passages)))
        draw = Draw.at(passages, numbers, seed=config.seed)
        for part, guesses in task.guesses(model, task.batch(draw).to(device)).items():
            owners = passages.documents[numbers][guesses.rows.cpu().numpy()]
            targets = guesses.targets.cpu().numpy()
            answers = {"model": (guesses.nll.double().cpu().numpy(), (guesses.best == guesses.targets).cpu().numpy())}
            if baseline is not None:
                answers["baseline"] = baseline.answer(part, targets)
            for system, (costs, right) in answers.items():
                columns = sums[part, system]
                for name, values in zip(names, (costs, np.ones(len(owners)), right), strict=True):
                    np.add.at(columns[name], owners, values)
        progress.update(int(numbers[-1]) + 1)
    progress.finish(f"{len(passages):,} passages of {documents:,} texts")
    model.train(was_training)
    torch.set_rng_state(random)
    return {**sums}


def _evaluation(task: Objective, records: Sequence[Record], found: Found, config: EvaluateConfig) -> Evaluation:
    clusters = [record.meta.get("cluster") or record.id for record in records]
    told = {"task": task.name, "ctx": str(config.context), "dtype": config.dtype, "tok": task.tokenizer.fingerprint[:8]}
    scores = []
    for (part, system), columns in found.items():
        facts = {"system": "commonest-answer"} if system == "baseline" else {}
        for metric in (TARGET_ACCURACY, TARGET_PERPLEXITY):
            conventions = {"part": part, **told, **facts}
            name = name_of(metric, part, system)
            scores.append(score(metric, columns, clusters, conventions, config, name=name))
    headline, baseline = name_of(TARGET_ACCURACY, task.headline, "model"), None
    scores.sort(key=lambda each: each.name != headline)
    difference = None
    if (task.headline, "baseline") in found:
        baseline = name_of(TARGET_ACCURACY, task.headline, "baseline")
        difference = paired_difference(
            TARGET_ACCURACY,
            found[task.headline, "model"],
            found[task.headline, "baseline"],
            clusters,
            confidence=config.confidence,
            resamples=config.resamples,
            seed=config.seed,
        )
    rows = [
        {"id": record.id, "cluster": cluster}
        | {
            f"{system}.{part}.{name}": column[i].item()
            for (part, system), columns in found.items()
            for name, column in columns.items()
        }
        for i, (record, cluster) in enumerate(zip(records, clusters, strict=True))
    ]
    targets = {f"{part} targets": int(found[part, "model"]["targets"].sum()) for part in task.parts}
    sizes = {"bytes": sum(len(record.text.encode()) for record in records), "targets": targets}
    named = [str(record.meta.get("source", "")) for record in records]
    by_source = source_scores(TARGET_ACCURACY, found[task.headline, "model"], clusters, named, config)
    return Evaluation(
        facts={
            "split": config.split,
            "documents": len(records),
            "clusters": len(set(clusters)),
            **sizes,
            "sources": by_source,
        },
        scores=tuple(scores),
        difference=difference,
        settings=config.model_dump(mode="json"),
        rows=rows,
        task=task.name,
        headline=headline,
        baseline=baseline,
    )


def name_of(metric: Metric, part: str, system: str) -> str:
    """What a score is called: `masked_lm_accuracy`, `baseline_masked_lm_accuracy`."""
    name = f"{part.replace('-', '_')}_{metric.name.removeprefix('target_')}"
    return name if system == "model" else f"{system}_{name}"


def _context(model: LanguageModel, config: EvaluateConfig) -> int:
    """Half of what the model can read, as it was trained, at most LONGEST."""
    most = model.config.context or 2 * LONGEST
    if config.context == "auto":
        return min(max(8, most // 2), LONGEST)
    if config.context > most:
        raise ConfigError(f"evaluate.context={config.context}: the model reads at most {most} tokens at once")
    return config.context
