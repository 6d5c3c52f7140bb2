"""Encoded text that a disk spoilt is found, whichever bit it is; training passes over it, as long as it is little.

`make test` flips 60 bits, `make proof-faults` 1,000.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from wenlu.config import Duration
from wenlu.corpus.damage import Damage
from wenlu.corpus.packing import Windows
from wenlu.corpus.passages import Passages
from wenlu.corpus.record import Record
from wenlu.corpus.shard_writer import write_tokens
from wenlu.corpus.shards import TokenData
from wenlu.errors import DataError
from wenlu.lifecycle import verbs
from wenlu.models import LanguageModel
from wenlu.rundir import Run
from wenlu.tasks import CausalLM
from wenlu.tokenizers import Tokenizer
from wenlu.training import AdamWConfig, ScheduleConfig, TrainConfig, TrainData, train

FLIPS = 1000 if os.environ.get("WENLU_PROOF") == "1" else 60
TEXTS = [f"the cat sat on the {place} {n} times\n" for n in range(60) for place in ("mat", "log")]

NewModel = Callable[[], LanguageModel]
NewRun = Callable[[str], Run]


@pytest.fixture
def folder(tokenizer: Tokenizer, tmp_path: Path) -> Path:
    """About 4,000 tokens in shards of 1,024."""
    return write_tokens(TEXTS, tokenizer, tmp_path / "tokens", shard_tokens=1024).folder


def flip(path: Path, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


def read_all(folder: Path) -> None:
    data = TokenData.open(folder)
    for rows in (Windows(data, 16), Passages(data, 16)):
        rows.rows(np.arange(len(rows)))


def test_every_flipped_bit_is_found_when_training_opens_or_reads_it(folder: Path) -> None:
    draw = random.Random(0)
    files = sorted(folder.iterdir())
    for number in range(FLIPS):
        path = files[number % len(files)]
        whole = path.read_bytes()
        flip(path, draw.randrange(8 * len(whole)))
        with pytest.raises(DataError):
            read_all(folder)
        path.write_bytes(whole)
    read_all(folder)


def test_two_shards_that_changed_places_are_found(folder: Path) -> None:
    (folder / "tokens-00000.bin").rename(folder / "aside")
    (folder / "tokens-00001.bin").rename(folder / "tokens-00000.bin")
    (folder / "aside").rename(folder / "tokens-00001.bin")
    with pytest.raises(DataError, match=r"tokens-00000\.bin: tokens 0 to 255 of all \(of document '0' to '7'\)"):
        read_all(folder)


def test_a_shard_of_another_run_is_found(folder: Path, tokenizer: Tokenizer, tmp_path: Path) -> None:
    other = write_tokens(TEXTS[::-1], tokenizer, tmp_path / "other", shard_tokens=1024)
    shutil.copy(other.folder / "tokens-00002.bin", folder / "tokens-00002.bin")
    with pytest.raises(DataError, match=r"tokens-00002\.bin: .* are not what was written: their checksum differs"):
        read_all(folder)


@pytest.mark.parametrize("name", ["starts.bin", "bytes.bin", "words.bin", "ids.jsonl", "crc.bin"])
def test_an_index_of_another_run_is_found(name: str, folder: Path, tokenizer: Tokenizer, tmp_path: Path) -> None:
    size = (folder / name).stat().st_size
    records = [Record(f"{text}again" * (1 + number % 2), f"other {number}") for number, text in enumerate(TEXTS)]
    other = write_tokens(records, tokenizer, tmp_path / "other")
    shutil.copy(other.folder / name, folder / name)
    os.truncate(folder / name, size)
    with pytest.raises(DataError, match=rf"{name}: its content is not what was written"):
        TokenData.open(folder)


def test_a_folder_of_an_earlier_version_says_so(folder: Path) -> None:
    path = folder / "manifest.json"
    path.write_text(path.read_text().replace('"format": 2', '"format": 1'))
    with pytest.raises(DataError, match="format 1, but this version reads 2; encode the text again"):
        TokenData.open(folder)


def test_a_damaged_row_is_read_as_the_next_whole_one_every_time(folder: Path) -> None:
    whole = Windows(TokenData.open(folder), 16)
    expected = whole.rows(np.arange(len(whole)))
    flip(folder / "tokens-00001.bin", 8 * 2 * 100)  # token 1,124 of all, in the block of 1,024 to 1,279
    for _ in range(2):
        rows = Windows(TokenData.open(folder), 16)
        rows.damage = Damage(folder, 0.1)
        found = rows.rows(np.arange(len(rows)))
        assert sorted(rows.damage.rows) == list(range(63, 80))  # row 63 ends with token 1,024
        assert found.ids[62].tolist() == expected.ids[62].tolist()
        assert all(found.ids[place].tolist() == expected.ids[80].tolist() for place in range(63, 80))
        assert len(rows.damage.news()) == 17
        assert rows.damage.news() == []


def test_the_last_row_is_replaced_by_the_first(folder: Path) -> None:
    last = len(Windows(TokenData.open(folder), 16)) - 1
    path = max(folder.glob("tokens-*"))
    flip(path, 8 * path.stat().st_size - 1)
    rows = Windows(TokenData.open(folder), 16)
    rows.damage = Damage(folder, 1.0)
    found = rows.rows(np.array([0, last]))
    assert found.ids[1].tolist() == found.ids[0].tolist()


def go(config: TrainConfig, model: LanguageModel, rows: Windows, run: Run) -> None:
    optimizer, schedule = AdamWConfig(lr=0.01), ScheduleConfig(warmup_steps=2)
    train(config, optimizer, schedule, model=model, task=CausalLM(), data=TrainData(rows, None), run=run, seed=1)


def test_training_passes_over_a_damaged_row_says_so_and_repeats_it(
    folder: Path, config: TrainConfig, new_model: NewModel, new_run: NewRun
) -> None:
    flip(folder / "tokens-00002.bin", 4321)
    config = config.model_copy(update={"duration": Duration(70, "steps")})  # an epoch has about 62
    models = []
    for name in ("a", "b"):
        rows = Windows(TokenData.open(folder), 16)
        rows.damage = Damage(folder, 0.1)
        models.append(new_model())
        go(config, models[-1], rows, run := new_run(name))
        events = [event for event in run.events() if event.name == "damaged_row"]
        assert len(events) == len(rows.damage.rows) > 0
        assert all("tokens-00002.bin: tokens" in str(event.value) for event in events)
    assert all(torch.equal(a, b) for a, b in zip(*(model.parameters() for model in models), strict=True))


def test_more_damage_than_is_allowed_stops_the_run(
    folder: Path, config: TrainConfig, new_model: NewModel, new_run: NewRun
) -> None:
    flip(folder / "tokens-00000.bin", 4321)
    rows = Windows(TokenData.open(folder), 16)
    rows.damage = Damage(folder, config.max_damaged_fraction)
    config = config.model_copy(update={"duration": Duration(70, "steps")})
    with pytest.raises(
        DataError, match=r"1 of 2\d\d rows were found damaged, more than train\.max_damaged_fraction = 0\.001"
    ):
        go(config, new_model(), rows, new_run("a"))
    assert DataError.exit_code == 3


def test_a_run_encodes_its_text_again_once_the_damaged_folder_is_removed(tmp_path: Path) -> None:
    recipe, out = Path("recipes/tiny.toml"), tmp_path / "run"
    settings = [
        "train.duration=4 steps",
        "train.allocator=as-is",
        "check=false",
        "train.start=random",
        "train.validations=0",
    ]
    verbs.tokenizer(recipe, out, settings)
    verbs.pretrain(recipe, out, settings)
    whole = (out / "model/model.safetensors").read_bytes()
    for file in (out / "tokens/train").glob("tokens-*.bin"):
        file.write_bytes(bytes(len(file.read_bytes())))
    shutil.rmtree(out / "checkpoints")
    again = [*settings, "train.keep_checkpoints=1"]
    with pytest.raises(DataError, match=rf"remove the folder {out}/tokens to encode the text again"):
        verbs.pretrain(recipe, out, again)
    shutil.rmtree(out / "tokens")
    verbs.pretrain(recipe, out, again)
    assert (out / "model/model.safetensors").read_bytes() == whole
