"""How well a model of code fills in a line that was taken out of each held-out function."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from wenlu.bundle import Bundle
from wenlu.corpus.fill_in_the_middle import rng_of
from wenlu.evaluation.result import Score
from wenlu.evaluation.scoring import score
from wenlu.evaluation.settings import EvaluateConfig
from wenlu.generation.answering import answers_to, decoding_of
from wenlu.generation.settings import SamplingConfig
from wenlu.progress import QUIET, Progress
from wenlu.tasks.code import Code
from wenlu.tasks.coding.settings import CodeExample


def without_a_line(example: CodeExample) -> CodeExample:
    """A gap in place of a line of the body, whose indentation stays; which line depends on the example's id alone."""
    assert example.target is not None, "only functions with a body are asked"
    lines = example.target.split("\n")
    chosen = rng_of(0, example.id).choice([number for number, line in enumerate(lines) if line.strip()])
    before, line, behind = lines[:chosen], lines[chosen], lines[chosen + 1 :]
    middle = line.strip()
    indentation, _, rest = line.partition(middle)
    prefix = "".join(f"{each}\n" for each in before) + indentation
    suffix = "\n".join([rest, *behind]) + "\n"
    return CodeExample(example.source + prefix, middle, example.id, suffix)


def evaluate_gaps(
    bundle: Bundle,
    examples: Sequence[CodeExample],
    clusters: Sequence[str],
    context: int,
    config: EvaluateConfig,
    sampling: SamplingConfig,
    *,
    progress: Progress = QUIET,
) -> tuple[Score, ...]:
    """The task's metrics of filled lines, each by its name behind `gap_`; nothing of a model that fills no gaps."""
    task = bundle.task
    assert isinstance(task, Code), "asked of models that write code"
    if not task.config.fill_in_the_middle or not examples:
        return ()
    gaps = [without_a_line(example) for example in examples]
    written = answers_to(bundle, gaps, context, sampling, progress=progress)
    columns = task.judged(gaps, [replace(answer, text=answer.text.rstrip()) for answer in written])
    told = {
        "task": task.name,
        "gap": "line",
        "ctx": str(context),
        "tok": bundle.tokenizer.fingerprint[:8],
        "decoding": decoding_of(sampling),
    }
    return tuple(score(each, columns, clusters, told, config, name=f"gap_{each.name}") for each in task.measures())
