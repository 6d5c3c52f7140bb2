"""Evaluate a language model: likelihood metrics with intervals, beside an n-gram on the same texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from wenlu.bundle import Bundle
from wenlu.corpus.prepare import read_split
from wenlu.corpus.record import Record
from wenlu.corpus.shards import TokenData
from wenlu.errors import DataError
from wenlu.evaluation.baseline import fit_ngram
from wenlu.evaluation.bootstrap import paired_difference
from wenlu.evaluation.facts import facts_of
from wenlu.evaluation.kept import Kept
from wenlu.evaluation.objective import evaluate_objective
from wenlu.evaluation.predictor import TextPredictor
from wenlu.evaluation.reading import conventions, resolve_reading
from wenlu.evaluation.result import Evaluation, Score
from wenlu.evaluation.scoring import score
from wenlu.evaluation.settings import EvaluateConfig
from wenlu.evaluation.source_scores import source_scores
from wenlu.metrics import BITS_PER_BYTE, Columns, Metric
from wenlu.progress import QUIET, Progress
from wenlu.tasks import CausalLM, Objective, Predictor, Text

HELD_OUT = ("test", "validation")


def evaluate_run(bundle: Bundle, root: Path, config: EvaluateConfig, *, progress: Progress = QUIET) -> Evaluation:
    """Score a model on the held-out split of a run, beside an n-gram fitted to the run's training split.

    Args:
        root: the run directory, with `data/` and `tokens/`.

    Raises:
        DataError: a split is missing or empty, or the tokens are of another tokenizer.
        ConfigError: the settings do not fit the model.
    """
    there = [name for name in HELD_OUT if (root / "data" / f"{name}.jsonl").exists()]
    if not there:
        raise DataError(
            f"{root / 'data'}: no held-out texts, neither test.jsonl nor validation.jsonl; give data.test=FILE"
        )
    config = config.model_copy(update={"split": there[0] if config.split == "auto" else config.split})
    return evaluate_texts(
        bundle,
        list(read_split(root / "data", config.split)),
        config,
        training=TokenData.open(root / "tokens" / "train") if config.baseline else None,
        tuning=list(read_split(root / "data", "validation")) if "validation" in there[1:] else [],
        progress=progress,
    )


def evaluate_texts(
    bundle: Bundle,
    records: Sequence[Record],
    config: EvaluateConfig,
    *,
    training: TokenData | None = None,
    tuning: Sequence[Record] = (),
    progress: Progress = QUIET,
) -> Evaluation:
    """Score a model on texts; `meta["cluster"]` of a record says which texts are near-duplicates of each other.

    Args:
        training: what the n-gram is fitted to; without it there is no baseline.
        tuning: validation texts, on which settings of "auto" are chosen: the context, the order of the n-gram.

    Raises:
        DataError, ConfigError, WeightsError: as the parts say.
    """
    if isinstance(bundle.task, Objective):
        return evaluate_objective(bundle, bundle.task, records, config, training=training, progress=progress)
    task = bundle.require_causal()
    tuning_ids = bundle.tokenizer.encode_batch([record.text for record in tuning])
    scorer, config = resolve_reading(bundle, config, tuning_ids, progress=progress)
    model = System(TextPredictor(bundle.tokenizer, scorer), conventions(bundle, config))
    ngram = None
    if config.baseline and training is not None:
        progress.start("n-gram", unit="tokens")
        fitted = fit_ngram(
            training,
            bundle.tokenizer,
            order=None if config.ngram_order == "auto" else config.ngram_order,
            max_tokens=config.ngram_tokens,
            tuning=tuning_ids,
            seed=config.seed,
        )
        progress.finish(f"order {fitted.order}, fitted to {fitted.counts.num_tokens:,} tokens")
        config = config.model_copy(update={"ngram_order": fitted.order})
        facts = {"ngram": f"kneser-ney-{fitted.order}", "train": f"{fitted.counts.num_tokens}-tokens"}
        ngram = System(TextPredictor(bundle.tokenizer, fitted), facts)
    return measure(task, records, model, ngram, config)


@dataclass(frozen=True)
class System:
    """A predictor, and the conventions of its answers that signatures tell; "tok" matters to counts of tokens only."""

    predictor: Predictor
    conventions: Mapping[str, str]


def measure(
    task: CausalLM, records: Sequence[Record], system: System, baseline: System | None, config: EvaluateConfig
) -> Evaluation:
    """Score the answers to `records` by the metrics of the task, and the difference from the baseline's.

    Raises DataError where there are no records.
    """
    if not records:
        raise DataError(f"the {config.split} split is empty; hold out more texts, or give some with data.test=FILE")
    examples = [Text(record.text, record.id) for record in records]
    clusters = [record.meta.get("cluster") or record.id for record in records]
    columns = task.columns(examples, system.predictor.answer(examples))
    scores = [_score(metric, columns, clusters, system, config) for metric in task.metrics]
    rows = [
        {
            "id": record.id,
            "cluster": cluster,
            **facts_of(record),
            **{name: column[i].item() for name, column in columns.items()},
        }
        for i, (record, cluster) in enumerate(zip(records, clusters, strict=True))
    ]
    difference = None
    if baseline is not None:
        other = task.columns(examples, baseline.predictor.answer(examples))
        found = _score(BITS_PER_BYTE, other, clusters, baseline, config)
        scores.append(replace(found, name="ngram_bits_per_byte"))
        difference = paired_difference(
            BITS_PER_BYTE,
            columns,
            other,
            clusters,
            confidence=config.confidence,
            resamples=config.resamples,
            seed=config.seed,
        )
        rows = [{**row, "ngram_nll_nats": cost.item()} for row, cost in zip(rows, other["nll_nats"], strict=True)]
    sizes = {name: int(columns[name].sum()) for name in ("tokens", "bytes", "words")}
    return Evaluation(
        facts={
            "split": config.split,
            "documents": len(records),
            "clusters": len(set(clusters)),
            **sizes,
            "sources": source_scores(BITS_PER_BYTE, columns, clusters, [str(row["source"]) for row in rows], config),
        },
        scores=tuple(scores),
        difference=difference,
        settings=config.model_dump(mode="json"),
        rows=rows,
        kept=Kept.of(
            task.metrics, columns, [record.text for record in records], clusters, [record.id for record in records]
        ),
    )


def _score(metric: Metric, columns: Columns, clusters: Sequence[str], system: System, config: EvaluateConfig) -> Score:
    told = {key: fact for key, fact in system.conventions.items() if key != "tok" or "tokens" in metric.needs}
    return score(metric, columns, clusters, told, config)
