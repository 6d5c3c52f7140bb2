"""The process that starts a program behind walls, watches it, ends it, and says how it ended.

It runs in a fresh interpreter, outside the walls, and reads requests from its standard input. For each it forks a
process that watches, which forks the one that the program runs in.
"""

from __future__ import annotations

import builtins
import errno
import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from types import ModuleType
from typing import Any

from wenlu.evaluation.sandbox import kernel, wall
from wenlu.evaluation.sandbox.enclosure import Enclosure

SETUP_SECONDS = 60.0
_MOST_DETAIL = 1 << 14
_MEMORY = (errno.ENOMEM,)
_LIMITS = (errno.EAGAIN, errno.EFBIG, errno.ENOSPC, errno.EMFILE, errno.EDQUOT)
_REFUSED = (errno.EPERM, errno.EACCES, errno.EROFS, errno.ENOSYS, errno.ENETUNREACH)


def main() -> None:
    """Answer each line of standard input, one JSON object, with one on standard output, from a process a line."""
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)  # who asked is gone: nobody waits for the answer
    for line in sys.stdin.buffer:
        process = os.fork()  # so that no run finds what another one left
        if process == 0:
            kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
            try:
                answer = _supervise(json.loads(line))
            except OSError as error:
                answer = {"broken": str(error)}
            os.write(1, json.dumps(answer).encode() + b"\n")
            os._exit(0)
        _, status = os.waitpid(process, 0)
        if status:
            raise SystemExit(1)


def _supervise(request: dict[str, Any]) -> dict[str, Any]:
    kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
    enclosure = Enclosure(request["folder"], request["limits"], request["walls"])
    enclosure.raise_outer()
    verdict_read, verdict_write = os.pipe()
    output_read, output_write = os.pipe()
    nonce = os.urandom(16)
    leave = os._exit  # which the program might replace
    child = os.fork()
    if child == 0:
        try:
            _child(request, enclosure, nonce, verdict_write, output_write)
        finally:
            leave(1)
    os.close(verdict_write)
    os.close(output_write)
    watch = _Watch(child, verdict_read, output_read, request["limits"])
    watch.until_the_end(request["limits"]["timeout_seconds"])
    return watch.report(nonce)


class _Watch:
    """Gathers what a child says until it ends, is out of time, or is to be ended."""

    def __init__(self, child: int, verdict: int, output: int, limits: dict[str, Any]) -> None:
        self.child, self.limits = child, limits
        self.said = {verdict: b"", output: b""}
        self.most = {verdict: 1 << 16, output: limits["output_bytes"]}
        self.verdict, self.output = verdict, output
        self.begin: float | None = None
        self.seconds = 0.0
        self.out_of_time = False
        self.status = 0
        self.cpu_seconds = 0.0

    def until_the_end(self, timeout_seconds: float) -> None:
        poll = select.poll()
        ended = os.pidfd_open(self.child)
        for descriptor in (ended, *self.said):
            poll.register(descriptor, select.POLLIN)
        setup = time.monotonic() + SETUP_SECONDS
        while True:
            deadline = setup if self.begin is None else self.begin + timeout_seconds
            left = deadline - time.monotonic()
            if left <= 0:
                self.out_of_time = True
                break
            ready = [descriptor for descriptor, _ in poll.poll(left * 1000 + 1)]
            for descriptor in ready:
                if descriptor != ended and not self._read(descriptor):
                    poll.unregister(descriptor)
            if ended in ready:
                break
        self.seconds = 0.0 if self.begin is None else time.monotonic() - self.begin
        os.kill(self.child, signal.SIGKILL)  # what has ended is still there to be waited for
        _, self.status, usage = os.wait4(self.child, 0)
        self.cpu_seconds = usage.ru_utime + usage.ru_stime
        _sweep()
        for descriptor in self.said:
            os.set_blocking(descriptor, False)
            while self._read(descriptor):
                pass

    def _read(self, descriptor: int) -> bool:
        """Take what is there, and keep what there is room for; False at the end."""
        try:
            part = os.read(descriptor, 1 << 16)
        except BlockingIOError:
            return False
        if descriptor == self.verdict and self.begin is None and part:
            self.begin = time.monotonic()  # the walls stand and the program begins
        self.said[descriptor] += part[: max(0, self.most[descriptor] - len(self.said[descriptor]))]
        return bool(part)

    def report(self, nonce: bytes) -> dict[str, Any]:
        head, _, verdict = self.said[self.verdict].partition(b"\n")
        if not head:
            return {"broken": f"the walls were not up (wait status {self.status})"}
        facts: dict[str, Any] = json.loads(head)
        reason, detail = self._reason(verdict, nonce)
        text = self.said[self.output].decode("utf-8", "replace")
        return {**facts, "reason": reason, "detail": detail, "seconds": self.seconds, "output": text}

    def _reason(self, verdict: bytes, nonce: bytes) -> tuple[str, str]:
        if self.out_of_time:
            return "timeout", f"not through after {self.limits['timeout_seconds']:g} s"
        if os.WIFSIGNALED(self.status):
            number = os.WTERMSIG(self.status)
            if number in (signal.SIGKILL, signal.SIGXCPU) and self.cpu_seconds >= self.limits["cpu_seconds"] - 0.5:
                return "timeout", f"used {self.cpu_seconds:.1f} s of processor time"
            return "killed", f"ended by signal {number} ({signal.strsignal(number)})"
        code = os.WEXITSTATUS(self.status)
        if verdict == nonce and code == 0:
            return "passed", ""
        reason, _, detail = verdict.decode("utf-8", "replace").partition(":")
        if reason in ("failed", "memory", "limits", "refused"):
            return reason, detail[:_MOST_DETAIL]
        return "failed", f"the process exited with {code} before its tests were through"


def _sweep() -> None:
    """End what the child has left behind: this process inherits it, one generation after the other."""
    while True:
        try:
            done, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if done:
            continue
        time.sleep(0.001)
        with open(f"/proc/self/task/{os.getpid()}/children") as file:
            for orphan in map(int, file.read().split()):
                os.kill(orphan, signal.SIGKILL)


def _child(request: dict[str, Any], enclosure: Enclosure, nonce: bytes, verdict: int, output: int) -> None:
    """Raise the walls and run the program; does not return."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.dup2(verdict, 3)
    os.closerange(4, 1 << 16)
    os.set_inheritable(3, False)
    os.environ.clear()
    enclosure.raise_inner()
    weak = [] if request["allow_weaker"] else wall.missing(enclosure.raised)
    facts = {"raised": enclosure.raised, "refused": enclosure.refused, "missing": weak}
    os.write(3, json.dumps(facts).encode() + b"\n")
    if not weak:
        _run(request["program"], nonce, 3)


def _run(program: str, nonce: bytes, verdict: int) -> None:
    """Tell by the nonce that the program has reached its end, else why not; the ways out are taken beforehand."""
    write, leave, flush = os.write, os._exit, sys.stdout.flush
    module = ModuleType("program")
    module.__dict__["__builtins__"] = builtins
    sys.modules["program"] = module
    sys.argv = ["program"]
    try:
        exec(compile(program, "<program>", "exec"), module.__dict__)
    except BaseException as error:  # noqa: BLE001 (whatever it is, the program has not reached its end)
        write(verdict, _complaint(error))
        _quietly(flush)
        leave(1)
    _quietly(flush)
    write(verdict, nonce)
    leave(0)


def _quietly(flush: Callable[[], None]) -> None:
    """Write what the program printed, which changes no verdict even where it has closed its output."""
    with suppress(OSError, ValueError):
        flush()


def _complaint(error: BaseException) -> bytes:
    match error:
        case MemoryError():
            reason = "memory"
        case OSError(errno=number) if number in _MEMORY:
            reason = "memory"
        case OSError(errno=number) if number in _LIMITS:
            reason = "limits"
        case OSError(errno=number) if number in _REFUSED:
            reason = "refused"
        case RuntimeError() if "can't start new thread" in str(error):
            reason = "limits"
        case _:
            reason = "failed"
    line = error.__traceback__
    while line is not None and line.tb_next is not None:
        line = line.tb_next
    where = f" (line {line.tb_lineno} of {line.tb_frame.f_code.co_filename})" if line is not None else ""
    return f"{reason}:{type(error).__name__}: {error}{where}".encode("utf-8", "replace")[:_MOST_DETAIL]
