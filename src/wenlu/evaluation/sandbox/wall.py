"""The walls around a program, each by the name of what the kernel calls it; and what they protect together."""

from __future__ import annotations

USER_NAMESPACE = "user namespace"
PID_NAMESPACE = "pid namespace"
NETWORK_NAMESPACE = "network namespace"
IPC_NAMESPACE = "ipc namespace"
PRIVATE_ROOT = "private root"
UNPRIVILEGED_USER = "unprivileged user"
NO_CAPABILITIES = "no capabilities"
RESOURCE_LIMITS = "resource limits"
TASK_LIMIT = "task limit"
LANDLOCK = "landlock"
SECCOMP = "seccomp"

WALLS = (
    *(USER_NAMESPACE, PID_NAMESPACE, NETWORK_NAMESPACE, IPC_NAMESPACE, PRIVATE_ROOT, UNPRIVILEGED_USER),
    *(NO_CAPABILITIES, RESOURCE_LIMITS, TASK_LIMIT, LANDLOCK, SECCOMP),
)

PROTECTIONS: dict[str, tuple[tuple[str, ...], ...]] = {
    "no network": ((NETWORK_NAMESPACE, PRIVATE_ROOT), (SECCOMP,)),  # sockets are files too
    "no files outside": ((PRIVATE_ROOT, NO_CAPABILITIES), (LANDLOCK, SECCOMP, NO_CAPABILITIES)),
    "no process that outlives it, or is reached by it": ((PID_NAMESPACE,), (SECCOMP,)),
    "bounded memory": ((RESOURCE_LIMITS,),),
}
"""What must hold, and the sets of walls each of which suffices. Landlock alone leaves the modes and times of files to
whoever owns them; the clock that ends a program is the warden's and always there."""


def missing(raised: list[str]) -> list[str]:
    """The protections that these walls do not give."""
    return [name for name, ways in PROTECTIONS.items() if not any(all(wall in raised for wall in way) for way in ways)]
