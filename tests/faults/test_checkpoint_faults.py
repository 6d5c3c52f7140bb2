"""A save that is killed, or refused by the disk, at any of its system calls leaves a whole checkpoint behind.

`WENLU_PROOF=1` takes every system call; otherwise a sample. Run as a program, this file is the saver that the
faults are injected into.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from wenlu.errors import ResourceError
from wenlu.rundir import checkpoint

PROOF = os.environ.get("WENLU_PROOF") == "1"
SAMPLES = 12
WRITES = "write,pwrite64,writev"
REFUSED = 3


def tensors(step: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(step)
    return {f"layers.{i}.weight": torch.randn(16, 16, generator=generator) for i in range(5)}


def serve() -> None:
    """For each line `FOLDER STEP` on stdin: fork a child that stops, so that strace can attach, and then saves.

    Writes the child's process id, and its wait status when it ends. The child exits with 0 after its save, with
    REFUSED after a ResourceError, which it writes to FOLDER.error, and with 1 after anything else.
    """
    checkpoint.SHARD_BYTES = 3000
    checkpoint.ROOM = 0.0
    for line in sys.stdin:
        folder, step = line.split()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.kill(os.getpid(), signal.SIGSTOP)
                checkpoint.save(Path(folder), int(step), tensors(int(step)), {"step": int(step)}, keep=1)
                code = 0
            except ResourceError as error:
                code = REFUSED
                Path(folder).with_suffix(".error").write_text(str(error))
            finally:
                os._exit(code)
        os.waitpid(child, os.WUNTRACED)
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()
        sys.stdout.write(f"{os.waitpid(child, 0)[1]}\n")
        sys.stdout.flush()


class Saver:
    """The saver process, with a copy of a folder that holds step 1 for each save of step 2."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self.process, self.home, self.count = process, folder, 0
        self.folder = folder
        self.seed = folder / "seed"
        checkpoint.save(self.seed, 1, tensors(1), {"step": 1})

    def save(self, *strace: str) -> int:
        """Save step 2 into a fresh `self.folder` under strace; the exit code, negative for a signal."""
        self.count += 1
        self.folder = self.home / f"case-{self.count}"
        shutil.copytree(self.seed, self.folder)
        self._say(f"{self.folder} 2")
        child = int(self._hear())
        with subprocess.Popen(
            ["strace", "-f", "-p", str(child), *strace], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        ) as tracer:
            assert tracer.stderr is not None
            while "attached" not in (line := tracer.stderr.readline()):
                if not line or "ptrace" in line:
                    pytest.skip(f"strace cannot attach here: {line.strip()}")
            os.kill(child, signal.SIGCONT)
            tracer.stderr.read()
        return os.waitstatus_to_exitcode(int(self._hear()))

    def _say(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def _hear(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()


@pytest.fixture(scope="module")
def saver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Saver]:
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed: no fault can be injected")
    command = [sys.executable, __file__]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Saver(process, tmp_path_factory.mktemp("faults"))
        assert process.stdin is not None
        process.stdin.close()


def assert_whole(folder: Path) -> int:
    """Every folder under a final name is whole, and the newest holds the bits of its step; its step."""
    for _, path in checkpoint._listing(folder):
        assert isinstance(checkpoint._verify(path), checkpoint.Checkpoint), path
    found = checkpoint.newest_good(folder)
    assert found is not None
    assert found.passed_over == ()
    expected, loaded = tensors(found.step), found.tensors
    assert loaded.keys() == expected.keys()
    assert all(torch.equal(loaded[name], expected[name]) for name in expected)
    assert found.state == {"step": found.step}
    return found.step


def assert_usable_afterwards(folder: Path) -> None:
    checkpoint.save(folder, 3, tensors(3), {"step": 3}, keep=1)
    assert [path.name for path in folder.iterdir()] == ["step-00000003"]
    assert assert_whole(folder) == 3


def calls_of_a_save(saver: Saver, of: str = "all") -> list[str]:
    """The system calls of an undisturbed save, in order."""
    log = saver.home / "trace"
    assert saver.save("-e", f"trace={of}", "-o", str(log)) == 0
    calls = [line.split(maxsplit=1)[1] for line in log.read_text().splitlines()]
    return [call for call in calls if re.match(r"\w+\(", call)]


def points(total: int) -> list[int]:
    """1-based numbers of the calls to fail at: all in a proof, else evenly spread ones."""
    count = total if PROOF else min(SAMPLES, total)
    return sorted({1 + index * total // count for index in range(count)})


def test_a_save_killed_at_any_system_call_leaves_the_old_or_the_new_checkpoint(saver: Saver) -> None:
    total = len(calls_of_a_save(saver))
    assert total > 50
    outcomes = set()
    for number in points(total):
        code = saver.save("-e", f"inject=all:signal=SIGKILL:when={number}")
        assert code in (0, -signal.SIGKILL)  # the number of calls varies by a few with the memory allocator
        outcomes.add(assert_whole(saver.folder))
        assert_usable_afterwards(saver.folder)
    assert outcomes == {1, 2}


@pytest.mark.parametrize(
    ("calls", "error", "message"),
    [
        (WRITES, "ENOSPC", "No space left on device"),
        (WRITES, "EIO", "Input/output error"),
        (WRITES, "EDQUOT", "Disk quota exceeded"),
        ("fsync", "EIO", "Input/output error"),
        ("fsync", "ENOSPC", "No space left on device"),
        ("mkdir", "ENOSPC", "No space left on device"),
        ("rename", "EIO", "Input/output error"),
    ],
)
def test_a_refused_call_leaves_the_old_checkpoint_and_nothing_half_written(
    saver: Saver, calls: str, error: str, message: str
) -> None:
    total = len(calls_of_a_save(saver, calls))
    codes = []
    for number in points(total):
        codes.append(saver.save("-e", f"trace={calls}", "-e", f"inject={calls}:error={error}:when={number}"))
        step = assert_whole(saver.folder)
        if codes[-1] == REFUSED:
            assert message in saver.folder.with_suffix(".error").read_text()
            assert not [path for path in saver.folder.iterdir() if path.name.startswith(".")]
            assert (saver.folder / "step-00000001").is_dir()
        else:  # the call belonged to the removal of the old checkpoint, which is no failure of the save
            assert codes[-1] == 0
            assert step == 2
        assert_usable_afterwards(saver.folder)
    assert REFUSED in codes


def test_a_disk_that_stays_full_leaves_the_old_checkpoint(saver: Saver) -> None:
    total = len(calls_of_a_save(saver, WRITES))
    for number in points(total):
        assert saver.save("-e", f"trace={WRITES}", "-e", f"inject={WRITES}:error=ENOSPC:when={number}+") == REFUSED
        assert assert_whole(saver.folder) == 1
        assert [path.name for path in saver.folder.iterdir()] == ["step-00000001"]


def test_bytes_that_the_disk_swallowed_are_noticed_before_the_old_checkpoint_goes(saver: Saver) -> None:
    total = len(calls_of_a_save(saver, WRITES))
    for number in points(total):
        # three bytes are said to be written, and are not; the rest follows
        assert saver.save("-e", f"trace={WRITES}", "-e", f"inject={WRITES}:retval=3:when={number}") == REFUSED
        assert "reads back other than it was written" in saver.folder.with_suffix(".error").read_text()
        found = checkpoint.newest_good(saver.folder)
        assert found is not None
        assert found.step == 1


def test_every_file_is_on_the_disk_before_the_folder_gets_its_name_and_that_before_the_old_one_goes(
    saver: Saver,
) -> None:
    log = saver.home / "trace"
    assert saver.save("-y", "-e", "trace=openat,write,fsync,rename,unlink,unlinkat,rmdir", "-o", str(log)) == 0
    lines = log.read_text().splitlines()

    def first(pattern: str) -> int:
        found = [number for number, line in enumerate(lines) if re.search(pattern, line)]
        assert found, pattern
        return found[0]

    arrival = first(r'rename\(.*\.step-00000002\.tmp-\w+", ".*/step-00000002"')
    for name in ("tensors-00001.safetensors", "tensors-00002.safetensors", "state.json", "manifest.json"):
        last_write = max(n for n, line in enumerate(lines) if "write(" in line and f"/{name}>" in line)
        assert last_write < first(rf"fsync\(.*/{name}>") < arrival
    assert first(r"fsync\(.*/state\.json>") < first(r'openat\(.*/manifest\.json", O_WRONLY')
    assert first(r"fsync\(.*/\.step-00000002\.tmp-\w+>") < arrival
    named = next(n for n, line in enumerate(lines) if n > arrival and "fsync(" in line and f"{saver.folder}>" in line)
    assert arrival < named < first(r'rename\(".*/step-00000001"') < first(r"unlink(at)?\(")


def test_a_real_full_disk_leaves_the_old_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip(f"cannot mount a small disk here: {mounted.stderr.decode().strip()}")
    try:
        checkpoint.save(disk / "c", 1, tensors(1), {"step": 1})
        large = {"large": torch.zeros(100_000)}
        with pytest.raises(ResourceError, match=r"no checkpoint of step 2: 0 MB free, 1 MB wanted"):
            checkpoint.save(disk / "c", 2, large, {"step": 2})
        monkeypatch.setattr(checkpoint, "ROOM", 0.0)
        with pytest.raises(ResourceError, match="No space left on device; what was there before is untouched"):
            checkpoint.save(disk / "c", 2, large, {"step": 2})
        assert [path.name for path in (disk / "c").iterdir()] == ["step-00000001"]
        assert assert_whole(disk / "c") == 1
    finally:
        subprocess.run(["umount", str(disk)], check=True)


if __name__ == "__main__":
    serve()
