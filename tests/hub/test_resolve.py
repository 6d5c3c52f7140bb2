"""Local paths come first; what is not there is explained."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from wenlu.errors import DataError, UsageError
from wenlu.hub import resolve


def test_a_local_path_is_itself_and_fetches_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a")
    for path in (tmp_path, tmp_path / "a.txt"):
        resolved = resolve(str(path))
        assert resolved.path == path
        assert resolved.fetched is None


def test_a_missing_path_lists_what_is_nearest(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(DataError, match=r"note\.txt: no such file or folder; in .* there is notes\.txt"):
        resolve(str(tmp_path / "note.txt"))
    with pytest.raises(DataError, match=r"deep/er\.txt: no such file or folder; in .* there is notes\.txt"):
        resolve(str(tmp_path / "deep/er.txt"))


def test_an_expected_digest_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("a")
    digest = hashlib.sha256(b"a").hexdigest()
    assert resolve(str(path), sha256=digest).path == path
    with pytest.raises(DataError, match=f"its sha256 is {digest}, not the expected 0{{64}}"):
        resolve(str(path), sha256="0" * 64)
    with pytest.raises(DataError, match="is a folder, and a sha256 belongs to one file"):
        resolve(str(tmp_path), sha256=digest)


@pytest.mark.parametrize("text", ["hf:", "hf:name", "hf:../etc", "hf:a/b/c", "hf:a/b@"])
def test_a_malformed_hub_id_shows_the_form(text: str) -> None:
    with pytest.raises(UsageError, match=r"not a hub id; write hf:ORGANISATION/NAME"):
        resolve(text)


def test_a_folder_hides_the_hub_id_of_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "org/name").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert resolve("org/name").fetched is None


def test_a_mistyped_path_is_no_hub_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="data/note: no such file or folder"):
        resolve("data/note")
    with pytest.raises(DataError, match=r"date/notes\.txt: no such file or folder"):
        resolve("date/notes.txt")
