"""Unpacking what strangers published: only regular files, only inside the target, only so many bytes."""

from __future__ import annotations

import hashlib
import io
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from wenlu.errors import DataError
from wenlu.hub.archive import unpack


def make_tgz(path: Path, members: dict[str, bytes | tarfile.TarInfo]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                tar.addfile(content)
                continue
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def make_wheel(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for name, content in members.items():
            wheel.writestr(name, content)
    return path


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def test_an_npm_archive_or_sdist_loses_its_one_top_folder(tmp_path: Path) -> None:
    archive = make_tgz(tmp_path / "a.tgz", {"package/dist/a.json": b"[1]", "package/LICENSE": b"free"})
    digests = unpack(archive, tmp_path / "out")
    assert (tmp_path / "out/dist/a.json").read_bytes() == b"[1]"
    assert digests == {
        "dist/a.json": hashlib.sha256(b"[1]").hexdigest(),
        "LICENSE": hashlib.sha256(b"free").hexdigest(),
    }


def test_a_wheel_keeps_its_paths(tmp_path: Path) -> None:
    archive = make_wheel(tmp_path / "a.whl", {"a/b.txt": b"text", "a/": b""})
    assert list(unpack(archive, tmp_path / "out")) == ["a/b.txt"]
    assert (tmp_path / "out/a/b.txt").read_bytes() == b"text"


def test_a_debian_package_is_read_without_running_its_scripts(tmp_path: Path) -> None:
    if shutil.which("dpkg-deb") is None:
        pytest.skip("dpkg-deb is not installed")
    tree = tmp_path / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "usr/share/words").mkdir(parents=True)
    (tree / "usr/share/words/list").write_text("one\n")
    (tree / "usr/share/words/link").symlink_to("/etc/passwd")
    (tree / "DEBIAN/control").write_text(
        "Package: words\nVersion: 1\nArchitecture: all\nMaintainer: Nobody <n@example.org>\nDescription: words\n"
    )
    script = tree / "DEBIAN/preinst"
    script.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    script.chmod(0o755)
    subprocess.run(["dpkg-deb", "--build", "-Zxz", tree, tmp_path / "words.deb"], check=True, capture_output=True)
    assert list(unpack(tmp_path / "words.deb", tmp_path / "out")) == ["usr/share/words/list"]
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["package/../../evil", "/etc/evil", "package/..\\evil", "package/c:/../../evil"])
def test_a_path_that_leaves_the_target_is_refused(tmp_path: Path, name: str) -> None:
    archive = make_tgz(tmp_path / "a.tgz", {name: b"x"})
    with pytest.raises(DataError, match=r"a\.tgz: the path '.*evil' leads out of the archive; it is refused"):
        unpack(archive, tmp_path / "out" / "deep")
    assert not list(tmp_path.rglob("evil"))


def test_a_wheel_that_leaves_the_target_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="leads out of the archive"):
        unpack(make_wheel(tmp_path / "a.whl", {"../evil": b"x"}), tmp_path / "out")


def test_links_and_devices_are_left_out(tmp_path: Path) -> None:
    archive = make_tgz(
        tmp_path / "a.tgz",
        {
            "1": special("package/link", tarfile.SYMTYPE, "/etc"),
            "2": special("package/hard", tarfile.LNKTYPE, "/etc/passwd"),
            "3": special("package/pipe", tarfile.FIFOTYPE),
            "package/real": b"x",
        },
    )
    assert list(unpack(archive, tmp_path / "out")) == ["real"]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["real"]


def test_a_link_in_a_wheel_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        info = zipfile.ZipInfo("link")
        info.external_attr = 0o120777 << 16
        wheel.writestr(info, "/etc/passwd")
    assert unpack(path, tmp_path / "out") == {}


def test_a_decompression_bomb_is_refused_before_it_fills_the_disk(tmp_path: Path) -> None:
    archive = make_tgz(tmp_path / "a.tgz", {"package/zeros": bytes(64 << 20)})
    with pytest.raises(
        DataError, match=r"unpacks to more than 200 times its size .* at zeros; it is refused as a decom"
    ):
        unpack(archive, tmp_path / "out")
    assert (tmp_path / "out/zeros").stat().st_size < 32 << 20


@pytest.mark.parametrize("suffix", [".tgz", ".whl"])
def test_a_cut_off_archive_is_an_error_for_users(tmp_path: Path, suffix: str) -> None:
    content = {"package/a": bytes(range(256)) * 400}
    whole = make_tgz(tmp_path / "w.tgz", content) if suffix == ".tgz" else make_wheel(tmp_path / "w.whl", content)
    archive = tmp_path / f"cut{suffix}"
    archive.write_bytes(whole.read_bytes()[:-60])
    with pytest.raises(DataError, match="damaged archive"):
        unpack(archive, tmp_path / "out")
