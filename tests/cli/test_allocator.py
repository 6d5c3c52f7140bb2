from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

SCRIPT = """
import os
from wenlu.cli import allocator
before = allocator.is_active()
allocator.restart_with_tunables()
print(before, allocator.is_active(), os.environ.get("GLIBC_TUNABLES", ""))
"""

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")


def run(tunables: str | None) -> list[str]:
    environment = {k: v for k, v in os.environ.items() if k != "GLIBC_TUNABLES"}
    if tunables is not None:
        environment["GLIBC_TUNABLES"] = tunables
    result = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True)
    lines = result.stdout.splitlines()
    assert len(lines) == 1
    before, after, value = lines[0].split(" ")
    assert ("starting again" in result.stderr) == (after == "True"), "who starts again says so"
    return [before, after, value]


def test_the_process_restarts_once_with_the_tunables() -> None:
    before, after, value = run(None)
    assert (before, after) == ("True", "True")  # what prints is the restarted process
    assert "glibc.malloc.hugetlb=1" in value


def test_other_tunables_of_the_user_are_kept() -> None:
    _, after, value = run("glibc.malloc.arena_max=2")
    assert after == "True"
    assert "glibc.malloc.arena_max=2" in value


def test_a_users_own_choice_of_the_same_tunable_wins() -> None:
    assert run("glibc.malloc.hugetlb=0") == ["False", "False", "glibc.malloc.hugetlb=0"]
