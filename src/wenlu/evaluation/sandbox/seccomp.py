"""A filter of system calls (seccomp) that lets through what a computation needs, and little else.

What is listed passes; the rest fails as if the kernel did not have it, or as not permitted where a program may want to
know. So calls that are yet to be invented, and those by which others get around such filters (io_uring), fail too.
"""

from __future__ import annotations

import ctypes
import errno
import os

from wenlu.evaluation.sandbox import kernel

_PASSED = """
read:0:63 write:1:64 readv:19:65 writev:20:66 pread64:17:67 pwrite64:18:68 lseek:8:62 open:2: openat:257:56
close:3:57 close_range:436:436 creat:85: stat:4: fstat:5:80 lstat:6: newfstatat:262:79 statx:332:291 access:21:
faccessat:269:48 faccessat2:439:439 statfs:137:43 fstatfs:138:44 getdents:78: getdents64:217:61 getcwd:79:17
chdir:80:49 fchdir:81:50 mkdir:83: mkdirat:258:34 rmdir:84: unlink:87: unlinkat:263:35 rename:82:
renameat:264:38 renameat2:316:276 link:86: linkat:265:37 symlink:88: symlinkat:266:36 readlink:89:
readlinkat:267:78 truncate:76:45 ftruncate:77:46 fallocate:285:47 fadvise64:221:223 fsync:74:82 fdatasync:75:83
flock:73:32 fcntl:72:25 umask:95:166 sendfile:40:71 copy_file_range:326:285 dup:32:23 dup2:33: dup3:292:24
pipe:22: pipe2:293:59 poll:7: ppoll:271:73 select:23: pselect6:270:72 epoll_create:213: epoll_create1:291:20
epoll_ctl:233:21 epoll_wait:232: epoll_pwait:281:22 eventfd:284: eventfd2:290:19 timerfd_create:283:85
timerfd_settime:286:86 timerfd_gettime:287:87 recvfrom:45:207 recvmsg:47:212 shutdown:48:210 getsockname:51:204
getpeername:52:205 getsockopt:55:209 setsockopt:54:208 mmap:9:222 munmap:11:215 mprotect:10:226 mremap:25:216
madvise:28:233 msync:26:227 mincore:27:232 brk:12:214 membarrier:324:283 rt_sigaction:13:134
rt_sigprocmask:14:135 rt_sigreturn:15:139 rt_sigpending:127:136 rt_sigtimedwait:128:137 rt_sigsuspend:130:133
sigaltstack:131:132 restart_syscall:219:128 pause:34: alarm:37: getitimer:36:102 setitimer:38:103
nanosleep:35:101 clock_nanosleep:230:115 futex:202:98 set_tid_address:218:96 set_robust_list:273:99
get_robust_list:274:100 rseq:334:293 sched_yield:24:124 sched_getaffinity:204:123 arch_prctl:158: exit:60:93
exit_group:231:94 wait4:61:260 waitid:247:95 getpid:39:172 getppid:110:173 gettid:186:178 getpgrp:111:
getpgid:121:155 getsid:124:156 getuid:102:174 geteuid:107:175 getgid:104:176 getegid:108:177 getresuid:118:148
getresgid:120:150 getgroups:115:158 getpriority:140:141 getrlimit:97:163 getrusage:98:165 times:100:153
time:201: sysinfo:99:179 uname:63:160 getcpu:309:168 gettimeofday:96:169 clock_gettime:228:113
clock_getres:229:114 getrandom:318:278
"""
"""name:number on x86-64:number on aarch64, which lacks many of the old ones."""
_ASKED = """
clone:56:220 clone3:435:435 kill:62:129 tgkill:234:131 socketpair:53:199 sendto:44:206 ioctl:16:29
prlimit64:302:261 socket:41:198 connect:42:203 fork:57: vfork:58: execve:59:221 ptrace:101:117 tkill:200:130
bind:49:200
"""
"""Calls that depend on their arguments, or that a program is told are not permitted."""
_DENIED = ("socket", "connect", "bind", "fork", "vfork", "execve", "ptrace", "tkill")

_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""The column of the tables, and the kernel's own name."""
_FOREIGN = 0x40000000
"""From this number on x86-64 counts the calls of another binary interface."""

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
_ALLOW, _KILL, _FAIL = 0x7FFF0000, 0x80000000, 0x00050000

_CLONE_THREAD = 0x10000
_CLONE_NAMESPACES = 0x7E020000
_AF_UNIX = 1
_IOCTLS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451, 0x802C542A)
"""Is it a terminal, how wide, how much is there to read, do not block, close on exec: nothing that acts on devices."""

Instruction = tuple[int, int, int, int]


def install() -> None:
    """Filter the calls of this thread and of all that it starts, for good; raises OSError where it cannot be had."""
    rows = _filter(os.uname().machine, os.getpid())
    program = (_Instruction * len(rows))(*(_Instruction(*row) for row in rows))
    kernel.prctl(kernel.PR_SET_SECCOMP, ctypes.byref(_Program(len(rows), program)))


class _Instruction(ctypes.Structure):
    _fields_ = (("code", ctypes.c_uint16), ("jt", ctypes.c_uint8), ("jf", ctypes.c_uint8), ("k", ctypes.c_uint32))


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint16), ("filter", ctypes.POINTER(_Instruction)))


def numbers(machine: str) -> dict[str, int]:
    """The numbers of all calls in the tables that this processor has."""
    column, _ = _ARCHITECTURES[machine]
    rows = [row.split(":") for row in (_PASSED + _ASKED).split()]
    return {name: int(number) for name, *row in rows if (number := row[column])}


def _filter(machine: str, pid: int) -> list[Instruction]:
    if machine not in _ARCHITECTURES:
        raise OSError(errno.ENOSYS, f"no table of system calls for {machine}")
    number = numbers(machine)
    rows = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, _ARCHITECTURES[machine][1]),
        _back(_KILL),
        (_LOAD, 0, 0, _NUMBER),
    ]
    if machine == "x86_64":
        rows += [(_AT_LEAST, 0, 1, _FOREIGN), _back(_KILL)]
    for row in _PASSED.split():
        name = row.partition(":")[0]
        if name in number:
            rows += [(_EQUAL, 0, 1, number[name]), _back(_ALLOW)]
    for name, block in _blocks(pid).items():
        if name in number:
            rows += [(_EQUAL, 0, len(block), number[name]), *block]
    for name in _DENIED:
        if name in number:
            rows += [(_EQUAL, 0, 1, number[name]), _back(_FAIL | errno.EPERM)]
    return [*rows, _back(_FAIL | errno.ENOSYS)]  # upon which the C library takes an older call where it knows one


def _blocks(pid: int) -> dict[str, list[Instruction]]:
    """What decides where the number does not; each block ends in an answer."""
    deny, allow = _back(_FAIL | errno.EPERM), _back(_ALLOW)
    many = [(_EQUAL, len(_IOCTLS) - i, 0, value) for i, value in enumerate(_IOCTLS)]
    no_namespaces, is_thread = (_ANY_BIT, 2, 0, _CLONE_NAMESPACES), (_ANY_BIT, 0, 1, _CLONE_THREAD)
    no_address = [(_LOAD, 0, 0, _low(4)), (_EQUAL, 0, 3, 0), (_LOAD, 0, 0, _low(4) + 4), (_EQUAL, 0, 1, 0)]
    return {
        "clone": [(_LOAD, 0, 0, _low(0)), no_namespaces, is_thread, allow, deny],
        "kill": [*_is(0, pid), allow, deny],
        "tgkill": [*_is(0, pid), allow, deny],
        "prlimit64": [*_is(0, 0), allow, deny],
        "socketpair": [*_is(0, _AF_UNIX), allow, deny],
        "sendto": [*no_address, allow, deny],  # along a pair that is connected
        "ioctl": [(_LOAD, 0, 0, _low(1)), *many, _back(_FAIL | errno.ENOTTY), allow],
    }


def _is(argument: int, value: int) -> list[Instruction]:
    """Go on with the next row where the argument has this value, else with the one behind it."""
    return [(_LOAD, 0, 0, _low(argument)), (_EQUAL, 0, 1, value)]


def _low(argument: int) -> int:
    """Where the lower half of an argument lies, on processors that put it first."""
    return _ARGUMENTS + 8 * argument


def _back(answer: int) -> Instruction:
    return (_RETURN, 0, 0, answer)
