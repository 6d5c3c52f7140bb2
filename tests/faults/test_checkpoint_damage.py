"""Whatever happens to the bytes of the newest checkpoint, the one before it is used and the damage is named."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from wenlu.errors import WeightsError
from wenlu.rundir import checkpoint

EXAMPLES = 1000 if os.environ.get("WENLU_PROOF") == "1" else 40
FILES = ("manifest.json", "state.json", "tensors-00001.safetensors", "tensors-00002.safetensors")


def tensors(step: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(step)
    return {f"layers.{i}.weight": torch.randn(16, 16, generator=generator) for i in range(4)}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Steps 1 and 2, two shards each."""
    folder = tmp_path_factory.mktemp("pair")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "SHARD_BYTES", 2100)
        for step in (1, 2):
            checkpoint.save(folder, step, tensors(step), {"step": step})
    return folder


def assert_damage_is_noticed(pair: Path, damage: Callable[[Path, Path], None]) -> None:
    with TemporaryDirectory() as home:
        folder = Path(home) / "checkpoints"
        shutil.copytree(pair, folder)
        damage(folder / "step-00000002", folder / "step-00000001")
        found = checkpoint.newest_good(folder)
        assert found is not None
        assert found.step == 1
        assert len(found.passed_over) == 1
        assert found.passed_over[0].startswith("step-00000002: ")
        assert all(torch.equal(found.tensors[name], tensor) for name, tensor in tensors(1).items())


@settings(max_examples=EXAMPLES, deadline=None)
@given(name=st.sampled_from(FILES), place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit(pair: Path, name: str, place: float, bit: int) -> None:
    def flip(newest: Path, _: Path) -> None:
        data = bytearray((newest / name).read_bytes())
        data[int(place * len(data))] ^= 1 << bit
        (newest / name).write_bytes(data)

    assert_damage_is_noticed(pair, flip)


@settings(max_examples=EXAMPLES, deadline=None)
@given(name=st.sampled_from(FILES), place=st.floats(0, 1, exclude_max=True))
def test_a_truncated_file(pair: Path, name: str, place: float) -> None:
    def truncate(newest: Path, _: Path) -> None:
        os.truncate(newest / name, int(place * (newest / name).stat().st_size))

    assert_damage_is_noticed(pair, truncate)


@settings(max_examples=EXAMPLES, deadline=None)
@given(name=st.sampled_from(FILES), tail=st.binary(min_size=1, max_size=50))
def test_bytes_at_the_end_of_a_file(pair: Path, name: str, tail: bytes) -> None:
    blank = not tail.strip(b" \t\r\n")

    def append(newest: Path, _: Path) -> None:
        with (newest / name).open("ab") as file:
            file.write(tail + (b"x" if blank else b""))  # blanks after the manifest mean the same manifest

    assert_damage_is_noticed(pair, append)


def test_two_shards_that_changed_places(pair: Path) -> None:
    def swap(newest: Path, _: Path) -> None:
        (newest / FILES[2]).rename(newest / "aside")
        (newest / FILES[3]).rename(newest / FILES[2])
        (newest / "aside").rename(newest / FILES[3])

    assert_damage_is_noticed(pair, swap)


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_another_checkpoint(pair: Path, name: str) -> None:
    assert_damage_is_noticed(pair, lambda newest, older: shutil.copy(older / name, newest / name) and None)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file(pair: Path, name: str) -> None:
    assert_damage_is_noticed(pair, lambda newest, _: (newest / name).unlink())


@pytest.mark.parametrize("name", FILES)
def test_a_folder_in_place_of_a_file(pair: Path, name: str) -> None:
    def replace(newest: Path, _: Path) -> None:
        (newest / name).unlink()
        (newest / name).mkdir()

    assert_damage_is_noticed(pair, replace)


@pytest.mark.parametrize("text", ["", "null", "[]", "{}", '{"blake2b": 1}', '{"files": []}', "\udcff"])
def test_a_manifest_that_is_none(pair: Path, text: str) -> None:
    def overwrite(newest: Path, _: Path) -> None:
        (newest / "manifest.json").write_bytes(text.encode(errors="surrogateescape"))

    assert_damage_is_noticed(pair, overwrite)


def test_no_whole_checkpoint_at_all_is_an_error_and_not_a_new_start(pair: Path, tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    shutil.copytree(pair, folder)
    for path in folder.iterdir():
        (path / "state.json").write_text("")
    with pytest.raises(WeightsError, match=r"no whole checkpoint \(step-00000002: state.json has 0 bytes, not 11;.*"):
        checkpoint.newest_good(folder)
