"""Shares of sources in what is learnt from, and how good a model is on each."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from wenlu.config import check
from wenlu.corpus.prepare import DataConfig, prepare, read_split
from wenlu.corpus.repeats import copies, training_records
from wenlu.errors import ConfigError

SIZES = {"large": 900, "small": 90, "least": 10}


def test_copies_follow_from_size_weight_and_temperature() -> None:
    """At T = 2 shares go as the roots of the sizes, so a record of i is met (n_max / n_i)^(1/2) times as often."""
    assert copies(SIZES, 1.0, {}) == {"large": 1, "small": 1, "least": 1}
    assert copies(SIZES, 2.0, {}) == pytest.approx({"large": 1, "small": 10**0.5, "least": 90**0.5})
    assert copies(SIZES, 1e9, {}) == pytest.approx({"large": 1, "small": 10, "least": 90}, rel=1e-6)
    assert copies(SIZES, 1.0, {"small": 3.0}) == {"large": 1, "small": 3, "least": 1}
    assert copies(SIZES, 1.0, {"small": 0.5}) == {"large": 2, "small": 1, "least": 2}  # nothing is met less than once


@pytest.fixture
def two(tmp_path: Path) -> Path:
    for name, count in (("many", 160), ("few", 20)):
        rows = [{"text": f"text {number} of {name}"} for number in range(count)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def config_of(folder: Path, **settings: object) -> DataConfig:
    train = [{"path": str(folder / f"{name}.jsonl"), "name": name} for name in ("many", "few")]
    return check(
        DataConfig,
        {"train": train, "steps": [], "split_by": "random", "validation": 0.1, "test": 0.1, **settings},
        where="test",
    )


def test_small_sources_come_again_behind_all_others_and_held_out_parts_stay(two: Path) -> None:
    prepare(config_of(two), two / "plain", seed=0)
    prepare(config_of(two, temperature=2.0), two / "data", seed=0)
    for split in ("train", "validation", "test"):
        assert list(read_split(two / "data", split)) == list(read_split(two / "plain", split))
    plain = list(read_split(two / "data", "train"))
    sizes = Counter(record.meta["source"] for record in plain)
    found = list(training_records(two / "data"))
    assert found[: len(plain)] == plain
    met = Counter(record.meta["source"] for record in found)
    assert met["many"] == sizes["many"]
    assert met["few"] / sizes["few"] == pytest.approx((sizes["many"] / sizes["few"]) ** 0.5, rel=0.2)
    assert found == list(training_records(two / "data"))
    assert list(training_records(two / "plain")) == plain


def test_a_source_is_left_out_of_training_alone(two: Path) -> None:
    prepare(config_of(two), two / "whole", seed=0)
    prepare(config_of(two, without=["few"]), two / "data", seed=0)
    for split in ("validation", "test"):
        assert list(read_split(two / "data", split)) == list(read_split(two / "whole", split))
    left = [record for record in read_split(two / "whole", "train") if record.meta["source"] == "many"]
    assert list(read_split(two / "data", "train")) == left
    with pytest.raises(ConfigError, match="without: no source 'fe' in train; did you mean few"):
        config_of(two, without=["fe"])
    with pytest.raises(ConfigError, match="without: names all sources of train; leave one to learn from"):
        config_of(two, without=["few", "many"])


def test_a_fraction_leaves_what_is_held_out(two: Path) -> None:
    prepare(config_of(two), two / "whole", seed=0)
    prepare(config_of(two, fraction=0.25), two / "data", seed=0)
    assert list(read_split(two / "data", "test")) == list(read_split(two / "whole", "test"))
    whole = {record.id for record in read_split(two / "whole", "train")}
    part = {record.id for record in read_split(two / "data", "train")}
    assert len(part) == np.round(0.25 * len(whole))
    assert part < whole


def test_a_fixed_share_is_had_whatever_the_size() -> None:
    """A fifth of all from a source of 90 beside 900 others: 225 in 1,125; of one with 9,000 only 225 come."""
    assert copies({"new": 900, "old": 90}, 1.0, {}, {"old": 0.2}) == {"new": 1, "old": 2.5}
    assert copies({"new": 900, "old": 9000}, 1.0, {}, {"old": 0.2}) == {"new": 1, "old": 0.025}
    with pytest.raises(ConfigError, match="shares: come to 1; leave some for the other sources"):
        check(DataConfig, {"train": ["a", "b"], "shares": {"a": 0.5, "b": 0.5}}, where="test")
    with pytest.raises(ConfigError, match="shares: no source 'c' in train"):
        check(DataConfig, {"train": ["a", "b"], "shares": {"c": 0.5}}, where="test")
