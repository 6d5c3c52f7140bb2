"""A tiny life in chapters: each verb in its folder, nothing done twice, the page."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from wenlu.lifecycle.chapters.life import carry_out, has_chapters
from wenlu.lifecycle.chapters.told import Chapters

TRAIN = {"duration": "4 steps", "context": 32, "batch_size": 8, "validations": 1, "threads": 1, "allocator": "as-is"}
MODEL = {"family": "bert", "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}


def chapters(data: Path) -> dict[str, Any]:
    return {
        "texts": {
            "verb": "data",
            "title": "The texts",
            "data": {"train": str(data), "steps": ["repair"], "validation": 0.2, "test": 0.25},
            "task": {"name": "text-classification"},
        },
        "labels": {
            "verb": "finetune",
            "like": "texts",
            "tokenizer": {"vocab_size": 270},
            "model": MODEL,
            "train": TRAIN,
            "check": False,
        },
        "again": {"verb": "finetune", "like": "labels", "train": {"duration": "3 steps"}},
        "scored": {"verb": "evaluate", "runs": ["{again}"]},
        "verdict": {"verb": "compare", "runs": ["{labels}", "{again}"]},
        "small": {
            "verb": "compress",
            "model": "{labels}",
            "compress": {"methods": ["rtn-int8"], "measure": False, "accept_divergence": True},
        },
        "served": {"verb": "serve", "models": ["{small}/rtn-int8"], "runs": ["{labels}"], "texts": 15},
    }


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., tuple[Chapters, list[str]]]:
    folder = tmp_path_factory.mktemp("life")
    data = folder / "texts.jsonl"
    lines = [
        json.dumps({"text": f"{'good' if n % 2 else 'bad'} thing number {n} of the shop", "label": "ab"[n % 2]})
        for n in range(60)
    ]
    data.write_text("\n".join(lines) + "\n", encoding="utf-8")
    file = folder / "life.toml"
    file.write_text(tomli_w.dumps({"name": "small-life", "chapters": chapters(data)}), encoding="utf-8")

    def live(*overrides: str) -> tuple[Chapters, list[str]]:
        """The chapters, and the names of those that were worked on."""
        out = folder / "out"
        before = {path.name: path.stat().st_mtime_ns for path in out.glob("*.toml")}
        found = carry_out(file, out, overrides)
        return found, [
            each.name
            for each in found.chapters
            if (own := out / f"{each.name}.toml").is_file() and own.stat().st_mtime_ns != before.get(own.name)
        ]

    assert has_chapters(file)
    return live


def test_each_chapter_leaves_its_folder_and_what_it_came_to(lived: Callable[..., tuple[Chapters, list[str]]]) -> None:
    found, worked = lived()
    told = {each.name: each for each in found.chapters}
    assert list(told) == ["texts", "labels", "again", "scored", "verdict", "small", "served"]
    assert worked == ["texts", "labels", "again", "small"]
    assert told["texts"].lines == ("60 records read, 60 kept: train 33, validation 12, test 15",)
    assert told["labels"].metrics[0]["name"] == "accuracy"
    assert told["verdict"].metrics[0]["n"] == 15
    assert (found.path / "small" / "rtn-int8" / "parity.json").is_file()
    assert found.served == (str(found.path / "small" / "rtn-int8"),)
    parity = json.loads((found.path / "served" / "parity.json").read_text())
    assert (parity["verdict"], parity["ability"], parity["same"]) == ("passed", "classify", 15)
    assert json.loads((found.path / "chapters.json").read_text())["labels"]["verb"] == "finetune"
    page = (found.path / "report.html").read_text(encoding="utf-8")
    assert "The texts" in page
    assert 'href="labels/report.html"' in page


def test_only_what_changed_and_what_follows_from_it_is_done_again(
    lived: Callable[..., tuple[Chapters, list[str]]],
) -> None:
    lived()
    assert lived()[1] == []
    assert lived("chapters.again.train.duration=2 steps")[1] == ["again"]
