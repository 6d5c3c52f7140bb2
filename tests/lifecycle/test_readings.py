"""The test part is read once for each model, and the run keeps a log of it."""

from __future__ import annotations

import json
from pathlib import Path

from tests.lifecycle.test_labelled_life import RECIPE, rows

from wenlu.lifecycle import verbs
from wenlu.progress import Progress

SHORT = ["train.validations=0", "train.keep_best=false", "data.text=mail", "data.label=kind"]


class Heard(Progress):
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, message: str) -> None:
        if "test part" in message:
            self.warnings.append(message)


def test_each_reading_is_logged_and_a_second_model_on_the_same_part_is_warned_of(tmp_path: Path) -> None:
    (tmp_path / "mails.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows(80)), encoding="utf-8")
    recipe, run, heard = tmp_path / "recipe.toml", tmp_path / "run", Heard()
    recipe.write_text(RECIPE.replace("FILE", str(tmp_path / "mails.jsonl")), encoding="utf-8")
    verbs.finetune(recipe, run, [*SHORT, "train.duration='1 steps'"], progress=heard)
    verbs.evaluate(str(run), progress=heard)  # the same model once more
    verbs.evaluate(str(run), ["evaluate.split=validation"], progress=heard)
    assert not heard.warnings
    verbs.finetune(recipe, run, [*SHORT, "train.duration='2 steps'"], progress=heard)
    assert len(heard.warnings) == 1
    assert "was read once before (test-readings.jsonl)" in heard.warnings[0]
    log = [json.loads(line) for line in (run / "test-readings.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["model"] == log[0]["model"] for row in log] == [True, True, False]
    assert len({row["data"] for row in log}) == 1
    evaluation = json.loads((run / "evaluation.json").read_text(encoding="utf-8"))
    assert (log[-1]["metric"], log[-1]["value"]) == ("accuracy", evaluation["headline"]["value"])
