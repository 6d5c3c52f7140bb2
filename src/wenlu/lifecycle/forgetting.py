"""What fine-tuning did to what the base could do: on probes of text, and on older tasks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from wenlu.bundle import Bundle, load, model_path
from wenlu.corpus.prepare import read_split
from wenlu.corpus.record import Record
from wenlu.corpus.shard_writer import write_tokens
from wenlu.corpus.source import SourceSpec
from wenlu.errors import UsageError
from wenlu.evaluation import EvaluateConfig, Evaluation, evaluate_texts
from wenlu.evaluation.bootstrap import paired_difference
from wenlu.lifecycle.cache import stage_key
from wenlu.lifecycle.evaluate import read_texts
from wenlu.lifecycle.forgetting_settings import ForgettingConfig, OlderTask
from wenlu.lifecycle.inputs import inputs_fingerprint
from wenlu.lifecycle.labelled_evaluation import evaluate_records, held_out_split
from wenlu.lifecycle.life import Life
from wenlu.metrics import BITS_PER_BYTE, TARGET_ACCURACY, Columns, Metric
from wenlu.models import LanguageModel
from wenlu.progress import QUIET, Named, Progress
from wenlu.rundir import atomic
from wenlu.tasks import CausalLM, LabelledTask, Objective, ReadingTask, TextTask, new_task
from wenlu.tokenizers import Tokenizer
from wenlu.training import Budget, TrainConfig, nats_of

PROBES = "probes"
"""The folder, in tokens/, of what training measures on."""
RESAMPLES = 2000


@dataclass(frozen=True)
class Change:
    """A score before and after, on the same texts.

    Attributes:
        n: texts, or examples. difference: after minus before, paired, with its interval.
        verdict: "forgot" where it is worse, "better", or "not distinguishable".
    """

    kind: str
    name: str
    metric: str
    unit: str
    better: str
    n: int
    before: float
    after: float
    difference: float
    low: float | None
    high: float | None
    verdict: str


def budget_of(life: Life, model: LanguageModel, tokenizer: Tokenizer) -> Budget | None:
    """What training is to watch, measured on a model that begins as the base is; None where no probes are named.

    Raises UsageError where there is no base, or one that predicts no text; DataError where the probes cannot be read.
    """
    config, train = life.recipe.forgetting, life.recipe.train
    if config is None or not config.probes:
        return None
    task = _probe_task(load(str(life.recipe.model.base)), tokenizer)
    records = read_texts(config.probes, life.progress)
    rows = task.rows(write_tokens(records, tokenizer, life.out / "tokens" / PROBES), train.context)
    before = nats_of(task, model, rows, train)
    return Budget(task, rows, before, config.most(before))


def forgetting_stage(life: Life) -> Life:
    """The base and `model/` → what changed, as `forgetting` in `evaluation.json`."""
    config = life.recipe.forgetting
    if config is None:
        return life
    models = [SourceSpec(path=str(model_path(older.model))) for older in config.older]
    specs = [*config.probes, *models, *(spec for older in config.older for spec in older.test)]
    inputs = [life.key("evaluate"), inputs_fingerprint(specs)]
    key = stage_key([config], code=("evaluation", "lifecycle/forgetting"), inputs=inputs)
    if not life.cache.is_done("forgetting", key):
        with life.working("forgetting", key):
            before, after = load(str(life.recipe.model.base)), load(life.out / "model")
            evaluate = life.recipe.task_evaluate
            found = changes(before, after, config, life.recipe.train, evaluate, progress=life.progress)
            path = life.out / "evaluation.json"
            told = json.loads(path.read_text(encoding="utf-8"))
            told["forgetting"] = [asdict(each) for each in found]
            atomic.write_text(path, json.dumps(told, ensure_ascii=False, indent=2) + "\n")
    return life.with_key("evaluate", key)


def changes(
    before: Bundle,
    after: Bundle,
    config: ForgettingConfig,
    train: TrainConfig,
    evaluate: EvaluateConfig,
    *,
    progress: Progress = QUIET,
) -> list[Change]:
    """What the base and the trained model reach on the probes, all together, and on each older task."""
    evaluate = evaluate.model_copy(update={"baseline": False, "split": "test"})
    found = []
    if config.probes:
        records = read_texts(config.probes, progress)
        settings = evaluate.model_copy(update={"context": min(train.context, before.config.context or train.context)})
        tellers = [replace(each, task=_probe_task(before, each.tokenizer)) for each in (before, after)]
        first, last = (evaluate_texts(each, records, settings, progress=Named("probes", progress)) for each in tellers)
        name = ", ".join(spec.path for spec in config.probes)
        found.append(_change("probe", name, first, last, tellers[0], evaluate))
    for older in config.older:
        found.append(_of_older(older, after, evaluate, Named(older.model, progress)))
    return found


def _of_older(older: OlderTask, after: Bundle, evaluate: EvaluateConfig, progress: Progress) -> Change:
    old = load(older.model)
    task = old.task
    if not isinstance(task, LabelledTask):
        raise UsageError(f"forgetting.older: {older.model} is of no labelled task; texts to measure it on are probes")
    _check_alike(old, after, older.model)
    records = read_texts(task.config.told(older.test), progress) if older.test else _held_out(old, older, evaluate)
    new = replace(old, model=after.model)
    same = isinstance(task, ReadingTask) and isinstance(after.task, type(task)) and after.task.says_the_same(task)
    if same:
        new = after  # it was trained further for the same, head and all
    columns = task.config if same else None
    first = evaluate_records(old, records, evaluate, progress=progress)
    last = evaluate_records(new, records, evaluate, columns=columns, progress=progress)
    return _change("older", f"{task.name} of {older.model}", first, last, old, evaluate)


def _held_out(old: Bundle, older: OlderTask, evaluate: EvaluateConfig) -> Sequence[Record]:
    root = old.path.parent
    if not (root / "data").is_dir():
        raise UsageError(f"forgetting.older: {older.model} holds no data of its own; give examples: test = FILE")
    return list(read_split(root / "data", held_out_split(root, evaluate.model_copy(update={"split": "auto"}))))


def _check_alike(old: Bundle, new: Bundle, name: str) -> None:
    """Whether the older task's head and token ids mean something to the new model; raises UsageError."""
    shapes = [{key: tuple(value.shape[1:]) for key, value in each.model.state_dict().items()} for each in (old, new)]
    common = shapes[0].keys() & shapes[1].keys()
    tokens = range(min(old.tokenizer.vocab_size, new.tokenizer.vocab_size))
    differ = any(old.tokenizer.token(token) != new.tokenizer.token(token) for token in tokens)
    if (
        type(old.model) is not type(new.model)
        or any(shapes[0][key] != shapes[1][key] for key in common)
        or differ
        or old.tokenizer.vocab_size > new.tokenizer.vocab_size
    ):
        raise UsageError(
            f"forgetting.older: {name} is another model than the base, so what was made of the base cannot do its task"
        )


def _probe_task(base: Bundle, tokenizer: Tokenizer) -> TextTask:
    """The base's own objective, with a tokenizer that may know more."""
    if isinstance(base.task, CausalLM):
        return CausalLM()
    if isinstance(base.task, Objective):
        task = new_task(base.task.config, tokenizer)
        assert isinstance(task, TextTask), "an objective reads running text"
        return task
    trained = "nothing that its folder tells" if base.task is None else base.task.name
    raise UsageError(
        f"forgetting.probes: {base.path} was trained for {trained}, and predicts no text; name its run in "
        "forgetting.older instead"
    )


def _change(
    kind: str, name: str, before: Evaluation, after: Evaluation, base: Bundle, evaluate: EvaluateConfig
) -> Change:
    metric, first, clusters = _columns(before, base)
    _, second, _ = _columns(after, base)
    paired = paired_difference(
        metric, second, first, clusters, confidence=evaluate.confidence, resamples=RESAMPLES, seed=evaluate.seed
    )
    verdict = {"worse": "forgot", "better": "better", "undecided": "not distinguishable"}[paired.verdict]
    return Change(
        kind=kind,
        name=name,
        metric=metric.name,
        unit=metric.unit,
        better=metric.better,
        n=len(clusters),
        before=metric.compute(first),
        after=metric.compute(second),
        difference=paired.value,
        low=paired.low,
        high=paired.high,
        verdict=verdict,
    )


def _columns(found: Evaluation, base: Bundle) -> tuple[Metric, Columns, Sequence[str]]:
    """The main metric, what it is computed from, and clusters."""
    task = base.task
    if isinstance(task, Objective):
        names = ("nll_nats", "targets", "correct")
        columns = {name: np.array([row[f"model.{task.headline}.{name}"] for row in found.rows]) for name in names}
        return TARGET_ACCURACY, columns, [str(row["cluster"]) for row in found.rows]
    assert found.kept is not None, "answers and likelihoods are kept"
    if isinstance(task, LabelledTask):
        metric = next((each for each in task.measures() if each.name == found.headline), BITS_PER_BYTE)
        return metric, found.kept.columns, found.kept.clusters
    return BITS_PER_BYTE, found.kept.columns, found.kept.clusters
