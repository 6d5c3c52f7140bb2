"""Will it learn? The checks of `training.checks` on what a recipe would train."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from wenlu.bundle import load
from wenlu.corpus.examples import Examples
from wenlu.corpus.packing import Rows, TokenRows, Windows
from wenlu.errors import CheckFailed, DataError
from wenlu.lifecycle.adapter import adapt
from wenlu.lifecycle.auto_size import shape_at
from wenlu.lifecycle.base import base_config, begin_head_with_base, begin_with_base
from wenlu.lifecycle.cache import stage_key
from wenlu.lifecycle.check_data import Sample, data_findings, samples
from wenlu.lifecycle.check_page import check_page
from wenlu.lifecycle.life import Life
from wenlu.lifecycle.model_folder import tokenizer_kept
from wenlu.lifecycle.model_settings import ModelSettings
from wenlu.lifecycle.pictures import new_config
from wenlu.lifecycle.recipe import Recipe
from wenlu.lifecycle.training import task_of, token_rows
from wenlu.models import LanguageModel, ModelConfig
from wenlu.rundir import atomic
from wenlu.tasks import Draw, LabelledTask, MultiTask, Task, TextTask
from wenlu.tasks.dialogues.packed import PackedRows
from wenlu.tokenizers import Tokenizer
from wenlu.training import checks, choose_device, choose_threads, freeze
from wenlu.training.batches import Batches
from wenlu.training.checks import Finding, SeenRow, Subject

FILE, PAGE = "check.json", "check.html"
SHORT = 16
"""Tokens of the rows of running text that a model learns by heart."""
BATCHES, ROWS, SHOWN = 8, 16, 8
"""Read for the shares: so many batches of at most so many rows, the first of the training."""
SHORT_PACKED = 128
"""Of rows that hold several conversations."""
MOST_STEPS = 150
AUTO_WIDTH = 128
"""Of a model whose size is still to be chosen."""
CODE = ("training", "models", "kernels", "tasks", "corpus", "tokenizers", "lifecycle/check", "lifecycle/check_data")


@dataclass(frozen=True)
class CheckReport:
    """Attributes:
    rows: the first ones that are trained on.
    """

    findings: tuple[Finding, ...]
    rows: tuple[SeenRow, ...]

    @property
    def failures(self) -> tuple[Finding, ...]:
        return self._with("failure")

    @property
    def warnings(self) -> tuple[Finding, ...]:
        return self._with("warning")

    def _with(self, verdict: str) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.verdict == verdict)

    def summary(self) -> str:
        passed = len(self.findings) - len(self.failures) - len(self.warnings)
        return f"{passed} pass, {len(self.warnings)} warn, {len(self.failures)} fail"

    def to_json(self) -> dict[str, Any]:
        return {
            "passed": not self.failures,
            "findings": [finding.to_json() for finding in self.findings],
            "rows": [{"pieces": [vars(piece) for piece in row.pieces], "answer": row.answer} for row in self.rows],
        }

    def save(self, folder: Path, language: str) -> None:
        """Write `check.json`, and the page with what is trained on in colour."""
        atomic.write_text(folder / FILE, json.dumps(self.to_json(), ensure_ascii=False, indent=2) + "\n")
        atomic.write_text(folder / PAGE, check_page(self.findings, self.rows, language))


def check_stage(life: Life) -> Life:
    """What training would read, and its model → `check.json` and `check.html`, before any long run.

    Raises CheckFailed where a check fails, unless the recipe says `check.fail = false`.
    """
    recipe = life.recipe
    if not recipe.check.enabled or not life.world.is_first:
        return life
    settings = [recipe.check, recipe.trained_task, recipe.model, recipe.train, recipe.optimizer]
    settings += [recipe.adapter] if recipe.adapter is not None else []
    before = life.key("examples" if recipe.has_examples else "tokens")
    key = stage_key(settings, code=CODE, inputs=[before, str(recipe.seed)])
    if not life.cache.is_done("check", key):
        with life.working("check", key):
            report = check_life(life, seconds=recipe.check.seconds)
            report.save(life.out, recipe.language)
            for finding in report.warnings if recipe.check.fail else (*report.failures, *report.warnings):
                life.progress.warn(f"{finding.name}: {finding.found}. {finding.fix}".rstrip())
            if report.failures and recipe.check.fail:
                raise CheckFailed(_complaint(report, life.out))
    return life


def _complaint(report: CheckReport, out: Path) -> str:
    lines = [f"{finding.name}: {finding.found}\n    {finding.fix}" for finding in report.failures]
    told = "\n  ".join(lines)
    return (
        f"this would not learn:\n  {told}\nThe rows that it would learn from are in {out / PAGE}; to train all the "
        "same: check.fail=false, or check=false"
    )


def check_life(life: Life, *, seconds: float) -> CheckReport:
    """All checks; random numbers stay as they are.

    Args:
        seconds: that eight examples may take to be learnt, with each optimizer that is tried.
    """
    life.progress.start("check", unit="checks")
    device = choose_device(life.recipe.train)
    torch.set_num_threads(choose_threads(life.recipe.train, life.world.local_size))
    with torch.random.fork_rng(devices=[]):
        report = _checked(life, device, seconds)
    life.progress.finish(report.summary())
    return report


def _checked(life: Life, device: torch.device, seconds: float) -> CheckReport:
    recipe = _one_model(life.recipe)
    tokenizer = Tokenizer.load(life.root / "tokenizer")
    task = task_of(life, tokenizer)
    known = samples(life, task)
    source = _source(life, task, known, recipe.train.context)
    batches = Batches(source, recipe.train.rows_per_step, recipe.seed, recipe.train.separate_documents)
    draws = list(_first(batches, min(recipe.train.rows_per_forward, ROWS)))
    model = _model(recipe, task, tokenizer).to(device)
    freeze(model, recipe.train.frozen)
    base = None if recipe.model.base is None else load(recipe.model.base).tokenizer
    findings = [
        *data_findings(known, recipe.train.context),
        *checks.of_batches(task, tokenizer, [*draws, *_at_ends(source)]),
        *checks.of_tokenizer(
            task,
            getattr(task, "tokenizer", tokenizer),
            tokenizer_kept(tokenizer, task),
            [text for sample in known for text in sample.texts],
            base=base,
            needed=recipe.task.special_tokens if base is None else (),
            vocab_size=model.config.vocab_size,
            pads=isinstance(source, Examples),
        ),
        *checks.of_model(
            Subject.of(
                task,
                model,
                _short(life, task, source, known),
                separate_documents=recipe.train.separate_documents,
                is_new=base is None,
            ),
            recipe.optimizer,
            clip_norm=recipe.train.clip_norm,
            seconds=seconds,
            most_steps=MOST_STEPS,
            examples=known[0].examples if len(known) == 1 else (),
        ),
    ]
    findings = [_accepted(finding) if finding.name in recipe.check.accepts else finding for finding in findings]
    rows = [row for draw in draws[:2] for row in checks.seen_rows(task, tokenizer, task.batch(draw))]
    return CheckReport(tuple(findings), tuple(rows[:SHOWN]))


def _accepted(finding: Finding) -> Finding:
    """A failure that the recipe knows of is a warning."""
    if finding.verdict != "failure":
        return finding
    return replace(finding, verdict="warning", found=f"{finding.found}, which check.accepts allows", fix="")


def _one_model(recipe: Recipe) -> Recipe:
    """Of a recipe that compares families the first one's, and a narrow one where the size is still to be chosen."""
    if recipe.architectures is not None:
        model = ModelSettings(family=recipe.architectures.families[0], parameters=recipe.model.parameters)
        return recipe.model_copy(update={"model": model})
    if recipe.model.size is not None:
        shape = shape_at(recipe.model.chosen(), AUTO_WIDTH)
        model = ModelSettings.model_validate(
            {"family": recipe.model.family, **shape, **(recipe.model.model_extra or {})}
        )
        return recipe.model_copy(update={"model": model})
    return recipe


def _model(recipe: Recipe, task: Task, tokenizer: Tokenizer) -> LanguageModel:
    """As training would begin it, in float32; counts of pairs and word vectors are left out."""
    torch.manual_seed(recipe.seed)
    config: ModelConfig
    if recipe.model.base is not None:
        config = base_config(recipe, tokenizer.vocab_size)
    else:
        config = new_config(recipe, tokenizer)
    model = recipe.model.chosen().build(config, zero_outputs=recipe.train.zero_outputs)
    if recipe.model.base is not None:
        adapt(recipe, model, begin_with_base(recipe, model, tokenizer))
    trained = task.trained(model)
    begin_head_with_base(recipe, task, trained)
    return trained


def _source(life: Life, task: Task, known: Sequence[Sample], context: int) -> Rows:
    """What training draws from; of examples the sample."""
    if isinstance(task, TextTask):
        rows = token_rows(life, task, "train", context)
        assert rows is not None, "every data stage writes a training part"
        return rows
    if isinstance(task, MultiTask):
        own = {sample.name: task.members[sample.name].rows(sample.examples, context) for sample in known}
        return task.mixed(own)
    assert isinstance(task, LabelledTask), f"{task.name} learns from text or from examples"
    return task.rows(known[0].examples, context)


def _short(life: Life, task: Task, source: Rows, known: Sequence[Sample]) -> Rows:
    """Rows of running text, or of packed conversations, that are short enough to be learnt by heart; examples as they
    are."""
    if isinstance(source, PackedRows) and isinstance(task, LabelledTask) and source.length > SHORT_PACKED:
        try:
            return task.rows(known[0].examples, SHORT_PACKED)
        except DataError:  # none of them is so short
            return source
    if not isinstance(task, TextTask) or not isinstance(source, TokenRows) or source.length <= SHORT:
        return source
    try:
        rows = token_rows(life, task, "train", SHORT)
    except DataError:  # an objective that needs longer ones
        return source
    return source if rows is None or not len(rows) else rows


def _at_ends(source: Rows) -> Iterator[Draw]:
    """Of running text the rows in which the first few documents end, which are rare where these are long."""
    if isinstance(source, Windows):
        ends = source.data.document_starts[1 : BATCHES + 1] - 1
        yield Draw.at(source, np.unique(np.clip(ends // source.length, 0, len(source) - 1)).astype(np.int64))


def _first(batches: Batches, rows: int) -> Iterator[Draw]:
    return islice((draw for step in range(BATCHES) for draw in batches.micro(step, rows)), BATCHES)
