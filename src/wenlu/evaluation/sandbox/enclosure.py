"""Raise the walls around this process, from the outermost to the innermost, as far as the system grants them."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Collection

from wenlu.evaluation.sandbox import kernel, landlock, private_root, seccomp, wall

_NOBODY = 65534
_OPEN_FILES = 64


class Enclosure:
    """What stands so far.

    Attributes:
        folder: an empty folder, for the program to work in.
        limits: `memory_bytes`, `file_bytes`, `tasks` and `cpu_seconds`.
        raised: names of the walls that stand.
        refused: those that the system did not grant, with its reason.
    """

    def __init__(self, folder: str, limits: dict[str, int], wanted: Collection[str]) -> None:
        self.folder, self.limits = folder, limits
        self.raised: list[str] = []
        self.refused: dict[str, str] = {}
        self._wanted = wanted
        self._uid, self._gid = os.geteuid(), os.getegid()

    def raise_outer(self) -> None:
        """What must stand before the program's process is forked."""
        if self._uid != 0:  # root does without: in a namespace of its own it would still be itself to the limits
            self._raise(wall.USER_NAMESPACE, self._user_namespace)
        self._raise(wall.PID_NAMESPACE, lambda: kernel.unshare(kernel.CLONE_NEWPID))

    def raise_inner(self) -> None:
        """All the rest, in the program's own process."""
        user = self._other_user()
        self._raise(wall.NETWORK_NAMESPACE, lambda: kernel.unshare(kernel.CLONE_NEWNET))
        self._raise(wall.IPC_NAMESPACE, lambda: kernel.unshare(kernel.CLONE_NEWIPC))
        self._raise(wall.PRIVATE_ROOT, lambda: self._private_root(user))
        os.chdir(self.folder)
        if self._uid != 0:
            self.raised.append(wall.UNPRIVILEGED_USER)
        elif wall.PRIVATE_ROOT in self.raised or all(map(_open_to_all, private_root.libraries())):
            self._raise(wall.UNPRIVILEGED_USER, lambda: self._become(user))
        else:
            self.refused[wall.UNPRIVILEGED_USER] = "another user could not read Python's library where it is"
        self._raise(wall.NO_CAPABILITIES, kernel.drop_capabilities)
        kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
        kernel.prctl(kernel.PR_SET_PDEATHSIG, 9)  # here, as a change of user forgets it
        self._raise(wall.RESOURCE_LIMITS, self._resource_limits)
        self._raise(wall.TASK_LIMIT, self._task_limit)
        self._raise(wall.LANDLOCK, lambda: landlock.restrict(read=private_root.libraries(), write=self.folder))
        self._raise(wall.SECCOMP, seccomp.install)

    def _raise(self, name: str, action: Callable[[], None]) -> None:
        if name not in self._wanted:
            return
        try:
            action()
        except OSError as error:
            self.refused[name] = str(error)
        else:
            self.raised.append(name)

    def _user_namespace(self) -> None:
        kernel.unshare(kernel.CLONE_NEWUSER)
        for name, text in (
            ("setgroups", "deny"),
            ("uid_map", f"{self._uid} {self._uid} 1"),
            ("gid_map", f"{self._gid} {self._gid} 1"),
        ):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)

    def _other_user(self) -> int:
        """For root, a number that no one has, so that what it counts is this program's alone."""
        return 2**30 + int.from_bytes(os.urandom(3)) if self._uid == 0 else self._uid

    def _private_root(self, user: int) -> None:
        kernel.unshare(kernel.CLONE_NEWNS)
        group = user if self._uid == 0 else self._gid
        private_root.enter(self.folder, uid=user, gid=group, work_bytes=self.limits["file_bytes"])
        self.folder = private_root.WORK

    def _become(self, user: int) -> None:
        if wall.PRIVATE_ROOT not in self.raised:
            os.chown(self.folder, user, user)
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
        self._uid = user

    def _resource_limits(self) -> None:
        for limit, value in (
            (resource.RLIMIT_AS, self.limits["memory_bytes"]),
            (resource.RLIMIT_CPU, self.limits["cpu_seconds"]),
            (resource.RLIMIT_FSIZE, self.limits["file_bytes"]),
            (resource.RLIMIT_NOFILE, _OPEN_FILES),
            (resource.RLIMIT_CORE, 0),
            (resource.RLIMIT_MEMLOCK, 0),
            (resource.RLIMIT_MSGQUEUE, 0),
        ):
            _, most = resource.getrlimit(limit)
            value = value if most == resource.RLIM_INFINITY else min(value, most)
            resource.setrlimit(limit, (value, value))

    def _task_limit(self) -> None:
        """Threads and processes. It does not bind root, and binds another user in a namespace of its own by what runs
        in there only since Linux 5.14: before, by all that this user runs."""
        if self._uid == 0:
            raise OSError(f"the kernel counts no tasks of root, as which this runs ({wall.UNPRIVILEGED_USER})")
        version = tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2])
        if self._uid < 2**30 and not (wall.USER_NAMESPACE in self.raised and version >= (5, 14)):
            raise OSError("the kernel counts all tasks of this user, not this program's")
        resource.setrlimit(resource.RLIMIT_NPROC, (self.limits["tasks"], self.limits["tasks"]))


def _open_to_all(path: str) -> bool:
    """Whether any user may list this folder where it is."""
    if os.stat(path).st_mode & 0o5 != 0o5:
        return False
    while (path := os.path.dirname(path)) != "/":
        if not os.stat(path).st_mode & 0o1:
            return False
    return True
