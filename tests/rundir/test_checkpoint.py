from __future__ import annotations

from pathlib import Path

import pytest
import torch

from wenlu.errors import ResourceError, WeightsError, WenluError
from wenlu.progress import Progress
from wenlu.rundir import checkpoint
from wenlu.rundir.checkpoint import newest_good, save


class Warnings(Progress):
    def __init__(self) -> None:
        self.messages: list[str] = []

    def warn(self, message: str) -> None:
        self.messages.append(message)


def some_tensors(seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "weight": torch.randn(7, 5, generator=generator),
        "half": torch.randn(3, 4, generator=generator).bfloat16(),
        "moments": torch.randn(9, generator=generator, dtype=torch.float64),
        "count": torch.tensor(12345678901, dtype=torch.int64),
        "random_state": torch.randint(0, 256, (40,), generator=generator, dtype=torch.uint8),
        "mask": torch.tensor([True, False]),
        "empty": torch.empty(0, 3),
    }


def assert_same_bits(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> None:
    assert left.keys() == right.keys()
    for name, tensor in left.items():
        other = right[name]
        assert (tensor.dtype, tensor.shape) == (other.dtype, other.shape), name
        bits = [t.contiguous().reshape(-1).view(torch.uint8) for t in (tensor, other)]
        assert torch.equal(*bits), name


def test_every_type_of_tensor_round_trips_bit_for_bit(tmp_path: Path) -> None:
    tensors = some_tensors()
    tensors["zeros"] = torch.tensor([0.0, -0.0, 1e-42])
    save(tmp_path, 10, tensors, {"epoch": 1, "文": "炉"})
    found = newest_good(tmp_path)
    assert found is not None
    assert (found.step, dict(found.state), found.passed_over) == (10, {"epoch": 1, "文": "炉"}, ())
    assert_same_bits(found.tensors, tensors)


def test_an_empty_or_missing_folder_has_no_checkpoint(tmp_path: Path) -> None:
    assert newest_good(tmp_path) is None
    assert newest_good(tmp_path / "none") is None


def test_tied_views_and_strided_tensors_are_saved_in_full(tmp_path: Path) -> None:
    base = torch.arange(12.0).reshape(3, 4)
    tensors = {"base": base, "tied": base, "row": base[1], "transposed": base.T}
    save(tmp_path, 1, tensors, {})
    found = newest_good(tmp_path)
    assert found is not None
    assert_same_bits(found.tensors, tensors)


def test_tensors_are_spread_over_shards_of_bounded_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "SHARD_BYTES", 100)
    tensors = {f"t{i}": torch.full((n,), float(i)) for i, n in enumerate([10, 10, 10, 200, 1])}
    saved = save(tmp_path, 1, tensors, {})
    assert len(saved.shards) == 4  # 80, 40, 800 and 4 bytes
    assert_same_bits(saved.tensors, tensors)


def test_only_the_newest_two_are_kept(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        save(tmp_path, step, some_tensors(step), {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000002", "step-00000003"]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_non_finite_weights_are_refused_and_nothing_is_written(tmp_path: Path, bad: float, dtype: torch.dtype) -> None:
    weights = torch.zeros(1000, dtype=dtype)
    weights[777] = bad
    with pytest.raises(WenluError, match="no checkpoint of step 4: tensor 'w' holds nan or infinity"):
        save(tmp_path, 4, {"w": weights}, {})
    assert list(tmp_path.iterdir()) == []


def test_a_non_finite_state_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WenluError, match="its state holds nan or infinity"):
        save(tmp_path, 4, {}, {"best_loss": float("inf")})


def test_a_damaged_checkpoint_is_passed_over_and_named(tmp_path: Path) -> None:
    save(tmp_path, 1, some_tensors(1), {})
    save(tmp_path, 2, some_tensors(2), {})
    (tmp_path / "step-00000002" / "state.json").write_text("[]")
    heard = Warnings()
    found = newest_good(tmp_path, progress=heard)
    assert found is not None
    assert found.step == 1
    assert_same_bits(found.tensors, some_tensors(1))
    assert found.passed_over == ("step-00000002: state.json does not match its digest",)
    assert "step-00000002 is damaged and passed over: state.json does not match its digest" in heard.messages[0]


def test_a_missing_shard_is_damage(tmp_path: Path) -> None:
    save(tmp_path, 1, some_tensors(), {})
    (tmp_path / "step-00000001" / "tensors-00001.safetensors").unlink()
    with pytest.raises(
        WeightsError, match=r"no whole checkpoint \(step-00000001: tensors-00001.safetensors is missing"
    ):
        newest_good(tmp_path)


def test_a_renamed_checkpoint_is_not_taken_for_another_step(tmp_path: Path) -> None:
    save(tmp_path, 1, some_tensors(), {})
    (tmp_path / "step-00000001").rename(tmp_path / "step-00000009")
    with pytest.raises(WeightsError, match="step-00000009: holds step 1"):
        newest_good(tmp_path)


def test_a_manifest_cannot_name_files_outside_its_folder(tmp_path: Path) -> None:
    save(tmp_path, 1, some_tensors(), {})
    path = tmp_path / "step-00000001" / "manifest.json"
    manifest = checkpoint.json.loads(path.read_text())
    del manifest["blake2b"]
    manifest["files"]["../outside.safetensors"] = {"bytes": 0, "blake2b": ""}
    manifest["blake2b"] = checkpoint._digest(checkpoint._canonical(manifest))
    path.write_text(checkpoint.json.dumps(manifest))
    with pytest.raises(WeightsError, match=r"names the file '../outside.safetensors'"):
        newest_good(tmp_path)


def test_saving_a_step_again_replaces_it(tmp_path: Path) -> None:
    save(tmp_path, 1, some_tensors(1), {"try": 1})
    saved = save(tmp_path, 1, some_tensors(2), {"try": 2})
    assert dict(saved.state) == {"try": 2}
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]


def test_a_checkpoint_moved_aside_for_its_replacement_is_still_found(tmp_path: Path) -> None:
    save(tmp_path, 1, some_tensors(1), {})
    (tmp_path / "step-00000001").rename(tmp_path / "step-00000001.replaced")
    found = newest_good(tmp_path)
    assert found is not None
    assert_same_bits(found.tensors, some_tensors(1))


def test_a_course_that_was_given_up_leaves_no_later_steps(tmp_path: Path) -> None:
    for step in (10, 20):
        save(tmp_path, step, some_tensors(), {})
    save(tmp_path, 15, some_tensors(), {})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-00000010", "step-00000015"]


def test_leftovers_of_a_killed_save_are_removed(tmp_path: Path) -> None:
    dead = tmp_path / f".step-00000001.tmp-{'0' * 32}"
    dead.mkdir()
    (dead / "tensors-00001.safetensors").write_bytes(b"half")
    assert newest_good(tmp_path) is None
    save(tmp_path, 2, some_tensors(), {})
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000002"]


def test_a_disk_without_room_is_noticed_before_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, 1, some_tensors(), {})
    monkeypatch.setattr(checkpoint, "ROOM", 1e15)
    with pytest.raises(ResourceError, match=r"no checkpoint of step 2: .* MB free, .* MB wanted"):
        save(tmp_path, 2, some_tensors(), {})
    assert [path.name for path in tmp_path.iterdir()] == ["step-00000001"]
