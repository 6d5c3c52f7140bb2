"""The cache tells of full disks and closed doors, and tidies up after processes that were killed."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest

from wenlu.errors import ResourceError
from wenlu.hub.cache import cache_folder, publish, scratch_folder, writing


def test_the_cache_is_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WENLU_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("WENLU_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache/wenlu"


def test_a_full_disk_is_named_with_what_to_try(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match=r"the disk is full; free some space or set WENLU_CACHE"), writing(tmp_path):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_cache_that_may_not_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match=r"cannot write there \(Read-only file system\)"), writing(tmp_path):
        raise OSError(errno.EROFS, "Read-only file system")


def test_another_error_is_not_hidden(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="Input/output error"), writing(tmp_path):
        raise OSError(errno.EIO, "Input/output error")


def test_what_is_published_first_stays(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a").write_text(name)
        publish(tmp_path / name, tmp_path / "final")
    assert (tmp_path / "final/a").read_text() == "one"


def test_only_abandoned_scratch_folders_are_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WENLU_CACHE", str(tmp_path))
    for name, age_hours in ((".fetch-old", 25), (".fetch-new", 1)):
        (tmp_path / name).mkdir()
        then = time.time() - age_hours * 3600
        os.utime(tmp_path / name, (then, then))
    with scratch_folder() as scratch:
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted([".fetch-new", scratch.name])
    assert [path.name for path in tmp_path.iterdir()] == [".fetch-new"]
