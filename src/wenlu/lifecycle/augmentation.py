"""The stage that makes changed copies of training texts: `[augment]`.

It reads the training part alone, behind the split, so that nothing of the held-out parts is changed or copied; the
originals stay as they are, and it is them that baselines are fitted to.

    augmented.jsonl   a changed text a line, with the original before it and what a linear model says of its label
    augmented.json    of each way how many, and how many keep their label, with interval
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from wenlu.bundle import model_path, vectors_path
from wenlu.corpus.augment import AugmentConfig, WayConfig
from wenlu.corpus.collect import hash64
from wenlu.corpus.prepare import read_split, splits
from wenlu.corpus.record import Record
from wenlu.corpus.source import SourceSpec
from wenlu.errors import DataError
from wenlu.lifecycle.augment_changes import changes_of, models_of
from wenlu.lifecycle.augment_judge import Kept, kept_labels
from wenlu.lifecycle.cache import stage_key
from wenlu.lifecycle.examples import labelled_type, read_examples, surveyed
from wenlu.lifecycle.inputs import inputs_fingerprint
from wenlu.lifecycle.life import Life
from wenlu.progress import QUIET, Progress
from wenlu.rundir import atomic
from wenlu.tasks import LabelledConfig, LabelledTask, new_task
from wenlu.tokenizers import Tokenizer

ROWS = "augmented.jsonl"
SUMMARY = "augmented.json"
_AT_ONCE = 256
_SHOWN, _CHARACTERS = 4, 200
"""Of each way so many texts are shown in the report, and so much of each."""
CODE = (
    "corpus/augment",
    "generation",
    "lifecycle/augmentation",
    "lifecycle/augment_changes",
    "lifecycle/augment_judge",
)


@dataclass(frozen=True)
class Made:
    """What a way made.

    Attributes:
        texts: changed texts that are learnt from. unchanged: texts of which the way made nothing new.
        held_out: changed texts that stand in a held-out part, and so were thrown away.
        kept: how many labels stay, among those that were judged; None where none was.
    """

    way: str
    texts: int
    unchanged: int
    held_out: int
    kept: Kept | None


def augment_stage(life: Life) -> Life:
    """`data/` and `examples.json` → `augmented.jsonl`, where the recipe asks for it; nothing of an earlier one stays
    where it does not."""
    config = life.recipe.augment
    if config is None:
        if life.world.is_first:
            for name in (ROWS, SUMMARY):
                (life.out / name).unlink(missing_ok=True)
        return life
    models = [_fingerprint(name) for way in config.ways for name in models_of(way)]
    inputs = [life.key("examples"), str(life.recipe.seed), *models]
    key = stage_key([config], code=CODE, inputs=inputs)
    if not ((life.out / ROWS).exists() and life.cache.is_done("augment", key)):
        with life.working("augment", key):
            augment(life.out, config, seed=life.recipe.seed, progress=life.progress)
    return life.with_key("augment", key).with_key("examples", key)


def augment(root: Path, config: AugmentConfig, *, seed: int, progress: Progress = QUIET) -> list[Made]:
    """Write `augmented.jsonl` and `augmented.json` beside the data of a run; warns of ways that change labels."""
    task_config = surveyed(root)
    originals = [record for record in read_split(root / "data", "train") if _is_example(record, task_config)]
    held_out = {
        _digest(r.text) for part in splits(root / "data") if part != "train" for r in read_split(root / "data", part)
    }
    known = {_digest(record.text) for record in originals}
    numbers: Counter[str] = Counter()
    rows: list[dict[str, Any]] = []
    counts = []
    for way in config.ways:
        numbers[way.way] += 1
        name = way.way if numbers[way.way] == 1 else f"{way.way} {numbers[way.way]}"
        found, unchanged, leaks = _of_way(way, name, originals, held_out, known, seed, progress)
        rows += found
        counts.append((name, len(found), unchanged, leaks))
    judged = _judged(root, task_config, rows, config, seed, progress)
    made = [Made(*each, judged.get(each[0])) for each in counts]
    if judged:
        progress.start("labels kept")
        told_of = (f"{way} {kept.share:.1%} ({kept.low:.1%} to {kept.high:.1%})" for way, kept in judged.items())
        progress.finish(", ".join(told_of))
    for each in made:
        if each.kept is not None and each.kept.share < config.warn_below:
            progress.warn(
                f"augment: {each.way} keeps {each.kept.share:.1%} of the labels of {each.kept.judged:,} texts "
                f"({each.kept.low:.1%} to {each.kept.high:.1%}), as a linear model sees them; look at {root / ROWS}, "
                "and lower its alpha or leave it out"
            )
    atomic.write_text(root / ROWS, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    told = {"originals": len(originals), "ways": [asdict(each) for each in made], "examples": _shown(rows)}
    atomic.write_text(root / SUMMARY, json.dumps(told, ensure_ascii=False, indent=2) + "\n")
    return made


def read_augmented(root: Path, config: LabelledConfig) -> Iterator[Any]:
    """The examples of `augmented.jsonl`, each with the answer of the original."""
    kind = labelled_type(config)
    with (root / ROWS).open(encoding="utf-8") as file:
        for line in file:
            yield kind.example_of(_record(json.loads(line)), config)


def _of_way(
    way: WayConfig,
    name: str,
    originals: list[Record],
    held_out: set[int],
    known: set[int],
    seed: int,
    progress: Progress,
) -> tuple[list[dict[str, Any]], int, int]:
    """The rows of a way, and how many texts it left unchanged or made equal to another, or to one that is held out."""
    rows, unchanged, leaks = [], 0, 0
    progress.start(f"augment by {name}", len(originals) * way.copies, "texts")
    change = changes_of(way, hash64(f"{seed} {name}"))
    for copy in range(way.copies):
        for start in range(0, len(originals), _AT_ONCE):
            part = originals[start : start + _AT_ONCE]
            drawn = [random.Random(f"wenlu augment {seed} {name} {copy} {record.id}") for record in part]
            for record, text in zip(part, change([record.text for record in part], drawn, copy), strict=True):
                digest = _digest(text)
                if digest in held_out:
                    leaks += 1
                elif digest in known or not text.strip():
                    unchanged += 1
                else:
                    known.add(digest)
                    meta = {key: value for key, value in record.meta.items() if key != "cluster"}
                    own = {"id": f"{record.id}~{name} {copy + 1}", "of": record.id, "way": name}
                    rows.append({**own, "before": record.text, "text": text, "meta": meta})
            progress.update(copy * len(originals) + start + len(part))
    progress.finish(f"{len(rows):,} texts" + (f", {leaks:,} of the held-out parts thrown away" if leaks else ""))
    return rows, unchanged, leaks


def _judged(
    root: Path,
    config: LabelledConfig,
    rows: list[dict[str, Any]],
    settings: AugmentConfig,
    seed: int,
    progress: Progress,
) -> Mapping[str, Kept]:
    """How many labels each way keeps; the rows that were asked about say what became of theirs."""
    if not settings.judged or not rows:
        return {}
    task = new_task(config, Tokenizer.load(root / "tokenizer"))
    assert isinstance(task, LabelledTask), "its settings are of labelled examples"
    asked = []
    for name in dict.fromkeys(row["way"] for row in rows):
        own = [row for row in rows if row["way"] == name]
        asked += random.Random(f"wenlu judge {seed} {name}").sample(own, min(settings.judged, len(own)))
    kind = labelled_type(config)
    before = [kind.example_of(_record({**row, "text": row["before"]}), config) for row in asked]
    after = [kind.example_of(_record(row), config) for row in asked]
    return kept_labels(task, list(read_examples(root, "train", config)), asked, before, after, progress)


def _shown(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Some of each way, first those that lost their label and then others that were judged."""
    shown: list[dict[str, Any]] = []
    for name in dict.fromkeys(row["way"] for row in rows):
        own = [row for row in rows if row["way"] == name]
        own.sort(key=lambda row: row.get("kept") is None)
        lost = [row for row in own if row.get("kept") is False][: _SHOWN // 2]
        others = [row for row in own if row.get("kept") is not False]
        for row in (*lost, *others[: _SHOWN - len(lost)]):
            cut = {key: row[key][:_CHARACTERS] for key in ("before", "text")}
            shown.append({"way": name, **cut, "kept": row.get("kept")})
    return shown


def _record(row: Mapping[str, Any]) -> Record:
    return Record(row["text"], row["id"], row["meta"])


def _is_example(record: Record, config: LabelledConfig) -> bool:
    try:
        labelled_type(config).example_of(record, config)
    except DataError:
        return False
    return True


def _digest(text: str) -> int:
    return hash64(text.strip())


def _fingerprint(name: Path | str) -> str:
    path = Path(name).expanduser()
    if not path.is_file():
        path = vectors_path(name) or model_path(name)
    return inputs_fingerprint([SourceSpec(path=str(path))])
