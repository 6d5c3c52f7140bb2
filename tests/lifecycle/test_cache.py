from __future__ import annotations

import json
from pathlib import Path

import pytest

from wenlu.config import Config
from wenlu.lifecycle.cache import StageCache, code_digests, stage_key


class Settings(Config):
    size: int = 1


def test_a_stage_is_done_only_for_the_same_key(tmp_path: Path) -> None:
    with StageCache(tmp_path).running("data", "k1"):
        assert StageCache(tmp_path).is_started("data", "k1")
    again = StageCache(tmp_path)
    assert again.is_done("data", "k1")
    assert not again.is_done("data", "k2")
    assert not again.is_done("train", "k1")


def test_a_stage_that_failed_is_started_but_not_done(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), StageCache(tmp_path).running("data", "k1"):
        raise RuntimeError
    again = StageCache(tmp_path)
    assert again.is_started("data", "k1")
    assert not again.is_done("data", "k1")


def test_what_a_stage_chose_is_kept_while_it_goes_on_and_forgotten_when_it_begins_anew(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), StageCache(tmp_path).running("train", "k1"):
        raise RuntimeError
    cache = StageCache(tmp_path)
    cache.choose("train", {"steps": 7})
    with StageCache(tmp_path).running("train", "k1"):
        assert StageCache(tmp_path).facts("train") == {"steps": 7}
    with StageCache(tmp_path).running("train", "k2"):
        assert StageCache(tmp_path).facts("train") == {}


def test_the_file_says_how_long_each_stage_took(tmp_path: Path) -> None:
    with StageCache(tmp_path).running("data", "k1"):
        pass
    assert json.loads((tmp_path / "stages.json").read_text())["data"]["seconds"] >= 0
    assert set(StageCache(tmp_path).seconds()) == {"data"}


def test_the_key_depends_on_settings_code_and_inputs() -> None:
    keys = {
        stage_key([Settings()], code=["config"], inputs=["a"]),
        stage_key([Settings(size=2)], code=["config"], inputs=["a"]),
        stage_key([Settings()], code=["metrics"], inputs=["a"]),
        stage_key([Settings()], code=["config"], inputs=["b"]),
    }
    assert len(keys) == 4
    assert stage_key([Settings()], code=["config"], inputs=["a"]) in keys


def test_every_named_piece_of_code_exists() -> None:
    empty = code_digests(["no such folder"])[0]
    for names in (
        "corpus",
        "hub",
        "tokenizers",
        "training",
        "models",
        "kernels",
        "tasks",
        "evaluation",
        "metrics",
        "generation",
    ):
        assert code_digests([names])[0] != empty
