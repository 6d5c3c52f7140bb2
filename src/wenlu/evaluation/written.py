"""Evaluate a model that writes answers: what the right texts cost it, and how like them its own are.

The likelihood of all right texts is measured; texts are written for as many examples as the settings say. Beside the
likelihood stands that of an n-gram of the training part's texts, beside what was written the task's own baseline.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from wenlu.bundle import Bundle
from wenlu.errors import DataError
from wenlu.evaluation.baseline import DEFAULT_ORDER
from wenlu.evaluation.baselines import fit_baseline
from wenlu.evaluation.bootstrap import Difference, paired_difference
from wenlu.evaluation.kept import Kept
from wenlu.evaluation.kneser_ney import KneserNey
from wenlu.evaluation.ngrams import NgramCounts
from wenlu.evaluation.result import Evaluation, Score
from wenlu.evaluation.scoring import score
from wenlu.evaluation.settings import EvaluateConfig
from wenlu.generation.answering import answers_to, decoding_of
from wenlu.generation.settings import SamplingConfig
from wenlu.metrics import BITS_PER_BYTE, PERPLEXITY, Column, Columns, Metric
from wenlu.progress import Progress
from wenlu.tasks import GenerativeTask
from wenlu.tasks.labelled.generative import Measured

LIKELIHOOD = (BITS_PER_BYTE, PERPLEXITY)


@dataclass(frozen=True)
class Compared:
    """Scores of one kind, and the first one's difference from the baseline's."""

    scores: tuple[Score, ...]
    baseline: str | None = None
    difference: Difference | None = None


def evaluate_written(
    bundle: Bundle,
    task: GenerativeTask,
    ids: Sequence[str],
    examples: Sequence[Any],
    clusters: Sequence[str],
    config: EvaluateConfig,
    *,
    training: Sequence[Any],
    sampling: SamplingConfig,
    progress: Progress,
) -> Evaluation:
    """Score the model of a task that writes; settings are resolved. Raises DataError where an example has no answer."""
    assert config.context != "auto", "the context is resolved"
    told = {"task": task.name, "ctx": str(config.context), "dtype": config.dtype}
    tok = {"tok": bundle.tokenizer.fingerprint[:8]}
    scoring = _Scoring(task, config, told | tok, training, progress)
    found = task.likelihoods(bundle.model, examples, config.context, progress=progress)
    costs: dict[str, Any] = {
        "nll_nats": np.array([each.likelihood.nll_nats for each in found]),
        "tokens": np.array([each.likelihood.tokens for each in found]),
        "bytes": np.array([each.size for each in found]),
    }
    likelihood = scoring.of_likelihood(costs, found, clusters)
    drawn = task.drawn(examples, None if config.generated == "all" else config.generated, config.seed)
    asked = [given.example for given in drawn]
    answers = answers_to(replace(bundle, task=task), asked, config.context, sampling, progress=progress)
    columns = task.judged(asked, answers)
    decoding = {"nrefs": "1", "decoding": decoding_of(sampling)}
    texts = scoring.of_texts(columns, asked, [clusters[given.place] for given in drawn], decoding)
    rows = [
        {"id": id, "cluster": cluster, **{f"target_{name}": column[place].item() for name, column in costs.items()}}
        for place, (id, cluster) in enumerate(zip(ids, clusters, strict=True))
    ]
    for given, answer in zip(drawn, answers, strict=True):
        rows[given.place] |= task.told(answer)
    first, second = (likelihood, texts) if task.by_likelihood else (texts, likelihood)
    return Evaluation(
        facts={
            "split": config.split,
            "documents": len(examples),
            "clusters": len(set(clusters)),
            "bytes": int(costs["bytes"].sum()),
            "tokens": int(costs["tokens"].sum()),
            "written": len(drawn),
            "details": task.details(columns),
        },
        scores=(*first.scores, *second.scores),
        difference=first.difference,
        settings=config.model_dump(mode="json"),
        rows=rows,
        task=task.name,
        headline=first.scores[0].name if first.scores else None,
        baseline=first.baseline,
        kept=Kept.of(LIKELIHOOD, costs, examples, clusters, ids)
        if task.by_likelihood
        else Kept.of(
            task.measures(),
            columns,
            asked,
            [clusters[given.place] for given in drawn],
            [ids[given.place] for given in drawn],
        ),
    )


@dataclass(frozen=True)
class _Scoring:
    """What the scores of one evaluation share."""

    task: GenerativeTask
    config: EvaluateConfig
    told: Mapping[str, str]
    training: Sequence[Any]
    progress: Progress

    def of_likelihood(self, costs: Columns, found: Sequence[Measured], clusters: Sequence[str]) -> Compared:
        """Bits per byte and perplexity of the right texts, beside an n-gram of those of the training part."""
        told = {**self.told, "given": self.task.condition}
        scores = [self._score(metric, costs, clusters, told) for metric in LIKELIHOOD]
        if not (self.config.baseline and self.training):
            return Compared(tuple(scores))
        ngram, nats = self._ngram_costs(found)
        others = {"nll_nats": nats, "bytes": costs["bytes"]}
        facts = {"task": self.task.name, "system": ngram, "train": f"{len(self.training)}-examples", "given": "nothing"}
        name = f"baseline_{BITS_PER_BYTE.name}"
        scores.append(self._score(BITS_PER_BYTE, others, clusters, facts, name))
        return Compared(tuple(scores), name, self._difference(BITS_PER_BYTE, costs, others, clusters))

    def of_texts(
        self, columns: Columns, asked: Sequence[Any], clusters: Sequence[str], decoding: Mapping[str, str]
    ) -> Compared:
        """How like the right texts those are that were written, beside the task's baseline; a metric that nothing can
        be computed of, as all texts are empty, is left out with a warning."""
        told = {**self.told, **decoding}
        scores = [
            found
            for metric in self.task.measures()
            if (found := self._tried(metric, columns, clusters, told, metric.name)) is not None
        ]
        fitted = (
            fit_baseline(self.task, self.training, self.progress) if self.config.baseline and self.training else None
        )
        if fitted is None:
            return Compared(tuple(scores))
        others = self.task.judged(asked, fitted.predictor.answer(asked))
        facts = {"task": self.task.name, "system": fitted.name, "train": f"{len(self.training)}-examples"}
        headline, *further = self.task.measures()
        beside = [headline, *further] if self.task.by_likelihood else [headline]
        names = {metric.name: f"baseline_{metric.name}" for metric in beside}
        scores += [
            found
            for metric in beside
            if (found := self._tried(metric, others, clusters, facts, names[metric.name])) is not None
        ]
        difference = self._difference(headline, columns, others, clusters)
        return Compared(tuple(scores), names[headline.name], difference)

    def _ngram_costs(self, found: Sequence[Measured]) -> tuple[str, Column]:
        """What an n-gram is called, and the nats that the same texts of each example cost it."""
        task, order = self.task, self.config.ngram_order
        tokenizer = task.tokenizer
        self.progress.start("n-gram", unit="tokens")
        counts = NgramCounts.of(
            tokenizer.encode_batch(task.all_targets(self.training)),
            highest=DEFAULT_ORDER if order == "auto" else order,
            vocab_size=tokenizer.vocab_size,
            eos_id=task.end_id,
        )
        ngram = KneserNey(counts, DEFAULT_ORDER if order == "auto" else order)
        self.progress.finish(f"order {ngram.order}, fitted to {counts.num_tokens:,} tokens")
        control = frozenset(tokenizer.special_tokens.values()) - {tokenizer.unk_id}
        owners, texts, ends = list[int](), list[list[int]](), list[bool]()
        for number, measured in enumerate(found):
            for target in measured.targets:
                owners.append(number)
                texts.append([token for token in target if token not in control])  # without what frames them
                ends.append(target[-1] == task.end_id)
        costs = ngram.negative_log_likelihoods(texts)
        nats = [cost.sum() if has_end else cost[:-1].sum() for cost, has_end in zip(costs, ends, strict=True)]
        return f"kneser-ney-{ngram.order}", np.bincount(owners, weights=nats, minlength=len(found))

    def _tried(
        self, metric: Metric, columns: Columns, clusters: Sequence[str], told: Mapping[str, str], name: str
    ) -> Score | None:
        try:
            return self._score(metric, columns, clusters, told, name)
        except DataError as error:
            self.progress.warn(f"{name}: {error}")
            return None

    def _score(
        self,
        metric: Metric,
        columns: Columns,
        clusters: Sequence[str],
        told: Mapping[str, str],
        name: str | None = None,
    ) -> Score:
        return score(metric, columns, clusters, told, self.config, name=name)

    def _difference(self, metric: Metric, a: Columns, b: Columns, clusters: Sequence[str]) -> Difference:
        settings = self.config
        return paired_difference(
            metric, a, b, clusters, confidence=settings.confidence, resamples=settings.resamples, seed=settings.seed
        )
