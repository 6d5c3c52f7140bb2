from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from wenlu.errors import ResourceError
from wenlu.rundir.atomic import atomic_folder, remove_leftovers, temporary_name, write_text


def test_text_replaces_the_old_file_with_ordinary_rights(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    write_text(path, "文炉")
    assert path.read_text(encoding="utf-8") == "文炉"
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~umask
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


def test_a_write_that_fails_leaves_the_old_target(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    path.mkdir()  # a file cannot replace a folder
    with pytest.raises(ResourceError, match=r"folder: could not be written: .*; what was there before is untouched"):
        write_text(path, "text")
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]


def test_a_missing_parent_is_named(tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match=r"none/a.txt: could not be written: No such file or directory"):
        write_text(tmp_path / "none" / "a.txt", "text")


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "runs" / "model"
    with atomic_folder(target) as folder:
        (folder / "inner").mkdir()
        (folder / "inner" / "a").write_text("1")
        assert not target.exists()
    assert (target / "inner" / "a").read_text() == "1"
    assert [entry.name for entry in target.parent.iterdir()] == ["model"]


def test_a_folder_replaces_the_old_one_with_nothing_left_of_it(tmp_path: Path) -> None:
    target = tmp_path / "model"
    for name in ("a", "b"):
        with atomic_folder(target) as folder:
            (folder / name).write_text(name)
    assert [entry.name for entry in target.iterdir()] == ["b"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["model"]


def fill_and_fail(target: Path) -> None:
    with atomic_folder(target) as folder:
        (folder / "b").write_text("b")
        _ = 1 / 0


def test_an_error_while_filling_leaves_the_old_folder(tmp_path: Path) -> None:
    target = tmp_path / "model"
    with atomic_folder(target) as folder:
        (folder / "a").write_text("a")
    with pytest.raises(ZeroDivisionError):
        fill_and_fail(target)
    assert [entry.name for entry in target.iterdir()] == ["a"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["model"]


def test_only_leftovers_are_removed_and_links_are_not_followed(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("")
    temporary_name(tmp_path / "link").symlink_to(kept)
    temporary_name(tmp_path / "file").write_text("")
    temporary_name(tmp_path / "folder").mkdir()
    (tmp_path / ".hidden.tmp-1").write_text("not ours")
    other = temporary_name(tmp_path / "other")
    other.write_text("")
    remove_leftovers(tmp_path, of="folder")
    assert other.exists()
    remove_leftovers(tmp_path)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".hidden.tmp-1", "kept"]
    assert (kept / "file").exists()
