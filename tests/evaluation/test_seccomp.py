"""The filter of system calls, on both processors: run here by a machine of our own for its few instructions."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from wenlu.evaluation.sandbox import seccomp

ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}
ALLOW, KILL = 0x7FFF0000, 0x80000000
EPERM, ENOSYS, ENOTTY = (0x50000 | number for number in (1, 38, 25))
PID = 4321
NEW_THREAD = 0x3D0F00
"""The flags with which the C library starts a thread."""


def answer(machine: str, call: int, *arguments: int, architecture: int | None = None) -> int:
    """What the filter answers, as classic BPF over `struct seccomp_data` is defined to."""
    words = {0: call, 4: ARCHITECTURES[machine] if architecture is None else architecture}
    for number in range(6):
        value = arguments[number] % 2**64 if number < len(arguments) else 0
        words[16 + 8 * number], words[20 + 8 * number] = value % 2**32, value >> 32
    rows, at, register = seccomp._filter(machine, PID), 0, 0
    while True:
        code, yes, no, k = rows[at]
        at += 1
        match code:
            case 0x20:
                register = words[k]
            case 0x15:
                at += yes if register == k else no
            case 0x35:
                at += yes if register >= k else no
            case 0x45:
                at += yes if register & k else no
            case 0x06:
                return k
            case _:
                raise AssertionError(f"{code:#x} is no instruction of the filter")


@pytest.fixture(params=ARCHITECTURES, ids=str)
def machine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_numbers_are_those_of_the_kernels_headers(machine: str) -> None:
    if not HEADERS[machine].exists():
        pytest.skip("the headers are not installed")
    lines = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", HEADERS[machine].read_text())
    known = {name: int(number) for name, number in lines}
    known.setdefault("newfstatat", known.get("fstatat", -1))  # the same call, by its older name there
    for name, number in seccomp.numbers(machine).items():
        assert known[name] == number, name


def test_what_a_computation_needs_passes_and_what_it_does_not_know_fails(machine: str) -> None:
    number = seccomp.numbers(machine)
    for name in ("read", "openat", "mmap", "futex", "exit_group", "clock_nanosleep", "getrandom", "statx"):
        assert answer(machine, number[name]) == ALLOW, name
    for name in ("socket", "connect", "bind", "execve", "ptrace", "tkill"):
        assert answer(machine, number[name]) == EPERM, name
    for call in (425, 426, 434, 435, 441, 442, 444, 450, 9999):  # io_uring, pidfd, clone3, mounts; and what is to come
        assert answer(machine, call) == ENOSYS, call


def test_calls_of_another_interface_end_the_process(machine: str) -> None:
    assert answer(machine, 0, architecture=0x40000003) == KILL
    if machine == "x86_64":
        assert answer(machine, 0x40000000) == KILL


def test_threads_may_be_started_and_processes_not(machine: str) -> None:
    clone = seccomp.numbers(machine)["clone"]
    assert answer(machine, clone, NEW_THREAD) == ALLOW
    assert answer(machine, clone, 17) == EPERM
    assert answer(machine, clone, NEW_THREAD | 0x10000000) == EPERM
    assert answer(machine, clone, 0x4000 | 0x100 | 17) == EPERM


def test_signals_reach_the_process_itself_only(machine: str) -> None:
    number = seccomp.numbers(machine)
    assert answer(machine, number["kill"], PID, 9) == ALLOW
    assert answer(machine, number["tgkill"], PID, PID, 9) == ALLOW
    for other in (0, 1, -1, -PID, PID + 1):
        assert answer(machine, number["kill"], other, 9) == EPERM
        assert answer(machine, number["tgkill"], other, PID, 9) == EPERM


def test_pairs_of_sockets_lead_nowhere_else(machine: str) -> None:
    number = seccomp.numbers(machine)
    assert answer(machine, number["socketpair"], 1, 1, 0) == ALLOW
    assert answer(machine, number["socketpair"], 2, 1, 0) == EPERM
    assert answer(machine, number["sendto"], 3, 4096, 1, 0, 0, 0) == ALLOW
    assert answer(machine, number["sendto"], 3, 4096, 1, 0, 4096, 110) == EPERM
    assert answer(machine, number["sendto"], 3, 4096, 1, 0, 2**32, 110) == EPERM
    assert "sendmsg" not in number


def test_devices_may_be_asked_and_not_driven(machine: str) -> None:
    number = seccomp.numbers(machine)
    for asked in (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451, 0x802C542A):
        assert answer(machine, number["ioctl"], 1, asked) == ALLOW, hex(asked)
    for driven in (0x5412, 0x5402, 0x40049409):  # type for the user, change the terminal, share a file's blocks
        assert answer(machine, number["ioctl"], 1, driven) == ENOTTY, hex(driven)


def test_limits_of_other_processes_stay(machine: str) -> None:
    number = seccomp.numbers(machine)["prlimit64"]
    assert answer(machine, number, 0, 7, 0, 4096) == ALLOW
    assert answer(machine, number, 1, 7, 4096, 0) == EPERM


def test_a_processor_without_a_table_gets_no_filter() -> None:
    with pytest.raises(OSError, match="no table of system calls for riscv64"):
        seccomp._filter("riscv64", 1)
